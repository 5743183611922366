// Anonymous memory: zero, fixed, partial unmapping, protection, remapping, errors.
#define _GNU_SOURCE
#include "check.h"
#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
int main(void)
{
	enum { P = 4096 };
	char *a = mmap(0, 10 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(a != MAP_FAILED && ((uintptr_t)a & (P - 1)) == 0);
	int nz = 0;
	for (int i = 0; i < 10 * P; i++)
		nz |= a[i];
	CHECK(nz == 0);
	memset(a, 7, 10 * P);
	CHECK(munmap(a + 3 * P, 2 * P) == 0);
	CHECK(a[3 * P - 1] == 7 && a[5 * P] == 7);
	char *b = mmap(a + 3 * P, 2 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CHECK(b == a + 3 * P && b[0] == 0 && b[2 * P - 1] == 0);
	b = mmap(a, P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CHECK(b == a && a[0] == 0 && a[P] == 7);
	b = mmap(a, P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	CHECK(b == MAP_FAILED && errno == EEXIST);
	CHECK(mprotect(a, 10 * P, PROT_READ) == 0 && a[P] == 7);
	CHECK(mprotect(a, 10 * P, PROT_READ | PROT_WRITE) == 0);
	CHECK(madvise(a + P, P, MADV_DONTNEED) == 0 && a[P] == 0 && a[2 * P] == 7);
	char *m = mremap(a, 10 * P, 4 * P, 0);
	CHECK(m == a);
	m = mremap(a, 4 * P, 300 * P, MREMAP_MAYMOVE);
	CHECK(m != MAP_FAILED && m[2 * P] == 7 && m[299 * P] == 0);
	CHECK(munmap(m, 300 * P) == 0);
	CHECK(munmap((void *)1, P) == -1 && errno == EINVAL);
	CHECK(mmap(0, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EINVAL);
	CHECK(mprotect(m, P, PROT_READ) == -1 && errno == ENOMEM);
	CHECK(mmap(0, P, PROT_READ, MAP_PRIVATE, 99, 0) == MAP_FAILED && errno == EBADF);
	for (int i = 0; i < 2000; i++) {
		char *q = mmap(0, 100 * P, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(q != MAP_FAILED);
		q[99 * P] = 1;
		munmap(q, 100 * P);
	}
	printf("%d failures\n", failures);
	return failures != 0;
}
