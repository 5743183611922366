// A call into memory from malloc.
// stderr: (?i)sigsegv
#include <stdlib.h>
#include <string.h>
int main(void)
{
	char *p = aligned_alloc(64, 128);
	memset(p, 0xc3, 128);
	((void (*volatile)(void))(void *)p)();
	return 0;
}
