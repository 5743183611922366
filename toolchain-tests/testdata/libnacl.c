// The calls that only NaCl has, through libnacl: what the host serves works, what it does not serve is ENOSYS.
// cc: -lnacl
// link: dynamic static
// native: skip
// stdout: "null 0\nsysconf 0 1 4096 -1 EINVAL -1 EFAULT\ntls 1\nsecond 0 1 1\nnice 0 0 0 -1\nrandom 0 1 -1 EFAULT\nfutex 0 -1 EAGAIN -1 ETIMEDOUT\nimc 0\ndyncode -1 EFAULT\n"
#include <errno.h>
#include <nacl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *name(int r)
{
	if (r >= 0)
		return "ok";
	switch (errno) {
	case EINVAL: return "EINVAL";
	case EFAULT: return "EFAULT";
	case ENOSYS: return "ENOSYS";
	case EAGAIN: return "EAGAIN";
	case ETIMEDOUT: return "ETIMEDOUT";
	}
	return strerror(errno);
}

static int word;

static void *other(void *mine)
{
	/* A thread has a second word of its own. */
	int zero = nacl_second_tls_get() == NULL;
	nacl_second_tls_set(&zero);
	int kept = nacl_second_tls_get() == (void *)&zero;
	word = 1;
	nacl_futex_wake(&word, 1);
	*(int *)mine = zero && kept;
	return NULL;
}

int main(void)
{
	printf("null %d\n", nacl_null());

	int n = 0, page = 0, r = nacl_sysconf(NACL_SC_NPROCESSORS_ONLN, &n);
	nacl_sysconf(NACL_SC_PAGESIZE, &page);
	printf("sysconf %d %d %d", r, n > 0, page);
	r = nacl_sysconf(999, &n);
	printf(" %d %s", r, name(r));
	r = nacl_sysconf(NACL_SC_PAGESIZE, (int *)8);
	printf(" %d %s\n", r, name(r));

	printf("tls %d\n", nacl_tls_get() == (void *)pthread_self());
	r = nacl_second_tls_set(&n);
	int fine = 0;
	pthread_t t;
	pthread_create(&t, NULL, other, &fine);
	int woken = nacl_futex_wait_abs(&word, 0, NULL);
	woken = woken == 0 || errno == EAGAIN ? 0 : woken; /* the other may have been faster */
	pthread_join(t, NULL);
	printf("second %d %d %d\n", r, fine, nacl_second_tls_get() == (void *)&n);

	printf("nice %d %d %d %d\n", nacl_thread_nice(NACL_NICE_REALTIME), nacl_thread_nice(NACL_NICE_NORMAL),
	       nacl_thread_nice(NACL_NICE_BACKGROUND), nacl_thread_nice(3));

	unsigned char bytes[10000] = {0};
	int some = 0;
	r = nacl_get_random_bytes(bytes, sizeof bytes);
	for (size_t i = sizeof bytes - 100; i < sizeof bytes; i++)
		some |= bytes[i];
	printf("random %d %d", r, some != 0);
	r = nacl_get_random_bytes((void *)8, 4);
	printf(" %d %s\n", r, name(r));

	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	struct nacl_timespec soon = {now.tv_sec, now.tv_nsec, -1};
	printf("futex %d", woken);
	r = nacl_futex_wait_abs(&word, 0, NULL);
	printf(" %d %s", r, name(r));
	r = nacl_futex_wait_abs(&word, 1, &soon);
	printf(" %d %s\n", r, name(r));

	int pair[2];
	r = nacl_imc_socketpair(pair);
	printf("imc %d\n", r);
	r = nacl_dyncode_create((void *)0x100000, bytes, 32);
	printf("dyncode %d %s\n", r, name(r));
	return 0;
}
