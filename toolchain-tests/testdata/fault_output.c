// What was written before the fault stays written, what was only buffered is lost.
// stderr: (?i)sigsegv
#include <stdio.h>
#include <unistd.h>
int main(void)
{
	setvbuf(stdout, 0, _IOFBF, 1000);
	printf("flushed\n");
	fflush(stdout);
	printf("lost\n");
	*(volatile int *)4 = 1;
	return 0;
}
