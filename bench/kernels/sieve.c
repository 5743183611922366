// The sieve of Eratosthenes up to 500,000, a byte each.
// rounds: 150
#include "kernel.h"
enum { N = 500000 };
static unsigned char f[N + 1];
static uint64_t kernel(long n)
{
	uint64_t s = 0;
	while (n--) {
		memset(f, 1, sizeof f);
		for (int i = 2; i * i <= N; i++)
			if (f[i])
				for (int j = i * i; j <= N; j += i)
					f[j] = 0;
		int c = 0;
		for (int i = 2; i <= N; i++)
			c += f[i];
		s = s * 31 + c;
	}
	return s;
}
