// Memory that was unmapped.
// stderr: (?i)sigsegv
#include <sys/mman.h>
int main(void)
{
	volatile char *p = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	p[4096] = 1;
	munmap((void *)p, 8192);
	return p[4096];
}
