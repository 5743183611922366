// Code made at run time, created, changed, deleted and mapped from a file, also while a second thread runs.
// cc: -lnacl
// link: dynamic static
// native: skip
// stdout: "start 1 1\ncreate 0 1234\nagain -1 EINVAL\nmodify 0 5678\nbad -1 EINVAL 5678\ndelete 0\ndelete -1 EFAULT\nreuse 0 99\nthreads 0\nstatic -1 EFAULT\nmprotect -1 munmap -1 write SIGSEGV\nmap 1 777\nmodify mapped -1 EFAULT\nunmap -1\nwritable -1 EINVAL\n"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <nacl.h>

static const char *name(int r)
{
	if (r != -1) return "";
	switch (errno) {
	case EAGAIN: return "EAGAIN";
	case EFAULT: return "EFAULT";
	case EINVAL: return "EINVAL";
	case ENOSYS: return "ENOSYS";
	}
	return "another error";
}

static unsigned char *returns(int v)
{
	static unsigned char code[32];

	memset(code, 0x90, sizeof code);
	code[0] = 0xb8;
	memcpy(code + 1, &v, 4);
	code[5] = 0xc3;
	return code;
}

static int delete(void *at, size_t n)
{
	int r;

	while ((r = nacl_dyncode_delete(at, n)) && errno == EAGAIN);
	return r;
}

static volatile int stop, running;

static void *run(void *x)
{
	while (!stop) running++;
	return 0;
}

static sigjmp_buf back;

static void fault(int sig)
{
	siglongjmp(back, sig);
}

int main(void)
{
	int start = 0, end = 0, r;

	r = nacl_sysconf(0x100, &start) | nacl_sysconf(0x101, &end);
	printf("start %d %d\n", !r && start > 0, end - start >= 1 << 20 && start % 65536 == 0);

	unsigned char *at = (unsigned char *)(uintptr_t)(unsigned)start;
	int (*f)(void) = (int (*)(void))at;

	r = nacl_dyncode_create(at, returns(1234), 32);
	printf("create %d %d\n", r, f());
	r = nacl_dyncode_create(at, returns(1), 32);
	printf("again %d %s\n", r, name(r));
	r = nacl_dyncode_modify(at + 1, &(int){5678}, 4);
	printf("modify %d %d\n", r, f());
	r = nacl_dyncode_modify(at, "\x0f\x05", 2);
	printf("bad %d %s", r, name(r));
	printf(" %d\n", f());
	printf("delete %d\n", delete(at, 32));
	r = nacl_dyncode_delete(at, 32);
	printf("delete %d %s\n", r, name(r));
	r = nacl_dyncode_create(at, returns(99), 32);
	printf("reuse %d %d\n", r, f());

	pthread_t t;
	int bad = 0;
	pthread_create(&t, 0, run, 0);
	while (!running);
	for (int i = 0; i < 100; i++)
		bad += delete(at, 32) || nacl_dyncode_create(at, returns(i), 32) || f() != i;
	stop = 1;
	pthread_join(t, 0);
	printf("threads %d\n", bad);

	r = nacl_dyncode_create((void *)((uintptr_t)main & ~31), returns(1), 32);
	printf("static %d %s\n", r, name(r));

	printf("mprotect %d", mprotect(at, 65536, PROT_READ | PROT_WRITE));
	printf(" munmap %d", munmap(at, 65536));
	signal(SIGSEGV, fault);
	r = sigsetjmp(back, 1);
	if (!r) *(volatile char *)at = 1;
	printf(" write %s\n", r == SIGSEGV ? "SIGSEGV" : "went through");

	static unsigned char page[65536];
	memset(page, 0xf4, sizeof page);
	memcpy(page, returns(777), 32);
	int fd = open("code", O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (write(fd, page, sizeof page) != sizeof page) perror("code");
	unsigned char *there = at + 0x100000;
	int ro = open("code", O_RDONLY);
	void *m = mmap(there, sizeof page, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, ro, 0);
	printf("map %d %d\n", m == there, m == there ? ((int (*)(void))there)() : -1);
	r = nacl_dyncode_modify(there + 1, &(int){1}, 4);
	printf("modify mapped %d %s\n", r, name(r));
	printf("unmap %d\n", munmap(there, sizeof page));
	r = mmap(there + 65536, sizeof page, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, 0) == MAP_FAILED ? -1 : 0;
	printf("writable %d %s\n", r, name(r));
	unlink("code");
	return 0;
}
