// A SIGSEGV handler learns the address and can repair the cause; the access is then made again.
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
static volatile char *area;
static volatile int faults;
static void *volatile where;
static volatile int code;
static void handler(int s, siginfo_t *i, void *c)
{
	faults++;
	where = i->si_addr;
	code = i->si_code;
	mprotect((void *)((uintptr_t)i->si_addr & -4096), 4096, PROT_READ | PROT_WRITE);
}
int main(void)
{
	area = mmap(0, 16 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct sigaction sa;
	memset(&sa, 0, sizeof sa);
	sa.sa_sigaction = handler;
	sa.sa_flags = SA_SIGINFO;
	sigaction(SIGSEGV, &sa, 0);
	for (int i = 0; i < 16; i++) {
		area[i * 4096 + i * 10] = 'a' + i;
		if (where != area + i * 4096 + i * 10 || code != SEGV_ACCERR)
			printf("wrong address or code %d\n", code);
	}
	printf("%d faults\n", faults);
	long sum = 0;
	for (int i = 0; i < 16 * 4096; i++)
		sum += area[i];
	printf("%ld\n", sum);
	mprotect(area, 4096, PROT_READ);
	int v = area[0];
	area[1] = v;
	printf("%d %c\n", faults, area[1]);
	return 0;
}
