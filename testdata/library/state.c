/* Leaves the sandbox with everything in the CPU in a state that Go must not see. (The
 * direction flag can't be set: the validator refuses std.) */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

int seen(int);
void leave_go(int);

volatile int go_on;

/* pending: an x87 exception that nobody has taken yet. */
static void dirty(int pending)
{
	static const uint32_t mxcsr = 0xe040; /* flush to zero, round towards zero, nothing masked */
	static const uint16_t fcw = 0x0c40;   /* single precision, round towards zero, nothing masked */
	__asm__ volatile("vpcmpeqb %%ymm0, %%ymm0, %%ymm0\n vmovdqa %%ymm0, %%ymm7\n vmovdqa %%ymm0, %%ymm15\n"
	                 "fld1\n fldpi\n"
	                 "fldcw %1\n ldmxcsr %0" :: "m"(mxcsr), "m"(fcw) : "memory");
	if (pending) __asm__ volatile("fldz\n fdivrp\n");
}

enum { RETURN, CALL, SYSTEM_CALL, READ, ILLEGAL, SPIN, WAIT, EXIT, PANIC, GOEXIT, THREAD };

static void *in_thread(void *p)
{
	dirty(0);
	*(volatile int *)p = 1;
	return p;
}

int state(int way, int pending)
{
	pthread_t t;
	if (way == THREAD) {
		pthread_create(&t, 0, in_thread, (void *)&go_on);
		pthread_join(t, 0);
	}
	dirty(pending);
	switch (way) {
	case CALL:
		return seen(way);
	case SYSTEM_CALL:
		return write(1, "x", 1);
	case READ:
		return *(volatile int *)(uintptr_t)(16 + pending);
	case ILLEGAL:
		__builtin_trap();
	case SPIN:
		for (;;) __asm__ volatile("");
	case WAIT:
		while (!go_on) __asm__ volatile("");
		return go_on;
	case EXIT:
		_exit(3);
	case PANIC:
	case GOEXIT:
		leave_go(way);
	}
	return way;
}

/* What a guest finds of another one: 0. */
int found(void)
{
	uint32_t mxcsr, vectors;
	uint16_t fcw, fsw;
	__asm__ volatile("vorps %%ymm15, %%ymm7, %%ymm7\n vptest %%ymm7, %%ymm7\n setnz %b3\n movzbl %b3, %3\n"
	                 "stmxcsr %0\n fnstcw %1\n fnstsw %2" : "=m"(mxcsr), "=m"(fcw), "=m"(fsw), "=q"(vectors) :: "xmm7", "cc");
	/* the condition codes are what the last trampoline has found, which is nobody's secret */
	return mxcsr != 0x1f80 | (fcw != 0x37f) << 1 | ((fsw & 0x38ff) != 0) << 2 | vectors << 3;
}
