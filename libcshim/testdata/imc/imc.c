// IMC in a guest: the behaviours of Native Client's tests, attacks, and peers.
#include "imc.h"

static void transfer(void)
{
	int p[2], q[2], a, c, d[9], i;
	want(nacl_imc_makeboundsock(p), 0);
	pair(p[0], p[1], &a, &c);
	want(send_(a, "hello", 5, 0, 0, 0), 5);
	want(recv_(c, b, 100, d, 8, 0), 5); want(got, 0); want(gotflags, 0); want(memcmp(b, "hello", 5), 0);
	want(send_(c, "you too", 7, 0, 0, 0), 7);
	want(recv_(a, b, 100, d, 8, 0), 7);
	want(send_(a, "x", 1, &p[0], 1, 0), -EIO);
	want(send_(a, "x", 1, &a, 1, 0), -EIO);
	want(send_(a, "cap", 3, &p[1], 1, 0), 3);
	want(recv_(c, b, 100, d, 8, 0), 3); want(got, 1);
	int e, f, cap = d[0];
	pair(p[0], cap, &e, &f);
	want(send_(e, "way", 3, 0, 0, 0), 3);
	want(recv_(f, b, 100, 0, 0, 0), 3);
	d[0] = -1; want(send_(a, "", 0, d, 1, 0), 0);
	want(recv_(c, b, 100, d, 8, 0), 0); want(got, 1); want(d[0], -1);
	d[0] = 1234; want(send_(a, "x", 1, d, 1, 0), -EBADF);
	d[0] = -2; want(send_(a, "x", 1, d, 1, 0), -EBADF);
	for (i = 0; i < 9; i++) d[i] = -1;
	want(send_(a, "x", 1, d, 8, 0), 1);
	want(send_(a, "x", 1, d, 9, 0), -EINVAL);
	memset(d, 0, sizeof d);
	want(recv_(c, b, 100, d, 8, 0), 1); want(got, 8);
	for (i = 0; i < 8; i++) want(d[i], -1);
	// More descriptors than room: closed, and told.
	d[0] = d[1] = p[1];
	want(send_(a, "x", 1, d, 2, 0), 1);
	want(recv_(c, b, 100, d, 1, 0), 1); want(got, 1); want(gotflags, NACL_IMC_DESC_TRUNCATED);
	close(d[0]);
	// Sizes.
	want(send_(a, b, 131072, 0, 0, 0), 131072);
	want(recv_(c, b, 10, 0, 0, 0), 10); want(gotflags, 0);
	want(send_(a, b, 131073, 0, 0, 0), -EIO);
	want(recv_(c, b, 10, 0, 0, NACL_IMC_NONBLOCK), -EAGAIN);
	fcntl(c, F_SETFL, O_NONBLOCK);
	want(recv_(c, b, 10, 0, 0, 0), -EAGAIN);
	fcntl(c, F_SETFL, 0);
	for (i = 0; (errno = -send_(a, b, 1000, 0, 0, NACL_IMC_NONBLOCK)) < 0 && i < 100000; i++) ;
	want(errno, EAGAIN);
	while (recv_(c, b, 1000, 0, 0, NACL_IMC_NONBLOCK) >= 0) ;
	// Sockets are files.
	struct stat st;
	want(fstat(a, &st), 0); want(S_ISSOCK(st.st_mode), 1);
	want(read(a, b, 1), -1); want(errno, EINVAL);
	want(write(a, b, 1), -1); want(errno, EINVAL);
	int g = dup(c);
	struct pollfd pf = {g, POLLIN | POLLOUT};
	want(poll(&pf, 1, 0), 1); want(pf.revents, POLLOUT);
	want(send_(a, "p", 1, 0, 0, 0), 1);
	want(poll(&pf, 1, -1), 1); want(pf.revents, POLLIN | POLLOUT);
	int ep = epoll_create1(0);
	struct epoll_event ev = {EPOLLIN};
	want(epoll_ctl(ep, EPOLL_CTL_ADD, g, &ev), 0);
	want(epoll_wait(ep, &ev, 1, -1), 1);
	close(c);
	want(recv_(g, b, 1, 0, 0, 0), 1);
	close(ep); close(g);
	want(send_(a, "x", 1, 0, 0, 0), -EIO);
	want(recv_(a, b, 1, 0, 0, 0), -EIO);
	// Wrong kinds.
	want(nacl_imc_accept(a), -EINVAL); want(nacl_imc_connect(a), -EINVAL);
	want(nacl_imc_accept(99), -EBADF); want(nacl_imc_connect(-1), -EBADF);
	want(send_(1, "x", 1, 0, 0, 0), -EIO); want(recv_(1, b, 1, 0, 0, 0), -EINVAL);
	want(send_(p[1], "x", 1, 0, 0, 0), -EIO); want(recv_(p[0], b, 1, 0, 0, 0), -EINVAL);
	// Ends of addresses.
	want(nacl_imc_makeboundsock(q), 0);
	close(q[1]); want(nacl_imc_accept(q[0]), -EIO);
	want(nacl_imc_makeboundsock(q), 0);
	close(q[0]); want(nacl_imc_connect(q[1]), -EIO);
	// Data sockets.
	want(nacl_imc_socketpair(q), 0);
	want(send_(q[0], "abc", 3, &p[1], 1, 0), -EIO);
	want(send_(q[0], "abc", 3, 0, 0, 0), 3);
	want(send_(e, "s", 1, &q[1], 1, 0), 1);
	close(q[1]);
	want(recv_(f, b, 1, d, 1, 0), 1); want(got, 1);
	want(recv_(d[0], b, 3, 0, 0, 0), 3);
}

