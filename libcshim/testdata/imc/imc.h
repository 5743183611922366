// What the programs here have in common.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <nacl.h>

// As the calls themselves have it: the number of the error.
static int r_(int r) { return r == -1 ? -errno : r; }
#define nacl_imc_makeboundsock(...) r_((nacl_imc_makeboundsock)(__VA_ARGS__))
#define nacl_imc_accept(...) r_((nacl_imc_accept)(__VA_ARGS__))
#define nacl_imc_connect(...) r_((nacl_imc_connect)(__VA_ARGS__))
#define nacl_imc_sendmsg(...) r_((nacl_imc_sendmsg)(__VA_ARGS__))
#define nacl_imc_recvmsg(...) r_((nacl_imc_recvmsg)(__VA_ARGS__))
#define nacl_imc_mem_obj_create(...) r_((nacl_imc_mem_obj_create)(__VA_ARGS__))
#define nacl_imc_socketpair(...) r_((nacl_imc_socketpair)(__VA_ARGS__))
#define SLOT(n) ((int (*)())(0x10000 + 32 * (n)))

#define want(e, v) do { long long g_ = (e), w_ = (v); if (g_ != w_) { printf("line %d: %s = %lld, not %lld\n", __LINE__, #e, g_, w_); exit(1); } } while (0)

static int send_(int fd, const void *p, int n, const int *d, int nd, int flags)
{
	struct nacl_imc_iovec v = {(nacl_pointer_t)(uintptr_t)p, n};
	struct nacl_imc_msghdr h = {(nacl_pointer_t)(uintptr_t)&v, 1, (nacl_pointer_t)(uintptr_t)d, nd, 0};
	return nacl_imc_sendmsg(fd, &h, flags);
}

static __thread int got, gotflags; // by the last recv_
static int recv_(int fd, void *p, int n, int *d, int nd, int flags)
{
	struct nacl_imc_iovec v = {(nacl_pointer_t)(uintptr_t)p, n};
	struct nacl_imc_msghdr h = {(nacl_pointer_t)(uintptr_t)&v, 1, (nacl_pointer_t)(uintptr_t)d, nd, 99};
	int r = nacl_imc_recvmsg(fd, &h, flags);
	got = h.desc_length;
	gotflags = h.flags;
	return r;
}

static void *acceptor(void *fd) { return (void *)(long)nacl_imc_accept((int)(long)fd); }

static void pair(int bound, int cap, int *a, int *b)
{
	pthread_t t;
	void *r;
	pthread_create(&t, 0, acceptor, (void *)(long)bound);
	*a = nacl_imc_connect(cap);
	pthread_join(t, &r);
	*b = (int)(long)r;
	if (*a < 0 || *b < 0) { printf("pair %d %d\n", *a, *b); exit(1); }
}

static char b[200000];
