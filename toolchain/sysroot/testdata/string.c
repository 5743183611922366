/* Compares the string functions (prefix h_) with the native library's, at the
 * end of a page behind which nothing is mapped, and before its beginning. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

extern void *h_memcpy(void *, const void *, size_t), *h_memmove(void *, const void *, size_t), *h_memset(void *, int, size_t), *h_memchr(const void *, int, size_t);
extern int h_memcmp(const void *, const void *, size_t), h_strcmp(const char *, const char *);
extern size_t h_strlen(const char *);
extern char *h_strchrnul(const char *, int);

static int failures;

#define FAIL(...) do { if (failures++ < 20) { printf(__VA_ARGS__); putchar('\n'); } } while (0)

#define AREA (64 * 1024)

/* An area with an unmapped page at each end. */
static unsigned char *area(void)
{
	char *p = mmap(0, AREA + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || mprotect(p + 4096, AREA, PROT_READ | PROT_WRITE)) exit(2);
	return (unsigned char *)p + 4096;
}

static int sign(int x)
{
	return (x > 0) - (x < 0);
}

int main(void)
{
	unsigned char *a = area(), *b = area(), *want = malloc(AREA);
	static const int extra[] = { 511, 512, 513, 600, 640, 767, 1000, 1024, 2000, 4095, 4096, 5000, 9000, 20000 };
	int sizes[320 + sizeof extra / sizeof *extra], n = 0;

	for (int i = 0; i < 320; i++) sizes[n++] = i;
	for (unsigned i = 0; i < sizeof extra / sizeof *extra; i++) sizes[n++] = extra[i];
	for (int i = 0; i < AREA; i++) b[i] = i * 7 + i / 256;

	for (int k = 0; k < n; k++) {
		size_t len = sizes[k];
		for (int da = 0; da < 34; da += 1 + (len > 300) * 3) {
			for (int sa = 0; sa < 34; sa += 3) {
				/* From the beginning of the area, and up to its end. */
				for (int end = 0; end < 2; end++) {
					size_t d = end ? AREA - len - da : da, s = end ? AREA - len - sa : sa;
					size_t low = d > 64 ? d - 64 : 0, high = d + len + 64 < AREA ? d + len + 64 : AREA;
					memset(a + low, 0xee, high - low);
					memcpy(want + low, a + low, high - low);
					memcpy(want + d, b + s, len);
					if (h_memcpy(a + d, b + s, len) != a + d || memcmp(a + low, want + low, high - low)) FAIL("memcpy %zu %d %d %d", len, da, sa, end);
					if (h_memcmp(a + d, b + s, len)) FAIL("memcmp equal %zu %d %d", len, da, sa);
				}
			}
		}
		/* Overlap by every distance of interest, both ways. */
		static const int by[] = { 0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 200, 300, 600 };
		for (unsigned i = 0; i < sizeof by / sizeof *by; i++) {
			for (int back = 0; back < 2; back++) {
				for (int at = 0; at < 3; at++) {
					size_t s = 1024 + 5 * at, d = back ? s - by[i] : s + by[i];
					memcpy(a, b, 32768);
					memcpy(want, b, 32768);
					memmove(want + d, want + s, len);
					if (h_memmove(a + d, a + s, len) != a + d || memcmp(a, want, 32768)) FAIL("memmove %zu by %d back %d", len, by[i], back);
				}
			}
		}
		for (int da = 0; da < 34; da++) {
			for (int end = 0; end < 2; end++) {
				size_t d = end ? AREA - len - da : da;
				size_t low = d > 64 ? d - 64 : 0, high = d + len + 64 < AREA ? d + len + 64 : AREA;
				memset(a + low, 0xee, high - low);
				memcpy(want + low, a + low, high - low);
				memset(want + d, 0x5a, len);
				if (h_memset(a + d, 0x3005a, len) != a + d || memcmp(a + low, want + low, high - low)) FAIL("memset %zu %d", len, da);
			}
		}
		/* Every place of the first difference or hit. */
		if (len > 0 && len < 320) {
			for (int da = 0; da < 20; da += 3) {
				unsigned char *p = a + AREA - len - da, *q = b + AREA - len;
				for (size_t i = 0; i < len; i++) {
					memset(p, 'x', len);
					memset(q, 'x', len);
					p[i] = 0x80;
					if (sign(h_memcmp(p, q, len)) != 1 || sign(h_memcmp(q, p, len)) != -1) FAIL("memcmp %zu at %zu", len, i);
					if (h_memchr(p, 0x80, len) != p + i) FAIL("memchr %zu at %zu", len, i);
					if (h_memchr(p, 0x80, i) != 0) FAIL("memchr %zu before %zu", len, i);
					if (h_memchr(p, 0x80, SIZE_MAX / 2) != p + i) FAIL("memchr unbounded at %zu", i);
					p[len - 1] = 0;
					q[len - 1] = 0;
					if (h_strlen((char *)p) != strlen((char *)p)) FAIL("strlen %zu", len);
					char *r = h_strchrnul((char *)p, 0x80);
					if (r != (char *)p + i) FAIL("strchrnul %zu at %zu", len, i);
					if (sign(h_strcmp((char *)p, (char *)q)) != sign(strcmp((char *)p, (char *)q)) ||
					    sign(h_strcmp((char *)q, (char *)p)) != sign(strcmp((char *)q, (char *)p))) FAIL("strcmp %zu at %zu", len, i);
				}
				if (h_memchr(p, 'y', len)) FAIL("memchr finds nothing in %zu", len);
			}
		}
	}
	if (failures) printf("%d failures\n", failures);
	else puts("ok");
	return failures != 0;
}
