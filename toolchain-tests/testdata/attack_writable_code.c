// Attack: writable code. A second view of its page, a shared file behind it, changes of access while others try the same. All of it is refused, or changes nothing.
// cc: -lnacl
// native: skip
// stdout: "mapped 777\nthrough the file 777\nthrough the shared view 777\nthrough the data view 777\nrace refused\ncode is read-only 9\n"
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <nacl.h>

#define UNIT 65536

static unsigned char *returns(int v)
{
	static unsigned char code[UNIT];

	memset(code, 0xf4, sizeof code);
	memset(code, 0x90, 32);
	code[0] = 0xb8;
	memcpy(code + 1, &v, 4);
	code[5] = 0xc3;
	return code;
}

static char *shared;
static unsigned char *code;
static int fd, ro;
static volatile int stop, allowed;

/* Two threads: one changes the access and the mapping of a page for ever, the other asks for execution. */
static void *flip(void *x)
{
	for (int i = 0; !stop; i++) {
		mprotect(shared, UNIT, i & 1 ? PROT_READ : PROT_READ | PROT_WRITE);
		if (mmap(shared, UNIT, PROT_READ | PROT_WRITE, MAP_FIXED | (i & 2 ? MAP_PRIVATE : MAP_SHARED), fd, 0) == MAP_FAILED) allowed |= 4;
	}
	return 0;
}

static void *execute(void *x)
{
	for (int i = 0; i < 2000; i++) {
		if (!mprotect(shared, UNIT, PROT_READ | PROT_EXEC)) allowed |= 1;
		if (!mprotect(shared, UNIT, PROT_READ | PROT_WRITE | PROT_EXEC)) allowed |= 1;
		if (mmap(shared, UNIT, PROT_READ | PROT_EXEC, MAP_FIXED | MAP_SHARED, ro, 0) != MAP_FAILED) allowed |= 2;
		if (mmap(0, UNIT, PROT_READ | PROT_EXEC, MAP_SHARED, ro, 0) != MAP_FAILED) allowed |= 2;
	}
	stop = 1;
	return 0;
}

static sigjmp_buf back;
static void fault(int sig) { siglongjmp(back, sig); }

int main(void)
{
	int start = 0;

	nacl_sysconf(0x100, &start);
	code = (unsigned char *)(uintptr_t)(unsigned)start + UNIT;
	int (*f)(void) = (int (*)(void))code;
	fd = open("code", O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (write(fd, returns(777), UNIT) != UNIT) perror("code");
	ro = open("code", O_RDONLY);
	shared = mmap(0, UNIT, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mmap(code, UNIT, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, ro, 0) != code) perror("mmap");
	printf("mapped %d\n", f());
	if (pwrite(fd, returns(1), UNIT, 0) != UNIT) perror("code");
	printf("through the file %d\n", f());
	memcpy(shared, returns(2), UNIT);
	msync(shared, UNIT, MS_SYNC);
	printf("through the shared view %d\n", f());
	/* A data mapping in the place of code, and one that ends in it. */
	if (mmap(code, UNIT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED) puts("data over code");
	if (mmap(code - 4096, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED) puts("data over code");
	if (mremap(code, UNIT, 2 * UNIT, MREMAP_MAYMOVE) != MAP_FAILED) puts("code moved");
	if (!madvise(code, UNIT, MADV_DONTNEED)) puts("code discarded");
	printf("through the data view %d\n", f());

	pthread_t a, b;
	pthread_create(&a, 0, flip, 0);
	pthread_create(&b, 0, execute, 0);
	pthread_join(a, 0);
	pthread_join(b, 0);
	printf("race %s\n", allowed & 3 ? "won" : "refused");

	/* The program's own code, the trampolines, the code above. */
	unsigned char *all[] = { (unsigned char *)((uintptr_t)main & -4096), (unsigned char *)0x10000, code };
	volatile int faults = 0;
	signal(SIGSEGV, fault);
	for (volatile int i = 0; i < 3; i++) {
		faults += mprotect(all[i], 4096, PROT_READ | PROT_WRITE) != 0;
		faults += munmap(all[i], 4096) != 0;
		if (!sigsetjmp(back, 1))
			*(volatile unsigned char *)all[i] = 0x90;
		else
			faults++;
	}
	printf("code is read-only %d\n", faults);
	unlink("code");
	return 0;
}
