// CRC-32, one table, a byte at a time, over 256 KiB.
// rounds: 100
#include "kernel.h"
static uint32_t table[256];
static unsigned char buf[1 << 18];
static uint32_t crc(uint32_t c, const unsigned char *p, size_t n)
{
	c = ~c;
	while (n--)
		c = table[(c ^ *p++) & 255] ^ c >> 8;
	return ~c;
}
static uint64_t kernel(long n)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;
		for (int k = 0; k < 8; k++)
			c = c & 1 ? 0xedb88320 ^ c >> 1 : c >> 1;
		table[i] = c;
	}
	for (size_t i = 0; i < sizeof buf; i++)
		buf[i] = rnd();
	uint32_t c = 0;
	while (n--)
		c = crc(c, buf, sizeof buf);
	return c;
}
