#include "t.h"
// Signals for the process arrive while threads begin and end.
static volatile sig_atomic_t alarms;
static void on_alarm(int s) { alarms++; }
static void *nothing(void *a) { return a; }
int main(void) {
	struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	show(sigaction(SIGALRM, &sa, 0));
	struct itimerval every = {{0, 100}, {0, 100}};
	show(setitimer(ITIMER_REAL, &every, 0));
	int bad = 0;
	for (int i = 0; i < 300 || alarms < 100; i++) {
		pthread_t t[4];
		void *r;
		for (long j = 0; j < 4; j++) bad += pthread_create(&t[j], 0, nothing, (void *)j) != 0;
		for (long j = 0; j < 4; j++) bad += pthread_join(t[j], &r) != 0 || r != (void *)j;
	}
	show(bad);
	show(alarms >= 100);
	return 0;
}
