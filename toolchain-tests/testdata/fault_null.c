// A read through a null pointer.
// stderr: (?i)sigsegv
#include <stdio.h>
int main(void)
{
	int *volatile p = 0;
	fflush(stdout);
	return *p;
}
