// realloc keeps the content up and down; calloc gives zeros, also in recycled memory; overflow is refused.
#include "check.h"
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
int main(void)
{
	unsigned char *p = 0;
	size_t n = 0;
	for (int i = 0; i < 3000; i++) {
		size_t m = 1 + rnd() % (i % 50 == 0 ? 1000000 : 3000);
		unsigned char *q = realloc(p, m);
		CHECK(q != 0);
		for (size_t j = 0; j < n && j < m; j += 1 + j / 8)
			CHECK(q[j] == (unsigned char)(j * 7));
		for (size_t j = 0; j < m; j++)
			q[j] = j * 7;
		p = q;
		n = m;
	}
	free(p);
	for (int i = 0; i < 300; i++) {
		size_t k = 1 + rnd() % 20000;
		unsigned char *a = malloc(k);
		memset(a, 0xee, k);
		free(a);
		a = calloc(k, 1);
		size_t bad = 0;
		for (size_t j = 0; j < k; j++)
			bad += a[j] != 0;
		CHECK(bad == 0);
		memset(a, 0xdd, k);
		free(a);
	}
	volatile size_t huge = SIZE_MAX / 2;
	errno = 0;
	CHECK(calloc(huge, 4) == 0 && errno == ENOMEM);
	CHECK(malloc(SIZE_MAX - 100) == 0);
	CHECK(realloc(0, 10) != 0);
	for (size_t a = 16; a <= 65536; a *= 2) {
		void *q = aligned_alloc(a, a * 2);
		CHECK(q && ((uintptr_t)q & (a - 1)) == 0);
		free(q);
		CHECK(posix_memalign(&q, a, 100) == 0 && ((uintptr_t)q & (a - 1)) == 0);
		CHECK(malloc_usable_size(q) >= 100);
		free(q);
	}
	void *q;
	CHECK(posix_memalign(&q, 3, 10) == EINVAL);
	printf("%d failures\n", failures);
	return failures != 0;
}
