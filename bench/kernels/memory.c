// Blocks of 16 bytes to 16 KiB copied, moved, set and compared with the C library.
// rounds: 400
#include "kernel.h"
static char a[1 << 18], b[1 << 18];
static uint64_t kernel(long n)
{
	uint64_t s = 0;
	while (n--)
		for (int size = 16; size <= 16384; size *= 4) {
			int k = 65536 / size / 4 + 1;
			while (k--) {
				unsigned x = rnd() % (1 << 17), y = rnd() % (1 << 17);
				memcpy(a + x, b + y, size);
				memset(b + x, k, size / 2);
				memmove(a + y, a + y + size / 3, size);
				s += (memcmp(a + x, b + y, size) > 0) + strlen(a + y % 64);
			}
		}
	return s;
}
