// exit from deep inside flushes what is buffered.
#include <stdio.h>
#include <stdlib.h>
static void down(int n)
{
	if (n == 0)
		exit(7);
	down(n - 1);
	printf("never\n");
}
int main(void)
{
	setvbuf(stdout, 0, _IOFBF, 4096);
	printf("buffered, no newline");
	down(100);
}
