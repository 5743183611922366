// Attack: writable code. Memory that a program could write is never executable: PROT_EXEC is refused with an error.
// native: skip
// stdout: "mmap refused, mprotect refused\n"
#include <stdio.h>
#include <sys/mman.h>
int main(void)
{
	char *p = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	printf("mmap %s, ", p == MAP_FAILED ? "refused" : "allowed");
	p = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	printf("mprotect %s\n", mprotect(p, 4096, PROT_READ | PROT_EXEC) ? "refused" : "allowed");
	return 0;
}
