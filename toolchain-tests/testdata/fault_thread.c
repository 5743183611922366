// A fault in a thread ends the whole program.
// cc: -pthread
// stderr: (?i)sigsegv
#include <pthread.h>
#include <unistd.h>
static void *run(void *a) { *(volatile int *)4 = 1; return 0; }
int main(void)
{
	pthread_t t;
	pthread_create(&t, 0, run, 0);
	sleep(20);
	return 0;
}
