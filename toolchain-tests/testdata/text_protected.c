// A program's own code can be neither unmapped, replaced, made writable nor read around.
// native: skip
// stdout: "munmap -1, mprotect -1, mmap -1, mremap -1\n"
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
int main(void)
{
	char *p = (char *)((uintptr_t)main & -4096);
	printf("munmap %d, ", munmap(p, 4096));
	printf("mprotect %d, ", mprotect(p, 4096, PROT_READ | PROT_WRITE));
	printf("mmap %d, ", mmap(p, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ? -1 : 0);
	printf("mremap %d\n", mremap(p, 4096, 8192, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0);
	return 0;
}