static void memory(void)
{
	static const int sizes[] = {0x10000, 0x20000, 0x30000, 0x100000};
	struct stat st;
	int i, j;
	for (i = 0; i < 4; i++) {
		int n = sizes[i], fd = nacl_imc_mem_obj_create(n);
		want(fd >= 0, 1);
		want(fstat(fd, &st), 0); want(st.st_size, n);
		char *x = mmap(0, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), *y = mmap(0, n, PROT_READ, MAP_SHARED, fd, 0);
		want(x != MAP_FAILED && y != MAP_FAILED, 1);
		for (j = 0; j < n; j++) { want(y[j], 0); x[j] = j * 7; want(y[j], (char)(j * 7)); }
		want(mmap(0, n, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0) == MAP_FAILED, 1); want(errno, EPERM);
		want(mprotect(x, n, PROT_READ | PROT_EXEC), -1);
		want(mmap(0, n, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED, 1); want(errno, EINVAL);
		want(read(fd, b, 1), -1); want(errno, EINVAL);
		want(lseek(fd, 0, SEEK_SET), -1); want(errno, EINVAL);
		want(ftruncate(fd, 0), -1);
		close(fd); munmap(x, n); munmap(y, n);
	}
	want(nacl_imc_mem_obj_create(4096), -EINVAL); want(nacl_imc_mem_obj_create(1), -EINVAL);
	want(nacl_imc_mem_obj_create(0), -ENOMEM);
	// What was made counts until it is gone.
	int fds[100], n = 0;
	while (n < 100 && (fds[n] = nacl_imc_mem_obj_create(0x40000000)) >= 0) n++;
	want(n < 10, 1); want(fds[n], -ENOMEM);
	while (n) close(fds[--n]);
	want((n = nacl_imc_mem_obj_create(0x40000000)) >= 0, 1);
	close(n);
}

static void files(void)
{
	int p[2], a, c, d[1], fd = open("/w/f", O_RDWR | O_CREAT, 0600);
	want(fd >= 0, 1);
	want(write(fd, "0123456789", 10), 10);
	want(lseek(fd, 2, SEEK_SET), 2);
	nacl_imc_makeboundsock(p);
	pair(p[0], p[1], &a, &c);
	want(send_(a, "f", 1, &fd, 1, 0), 1);
	want(recv_(c, b, 1, d, 1, 0), 1); want(got, 1);
	want(read(d[0], b, 3), 3); want(memcmp(b, "234", 3), 0);
	want(lseek(fd, 0, SEEK_CUR), 5);
	char *m = mmap(0, 4096, PROT_READ, MAP_SHARED, d[0], 0);
	want(m != MAP_FAILED, 1); want(m[9], '9');
	want(mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, d[0], 0) == MAP_FAILED, 1);
	int ro = open("/w/f", O_RDONLY);
	want(send_(a, "f", 1, &ro, 1, 0), 1);
	want(recv_(c, b, 1, d, 1, 0), 1);
	want(write(d[0], "x", 1), -1); want(errno, EBADF);
	want(mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, d[0], 0) == MAP_FAILED, 1);
	int dir = open("/w", O_RDONLY), tmp = open("/tmp/x", O_RDWR | O_CREAT, 0600), pp[2];
	pipe(pp);
	want(send_(a, "f", 1, &dir, 1, 0), -EIO); want(send_(a, "f", 1, &tmp, 1, 0), -EIO); want(send_(a, "f", 1, &pp[0], 1, 0), -EIO);
}

