// abort ends the program by SIGABRT, even when the signal is blocked or caught.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static void caught(int s) { write(1, "caught\n", 7); }
int main(void)
{
	signal(SIGABRT, caught);
	write(2, "aborting\n", 9);
	abort();
}
