// An LZ77 compressor with a hash of last positions, and its decompressor.
// rounds: 100
#include "kernel.h"
enum { N = 1 << 17 };
static unsigned char in[N + 8], packed[N * 2], back[N + 8];
static int head[8192];
static size_t pack(const unsigned char *p, int n, unsigned char *o)
{
	unsigned char *start = o;
	memset(head, 0xff, sizeof head);
	for (int i = 0; i < n; ) {
		uint32_t v;
		memcpy(&v, p + i, 4);
		int h = (v * 2654435761u) >> 19, c = head[h], len = 0;
		head[h] = i;
		if (c >= 0 && i - c < 65536) {
			int max = n - i < 255 ? n - i : 255;
			while (len < max && p[c + len] == p[i + len])
				len++;
		}
		if (len >= 4) {
			*o++ = len;
			*o++ = (i - c) & 255;
			*o++ = (i - c) >> 8;
			i += len;
		} else {
			*o++ = 0;
			*o++ = p[i++];
		}
	}
	return o - start;
}
static int unpack(const unsigned char *p, size_t n, unsigned char *o)
{
	unsigned char *start = o;
	for (const unsigned char *e = p + n; p < e; )
		if (*p) {
			const unsigned char *s = o - (p[1] | p[2] << 8);
			for (int k = *p; k; k--)
				*o++ = *s++;
			p += 3;
		} else {
			*o++ = p[1];
			p += 2;
		}
	return o - start;
}
static uint64_t kernel(long n)
{
	for (int i = 0; i < N; i++)
		in[i] = i > 500 && rnd() % 12 ? in[i - 400 + i / 300 % 50] : 'a' + rnd() % 20;
	uint64_t s = 0;
	while (n--) {
		size_t k = pack(in, N, packed);
		int m = unpack(packed, k, back);
		s = s * 31 + k + (m == N && memcmp(in, back, N) == 0);
		in[n % N] ^= 1;
	}
	return s;
}