static void attack(void)
{
	static const unsigned bad[] = {0, 1, 4095, 0x7fffffff, 0xfffffff0u, 0xffffffffu, 0xfffff000u};
	struct nacl_imc_iovec v = {(nacl_pointer_t)(uintptr_t)b, 1};
	int s[2], p[2], a, c, d[8], i, j;
	nacl_imc_makeboundsock(p); pair(p[0], p[1], &a, &c);
	nacl_imc_socketpair(s);
	struct nacl_imc_msghdr h, good = {(nacl_pointer_t)(uintptr_t)&v, 1, (nacl_pointer_t)(uintptr_t)d, 1, 0};
	for (i = 0; i < 7; i++) {
		void *x = (void *)(uintptr_t)bad[i];
		want(nacl_imc_makeboundsock(x), -EFAULT); want(nacl_imc_socketpair(x), -EFAULT);
		want(nacl_imc_sendmsg(a, x, 0), -EFAULT); want(nacl_imc_recvmsg(a, x, 1), -EFAULT);
		d[0] = -1;
		h = good; h.iov = bad[i]; want(nacl_imc_sendmsg(a, &h, 0), -EFAULT); want(nacl_imc_recvmsg(a, &h, 1), -EFAULT);
		h = good; h.descv = bad[i]; want(nacl_imc_sendmsg(a, &h, 0), -EFAULT);
		want(send_(c, "yy", 2, d, 1, 0), 2);
		h = good; h.descv = bad[i]; want(nacl_imc_recvmsg(a, &h, 1), -EFAULT);
		recv_(a, b, 2, d, 1, 1);
		h = good; v.base = bad[i]; want(nacl_imc_sendmsg(a, &h, 0), -EFAULT);
		want(send_(c, "yy", 2, 0, 0, 0), 2); v.base = bad[i];
		want(nacl_imc_recvmsg(a, &h, 1), -EFAULT);
		recv_(a, b, 2, d, 1, 1);
		v.base = (nacl_pointer_t)(uintptr_t)b;
		h = good; h.iov_length = 257 + bad[i] / 2; want(nacl_imc_sendmsg(a, &h, 0), -EINVAL); want(nacl_imc_recvmsg(a, &h, 1), -EINVAL);
		h = good; h.desc_length = 9 + bad[i] / 2; want(nacl_imc_sendmsg(a, &h, 0), -EINVAL); want(nacl_imc_recvmsg(a, &h, 1), -EINVAL);
		if (x) { want(SLOT(162)(p[1], x, &good), -EFAULT); want(SLOT(162)(p[1], &good, x), -EFAULT); }
	}
	h = good; v.length = 0xffffffffu; want(nacl_imc_sendmsg(a, &h, 0), -EFAULT); v.length = 1;
	// A vector that covers the same bytes many times, and one of more than 4 GiB.
	static struct nacl_imc_iovec many[256];
	for (i = 0; i < 256; i++) many[i] = (struct nacl_imc_iovec){0x10000, 0xf0000000u};
	h = good; h.iov = (nacl_pointer_t)(uintptr_t)many; h.iov_length = 256; h.desc_length = 0;
	want(nacl_imc_sendmsg(a, &h, 0), -EMSGSIZE);
	want(SLOT(162)(p[1], &h, &good), -EMSGSIZE);
	want(SLOT(162)(a, &good, &good), -EINVAL);
	// Nothing has stayed open: a pair that has no place is closed again.
	int before = dup(0); close(before);
	want(nacl_imc_socketpair((void *)1), -EFAULT);
	int after = dup(0); close(after);
	want(after, before);
	// A table that is full: the descriptor that has no place is closed, and told.
	want(send_(a, "z", 1, &p[1], 1, 0), 1);
	while (dup(0) >= 0) ;
	want(nacl_imc_socketpair(d), -EMFILE);
	want(nacl_imc_makeboundsock(d), -EMFILE);
	want(nacl_imc_mem_obj_create(0x10000), -EMFILE);
	want(recv_(c, b, 1, d, 1, 0), 1); want(got, 0); want(gotflags, NACL_IMC_DESC_TRUNCATED);
	// A capability that lies in the queue of its own address, and endings in flight.
	close(1023); close(1022);
	want(send_(a, "self", 4, &p[1], 1, 0), 4);
}

