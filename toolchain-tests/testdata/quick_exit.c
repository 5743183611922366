// at_quick_exit handlers run at quick_exit, those of atexit do not.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static void q1(void) { write(1, "q1\n", 3); }
static void q2(void) { write(1, "q2\n", 3); }
static void no(void) { write(1, "no\n", 3); }
int main(void)
{
	at_quick_exit(q1);
	at_quick_exit(q2);
	atexit(no);
	quick_exit(4);
}
