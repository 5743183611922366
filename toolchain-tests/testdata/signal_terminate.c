// A signal with its default action ends the program; the status tells which.
#include <signal.h>
#include <stdio.h>
int main(void)
{
	printf("before\n");
	fflush(stdout);
	raise(SIGTERM);
	printf("after\n");
	return 0;
}