static int calls;
static void on_alarm(int s) { calls++; }

static void *closer(void *fd) { usleep(50000); close((int)(long)fd); return 0; }

static void blocking(void)
{
	int p[2], s[2];
	struct sigaction sa = {.sa_handler = on_alarm};
	sigaction(SIGALRM, &sa, 0);
	nacl_imc_makeboundsock(p);
	ualarm(20000, 0);
	want(nacl_imc_accept(p[0]), -EINTR);
	want(calls, 1);
	ualarm(20000, 0);
	want(SLOT(161)(p[1], 0), -EINTR);
	want(SLOT(161)(p[1], 1) >= 0, 1);
	struct nacl_imc_msghdr h = {0};
	ualarm(20000, 0);
	want(SLOT(162)(p[1], &h, &h), -EINTR);
	nacl_imc_socketpair(s);
	pthread_t t;
	pthread_create(&t, 0, closer, (void *)(long)s[1]);
	want(recv_(s[0], b, 1, 0, 0, 0), -EIO);
	pthread_join(t, 0);
}

static int call(int fd, const char *q, int nq, int *d, int nd, char *out, int n, int *flags)
{
	struct nacl_imc_iovec v = {(nacl_pointer_t)(uintptr_t)q, nq}, w = {(nacl_pointer_t)(uintptr_t)out, n};
	struct nacl_imc_msghdr h = {(nacl_pointer_t)(uintptr_t)&v, 1, (nacl_pointer_t)(uintptr_t)d, nd, 0};
	struct nacl_imc_msghdr r = {(nacl_pointer_t)(uintptr_t)&w, 1, (nacl_pointer_t)(uintptr_t)d, nd, 0};
	int e = SLOT(162)(fd, &h, &r);
	*flags = r.flags;
	return e;
}

// The object on descriptor 10 answers in capitals and sends descriptors back.
static void client(void)
{
	int flags, d[1] = {-1}, n = 200000;
	want(call(10, "hello", 5, 0, 0, b, 100, &flags), 5); want(memcmp(b, "HELLO", 5), 0); want(flags, 0);
	want(call(10, "hello", 5, 0, 0, b, 2, &flags), 2); want(flags, NACL_IMC_DATA_TRUNCATED);
	d[0] = nacl_imc_mem_obj_create(0x10000);
	int mine = d[0];
	want(call(10, "m", 1, d, 1, b, 2, &flags), 1); want(flags, 0);
	char *x = mmap(0, 0x10000, PROT_READ | PROT_WRITE, MAP_SHARED, mine, 0);
	want(x != MAP_FAILED, 1);
	want(x[5], 'g'); // the host wrote there
	want(d[0] != mine && fcntl(d[0], F_GETFD) >= 0, 1);
	char *big = malloc(n);
	memset(big, 'q', n);
	want(call(10, big, n, 0, 0, b, n, &flags), n); want(b[n - 1], 'Q');
	want(call(10, "fail", 4, 0, 0, b, n, &flags), -EXDEV);
	// An object that gives the runtime's own numbers as its error.
	want(call(10, "r512", 4, 0, 0, b, n, &flags), -EIO);
	want(call(10, "r514", 4, 0, 0, b, n, &flags), -EIO);
	want(call(10, "r-1", 3, 0, 0, b, n, &flags), -EIO);
	want(call(10, "text", 4, 0, 0, b, n, &flags), -EIO);
	want(SLOT(162)(10, 0, 0), 0);
	puts("served");
}

