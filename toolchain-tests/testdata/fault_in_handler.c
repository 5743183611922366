// A fault in the handler of that fault is final.
// stderr: (?i)sigsegv
#include <signal.h>
static void handler(int s) { *(volatile int *)8 = 1; }
int main(void)
{
	signal(SIGSEGV, handler);
	*(volatile int *)4 = 1;
	return 0;
}
