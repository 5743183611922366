// _Exit does not flush and runs no handlers.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static void never(void) { write(1, "handler\n", 8); }
int main(void)
{
	setvbuf(stdout, 0, _IOFBF, 4096);
	atexit(never);
	write(1, "seen\n", 5);
	printf("lost");
	_Exit(3);
}