// Two domains on a data socket each, descriptor 10.
static void ping(void)
{
	want(send_(10, "ping", 4, 0, 0, 0), 4);
	want(recv_(10, b, 100, 0, 0, 0), 4);
	printf("%.4s\n", b);
}
static void pong(void)
{
	want(recv_(10, b, 100, 0, 0, 0), 4);
	printf("%.4s\n", b);
	want(send_(10, "pong", 4, 0, 0, 0), 4);
}

// Connection after connection, each full of messages and closed, until there is no more.
static int fill(int cap)
{
	int fd, r = -EAGAIN;
	while (r == -EAGAIN && (fd = r = SLOT(161)(cap, 1)) >= 0) {
		while ((r = send_(fd, b, 100000, 0, 0, NACL_IMC_NONBLOCK)) >= 0) ;
		close(fd);
	}
	return r;
}

static void flood(void)
{
	int p[2], q[2], flags, fd, m;
	want(nacl_imc_makeboundsock(p), 0);
	want(nacl_imc_makeboundsock(q), 0);
	want(fill(p[1]), -ENOBUFS);
	while ((fd = nacl_imc_connect(p[1])) >= 0) close(fd); // to the last bytes
	// Nothing waits: what would have to go first may be ours to receive.
	want(fd, -ENOBUFS);
	want(nacl_imc_connect(q[1]), -ENOBUFS);
	want(SLOT(161)(q[1], 0), -ENOBUFS);
	want(call(q[1], b, 1000, 0, 0, b, 100, &flags), -ENOBUFS);
	want(nacl_imc_mem_obj_create(0x10000), -ENOMEM);
	// What is received makes room.
	want((fd = nacl_imc_accept(p[0])) >= 0, 1);
	want(recv_(fd, b, 200000, 0, 0, 0), 100000);
	want((m = nacl_imc_mem_obj_create(0x10000)) >= 0, 1);
	close(m); close(fd);
	// And what is closed, all of it.
	close(p[0]);
	want((m = nacl_imc_mem_obj_create(60 << 20)) >= 0, 1);
	// Calls count with what they may keep.
	want(call(q[1], b, 100000, 0, 0, (char *)0x20000, 8 << 20, &flags), -ENOBUFS);
	close(m);
	// Descriptors in flight: as many as may be open.
	want(nacl_imc_makeboundsock(p), 0);
	int d[8], i, n = 0, r = -EAGAIN;
	for (i = 0; i < 8; i++) d[i] = 0;
	while (r == -EAGAIN && (fd = r = SLOT(161)(p[1], 1)) >= 0) {
		for (; (r = send_(fd, "f", 1, d, 8, NACL_IMC_NONBLOCK)) >= 0; n += 8) ;
		close(fd);
	}
	want(r, -ENOBUFS);
	want(n, 1024);
	close(p[0]);
	// Through itself: its own capability, in its own line.
	want(nacl_imc_makeboundsock(p), 0);
	for (r = -EAGAIN, n = 0; r == -EAGAIN && (fd = r = SLOT(161)(p[1], 1)) >= 0;) {
		for (; (r = send_(fd, b, 1000, &p[1], 1, NACL_IMC_NONBLOCK)) >= 0; n++) ;
		close(fd);
	}
	want(r, -ENOBUFS);
	want(n, 1024);
	close(p[0]); close(p[1]);
	want((m = nacl_imc_mem_obj_create(63 << 20)) >= 0, 1);
}

// The host's address on descriptor 10: what is left there outlives the domain.
static void leave(void) { want(fill(10), -ENOBUFS); }

static void wait_(void) { recv_(10, b, 1, 0, 0, 0); }

int main(int argc, char **argv)
{
	static const struct { const char *name; void (*f)(void); } all[] = {
		{"transfer", transfer}, {"memory", memory}, {"files", files}, {"attack", attack}, {"blocking", blocking},
		{"client", client}, {"ping", ping}, {"pong", pong}, {"wait", wait_}, {"flood", flood}, {"leave", leave},
	};
	for (int i = 0; i < sizeof all / sizeof *all; i++)
		if (strcmp(argv[1], all[i].name) == 0) {
			all[i].f();
			puts("ok");
			return 0;
		}
	return 2;
}
