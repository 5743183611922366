// A block cipher in the manner of AES: four tables of 1 KiB, ten rounds, 1024 blocks.
// rounds: 1500
#include "kernel.h"
static uint32_t t[4][256], key[44];
static uint32_t data[4096];
static void encrypt(uint32_t s[4])
{
	uint32_t a = s[0] ^ key[0], b = s[1] ^ key[1], c = s[2] ^ key[2], d = s[3] ^ key[3];
	for (int r = 1; r <= 10; r++) {
		uint32_t w = t[0][a & 255] ^ t[1][b >> 8 & 255] ^ t[2][c >> 16 & 255] ^ t[3][d >> 24] ^ key[4 * r];
		uint32_t x = t[0][b & 255] ^ t[1][c >> 8 & 255] ^ t[2][d >> 16 & 255] ^ t[3][a >> 24] ^ key[4 * r + 1];
		uint32_t y = t[0][c & 255] ^ t[1][d >> 8 & 255] ^ t[2][a >> 16 & 255] ^ t[3][b >> 24] ^ key[4 * r + 2];
		uint32_t z = t[0][d & 255] ^ t[1][a >> 8 & 255] ^ t[2][b >> 16 & 255] ^ t[3][c >> 24] ^ key[4 * r + 3];
		a = w; b = x; c = y; d = z;
	}
	s[0] = a; s[1] = b; s[2] = c; s[3] = d;
}
static uint64_t kernel(long n)
{
	for (int i = 0; i < 256; i++) {
		t[0][i] = rnd();
		for (int j = 1; j < 4; j++)
			t[j][i] = t[j - 1][i] << 8 | t[j - 1][i] >> 24;
	}
	for (int i = 0; i < 44; i++)
		key[i] = rnd();
	for (int i = 0; i < 4096; i++)
		data[i] = rnd();
	while (n--)
		for (int i = 0; i < 4096; i += 4)
			encrypt(data + i);
	uint64_t s = 0;
	for (int i = 0; i < 4096; i++)
		s = s * 31 + data[i];
	return s;
}
