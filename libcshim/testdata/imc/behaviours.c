// The behaviours of Native Client's IMC, one after another, between two guests: the near
// one looks, the far one sends back what it gets. Descriptor 10 is a connection between
// them; the far one accepts on 11, to which 12 of the near one leads.
#include <sys/eventfd.h>
#include "imc.h"

static int turned(int fd, int backwards)
{
	static __thread char p[131072];
	int d[8], i, n = recv_(fd, p, sizeof p, d, 8, 0), k;
	if (n < 0) return n;
	k = got;
	if (backwards) for (i = 0; i < n / 2; i++) { char c = p[i]; p[i] = p[n - 1 - i]; p[n - 1 - i] = c; }
	int r = send_(fd, p, n, d, k, 0);
	for (i = 0; i < k; i++) if (d[i] >= 0) close(d[i]);
	return r;
}

static void *worker(void *bound)
{
	int fd = nacl_imc_accept((int)(long)bound);
	if (fd < 0) return 0;
	while (turned(fd, 1) >= 0) ;
	close(fd);
	close((int)(long)bound);
	return 0;
}

static void *echo(void *fd)
{
	while (turned((int)(long)fd, 0) >= 0) ;
	close((int)(long)fd);
	return 0;
}

// A fresh address for each who asks on 10, and somebody who accepts there.
static void *desk(void *x)
{
	char q[8];
	int p[2], n;
	while ((n = recv_(10, q, 8, 0, 0, 0)) >= 0) {
		pthread_t t;
		want(nacl_imc_makeboundsock(p), 0);
		pthread_create(&t, 0, worker, (void *)(long)p[0]);
		pthread_detach(t);
		want(send_(10, "your own", 8, &p[1], 1, 0), 8);
		close(p[1]);
	}
	return 0;
}

static void far(void)
{
	pthread_t t;
	int fd;
	pthread_create(&t, 0, desk, 0);
	while ((fd = nacl_imc_accept(11)) >= 0) {
		pthread_t e;
		pthread_create(&e, 0, echo, (void *)(long)fd);
		pthread_detach(e);
	}
	want(fd, -EIO);
	pthread_join(t, 0);
}

static char c[200000];

static void messages(int s)
{
	static const int sizes[] = {0, 1, 2, 1000, 65536, 131071, 131072};
	int i, k;
	for (i = 0; i < sizeof b; i++) b[i] = i * 11;
	for (k = 0; k < sizeof sizes / sizeof *sizes; k++) {
		want(send_(s, b, sizes[k], 0, 0, 0), sizes[k]);
		memset(c, 0, sizeof c);
		want(recv_(s, c, sizeof c, 0, 0, 0), sizes[k]);
		want(got, 0); want(gotflags, 0);
		want(memcmp(b, c, sizes[k]), 0); want(c[sizes[k]], 0);
	}
	want(send_(s, b, 131073, 0, 0, 0), -EIO);
	// As many pieces as there may be, of all lengths, in order.
	static struct nacl_imc_iovec v[257], w[257];
	int n = 0, m = 0;
	for (i = 0; i < 256; i++) {
		v[i] = (struct nacl_imc_iovec){NACL_POINTER(b + n), i % 7 * i};
		n += v[i].length;
	}
	for (i = 0; i < 256; i++) {
		w[i] = (struct nacl_imc_iovec){NACL_POINTER(c + m), i % 5 * (256 - i) * 2};
		m += w[i].length;
	}
	struct nacl_imc_msghdr h = {NACL_POINTER(v), 256, 0, 0, -1}, r = {NACL_POINTER(w), 256, 0, 0, -1};
	// Flags in the header mean nothing when sending, unknown ones in the call neither.
	want(nacl_imc_sendmsg(s, &h, 0x7ffffffe), n);
	want(h.flags, -1);
	memset(c, 0, sizeof c);
	want(nacl_imc_recvmsg(s, &r, 0x7ffffffe), n);
	want(r.flags, 0); want(memcmp(b, c, n), 0); want(c[n], 0);
	h.iov_length = r.iov_length = 257;
	want(nacl_imc_sendmsg(s, &h, 0), -EINVAL); want(nacl_imc_recvmsg(s, &r, 0), -EINVAL);
	// What has no room is dropped, and not told of.
	want(send_(s, "0123456789", 10, 0, 0, 0), 10);
	want(recv_(s, c, 4, 0, 0, 0), 4); want(gotflags, 0);
	want(send_(s, "next", 4, 0, 0, 0), 4);
	want(recv_(s, c, 10, 0, 0, 0), 4); want(memcmp(c, "next", 4), 0);
	want(recv_(s, c, 10, 0, 0, NACL_IMC_NONBLOCK), -EAGAIN);
	// With NUL.
	want(send_(s, "Hello!", 7, 0, 0, 0), 7);
	want(recv_(s, c, 10, 0, 0, 0), 7); want(memcmp(c, "Hello!", 7), 0);
}

static void descriptors(int s)
{
	int d[9], e[9], p[2], i, k, a, z;
	for (i = 0; i < 9; i++) d[i] = -1;
	for (k = 0; k <= 8; k++) {
		want(send_(s, "", 0, d, k, 0), 0);
		memset(e, 0, sizeof e);
		want(recv_(s, c, 1, e, 8, 0), 0); want(got, k); want(gotflags, 0);
		for (i = 0; i < 8; i++) want(e[i], i < k ? -1 : 0);
	}
	want(send_(s, "", 0, d, 9, 0), -EINVAL);
	d[0] = 1234; want(send_(s, "", 0, d, 1, 0), -EBADF);
	d[0] = -2; want(send_(s, "", 0, d, 1, 0), -EBADF);
	// One that is bad among three: nothing is sent, and nothing stays behind.
	want(nacl_imc_makeboundsock(p), 0);
	d[0] = d[2] = p[1]; d[1] = 1234;
	want(send_(s, "", 0, d, 3, 0), -EBADF);
	d[1] = p[0];
	want(send_(s, "", 0, d, 3, 0), -EIO);
	close(p[1]);
	want(nacl_imc_accept(p[0]), -EIO);
	close(p[0]);
	// What can't be sent at all.
	int dir = open("/", O_RDONLY), pp[2];
	want(pipe(pp), 0); want(nacl_imc_makeboundsock(p), 0);
	int stay[] = {dir, epoll_create1(0), eventfd(0, 0), open("/tmp/own", O_RDWR | O_CREAT, 0600), pp[0], pp[1], p[0], s};
	for (i = 0; i < sizeof stay / sizeof *stay; i++) {
		want(stay[i] >= 0, 1);
		want(send_(s, "", 0, &stay[i], 1, 0), -EIO);
		if (stay[i] != s && stay[i] != p[0]) close(stay[i]);
	}
	// Those received have the lowest numbers that are free, in order.
	d[0] = p[1]; d[1] = -1; d[2] = p[1]; d[3] = p[1];
	int next[5];
	for (i = 0; i < 5; i++) next[i] = dup(0);
	for (i = 0; i < 5; i++) if (i != 1 && i != 3) close(next[i]); // gaps
	want(send_(s, "abc", 3, d, 4, 0), 3);
	want(recv_(s, c, 3, e, 8, 0), 3); want(got, 4);
	want(e[0], next[0]); want(e[1], -1); want(e[2], next[2]); want(e[3], next[4]);
	close(next[1]); close(next[3]);
	// More than there is room for: the rest is closed, and told.
	for (i = 0; i < 4; i++) close(e[i]);
	want(send_(s, "", 0, d, 4, 0), 0);
	memset(e, 0, sizeof e);
	want(recv_(s, c, 3, e, 1, 0), 0); want(got, 1); want(gotflags, NACL_IMC_DESC_TRUNCATED); want(e[1], 0);
	close(p[1]); close(e[0]);
	want(nacl_imc_accept(p[0]), -EIO); // the others are closed
	close(p[0]);
	// A capability that went through somebody else leads to the same place.
	want(nacl_imc_makeboundsock(p), 0);
	want(send_(s, "cap", 3, &p[1], 1, 0), 3);
	want(recv_(s, c, 3, e, 8, 0), 3); want(got, 1);
	pair(p[0], e[0], &a, &z);
	want(send_(a, "there", 5, 0, 0, 0), 5); want(recv_(z, c, 9, 0, 0, 0), 5);
	want(send_(z, "back", 4, 0, 0, 0), 4); want(recv_(a, c, 9, 0, 0, 0), 4);
	close(a); close(z);
	// Connecting does not wait: what is sent waits with the connection.
	want((a = nacl_imc_connect(e[0])) >= 0, 1);
	want(send_(a, "before", 6, &e[0], 1, 0), 6);
	close(a); close(p[1]); close(e[0]);
	want((z = nacl_imc_accept(p[0])) >= 0, 1);
	want(recv_(z, c, 9, e, 1, 0), 6); want(memcmp(c, "before", 6), 0);
	want(recv_(z, c, 9, 0, 0, 0), -EIO);
	close(e[0]); close(z);
	want(nacl_imc_accept(p[0]), -EIO);
	close(p[0]);
	want(nacl_imc_makeboundsock(p), 0);
	close(p[0]);
	want(nacl_imc_connect(p[1]), -EIO);
	close(p[1]);
}

static void data_sockets(int s)
{
	int q[2], d[8];
	want(nacl_imc_socketpair(q), 0);
	d[0] = -1;
	want(send_(q[0], "x", 1, d, 1, 0), -EIO);
	want(send_(s, "", 0, &q[1], 1, 0), 0);
	close(q[1]);
	want(recv_(s, c, 1, d, 8, 0), 0); want(got, 1);
	want(send_(q[0], "one way", 7, 0, 0, 0), 7); want(recv_(d[0], c, 9, d + 1, 7, 0), 7); want(got, 0);
	want(send_(d[0], "the other", 9, 0, 0, 0), 9); want(recv_(q[0], c, 9, 0, 0, 0), 9);
	want(recv_(q[0], c, 1, 0, 0, NACL_IMC_NONBLOCK), -EAGAIN);
	want(send_(q[0], "last", 4, 0, 0, 0), 4);
	close(q[0]);
	want(recv_(d[0], c, 9, 0, 0, 0), 4);
	want(recv_(d[0], c, 9, 0, 0, 0), -EIO);
	want(send_(d[0], "x", 1, 0, 0, 0), -EIO);
	close(d[0]);
}

static void memory_through(int s)
{
	int d[8], fd = nacl_imc_mem_obj_create(0x30000);
	want(fd >= 0, 1);
	char *x = mmap(0, 0x30000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	want(send_(s, "", 0, &fd, 1, 0), 0);
	want(recv_(s, c, 1, d, 8, 0), 0); want(got, 1);
	struct stat st;
	want(fstat(d[0], &st), 0); want(st.st_size, 0x30000);
	char *y = mmap(0, 0x30000, PROT_READ, MAP_SHARED, d[0], 0);
	want(x != MAP_FAILED && y != MAP_FAILED, 1);
	for (int i = 0; i < 0x30000; i += 4096) { want(y[i], 0); x[i] = i >> 12; want(y[i], (char)(i >> 12)); }
	want(mmap(0, 0x10000, PROT_READ, MAP_PRIVATE, d[0], 0) == MAP_FAILED, 1);
	want(errno, EINVAL);
	want(mmap(0, 0x80000000, PROT_READ, MAP_SHARED, d[0], 0) == MAP_FAILED, 1); want(errno, EOVERFLOW);
	want(mmap(0, 0x10000, PROT_READ, MAP_SHARED, d[0], 0x7fff0000) == MAP_FAILED, 1); want(errno, EOVERFLOW);
	munmap(x, 0x30000); close(fd);
	want(y[0x2f000], 0x2f); // lives on
	munmap(y, 0x30000); close(d[0]);
}

// Positions are shared, whatever way a file went: by dup, by a message, both.
static void files_through(int s)
{
	for (int mode = 0; mode < 2; mode++) {
		int d[8], fd = open("/w/f", mode ? O_RDWR : O_RDONLY);
		want(fd >= 0, 1);
		int two = dup(fd);
		want(send_(s, "", 0, &two, 1, 0), 0);
		want(recv_(s, c, 1, d, 8, 0), 0); want(got, 1);
		want(read(fd, c, 2), 2); want(memcmp(c, "01", 2), 0);
		want(read(d[0], c, 2), 2); want(memcmp(c, "23", 2), 0);
		want(read(two, c, 2), 2); want(memcmp(c, "45", 2), 0);
		want(lseek(d[0], 1, SEEK_SET), 1); want(lseek(fd, 0, SEEK_CUR), 1);
		want(pread(d[0], c, 3, 7), 3); want(memcmp(c, "789", 3), 0); want(lseek(two, 0, SEEK_CUR), 1);
		if (mode) {
			want(write(d[0], "x", 1), 1); want(lseek(fd, 0, SEEK_CUR), 2);
			want(pwrite(d[0], "1", 1, 1), 1); want(lseek(fd, 0, SEEK_CUR), 2);
			want(pread(fd, c, 3, 0), 3); want(memcmp(c, "012", 3), 0);
		} else {
			want(write(d[0], "x", 1), -1); want(errno, EBADF);
		}
		// As many copies as fit.
		int all[8];
		for (int k = 1; k <= 8; k++) {
			all[k - 1] = fd;
			want(send_(s, "", 0, all, k, 0), 0);
			want(recv_(s, c, 1, d + 1, 7, 0), 0); want(got, k < 7 ? k : 7); want(gotflags, k < 8 ? 0 : NACL_IMC_DESC_TRUNCATED);
			for (int i = 0; i < got; i++) { want(lseek(d[1 + i], 0, SEEK_CUR), lseek(fd, 0, SEEK_CUR)); close(d[1 + i]); }
		}
		close(fd); close(two); close(d[0]);
	}
}

// Which of several things that are wrong is told.
static void order(int s)
{
	struct nacl_imc_iovec v = {NACL_POINTER(c), 1}, null = {0, 0}, far = {0xffffff00u, 0x1000};
	int d[1] = {-1}, kinds[] = {99, -1, s};
	struct nacl_imc_msghdr good = {NACL_POINTER(&v), 1, NACL_POINTER(d), 1, 0}, h;
	for (int i = 0; i < 3; i++) {
		int fd = kinds[i], rest = i < 2 ? -EBADF : -EFAULT;
		want(nacl_imc_sendmsg(fd, 0, 0), -EFAULT); want(nacl_imc_recvmsg(fd, 0, 0), -EFAULT);
		h = good; h.iov_length = 257; h.iov = 0; h.desc_length = 9;
		want(nacl_imc_sendmsg(fd, &h, 0), -EINVAL); want(nacl_imc_recvmsg(fd, &h, 0), -EINVAL);
		h = good; h.iov = 0; h.desc_length = 9;
		want(nacl_imc_sendmsg(fd, &h, 0), -EINVAL); want(nacl_imc_recvmsg(fd, &h, 0), -EINVAL);
		h = good; h.iov = 1;
		want(nacl_imc_sendmsg(fd, &h, 0), -EFAULT); want(nacl_imc_recvmsg(fd, &h, 0), -EFAULT);
		h.iov = NACL_POINTER(&null);
		want(nacl_imc_sendmsg(fd, &h, 0), -EFAULT); want(nacl_imc_recvmsg(fd, &h, 0), -EFAULT);
		h.iov = NACL_POINTER(&far);
		want(nacl_imc_sendmsg(fd, &h, 0), -EFAULT); want(nacl_imc_recvmsg(fd, &h, 0), -EFAULT);
		h = good; h.descv = 0;
		want(nacl_imc_sendmsg(fd, &h, 0), rest); want(nacl_imc_recvmsg(fd, &h, NACL_IMC_NONBLOCK), -EFAULT);
	}
	// Kinds that have no messages.
	int q[2], other[2];
	want(nacl_imc_makeboundsock(q), 0); want(pipe(other), 0);
	int m = nacl_imc_mem_obj_create(0x10000), none[] = {q[0], q[1], other[1], m, 1};
	for (int i = 0; i < 5; i++) {
		want(send_(none[i], "x", 1, 0, 0, 0), -EIO); want(recv_(none[i], c, 1, 0, 0, 0), -EINVAL);
		d[0] = 99; want(send_(none[i], "x", 1, d, 1, 0), -EBADF);
	}
	int not[] = {s, q[1], m, 1};
	for (int i = 0; i < 4; i++) want(nacl_imc_accept(not[i]), -EINVAL);
	not[1] = q[0];
	for (int i = 0; i < 4; i++) want(nacl_imc_connect(not[i]), -EINVAL);
	for (int i = 0; i < 4; i++) {
		int ends[] = {s, q[0], q[1], m};
		want(isatty(ends[i]), 0); want(errno, ENOTTY);
		want(read(ends[i], c, 1), -1); want(errno, EINVAL);
		want(write(ends[i], c, 1), -1); want(errno, EINVAL);
		want(lseek(ends[i], 0, SEEK_SET), -1); want(errno == ESPIPE || errno == EINVAL, 1);
	}
	close(q[0]); close(q[1]); close(other[0]); close(other[1]); close(m);
}

// Each client of the desk gets an address of its own.
static void workers(void)
{
	int d[1];
	for (int i = 0; i < 5; i++) {
		want(send_(10, "a worker", 8, 0, 0, 0), 8);
		want(recv_(10, c, 8, d, 1, 0), 8); want(got, 1);
		int s = r_(nacl_imc_connect_wait(d[0], 0));
		want(s >= 0, 1);
		close(d[0]);
		want(send_(s, "stressed", 8, 0, 0, 0), 8);
		want(recv_(s, c, 9, 0, 0, 0), 8); want(memcmp(c, "desserts", 8), 0);
		close(s);
	}
}

static void near(void)
{
	int s[3], i;
	for (i = 0; i < 3; i++) want((s[i] = nacl_imc_connect(12)) >= 0, 1);
	for (i = 0; i < 3; i++) { // several connections of one address
		messages(s[i]); descriptors(s[i]); data_sockets(s[i]);
	}
	memory_through(s[0]);
	files_through(s[1]);
	order(s[2]);
	workers();
	for (i = 0; i < 3; i++) close(s[i]);
}

// A page that goes away under a message that is about to be received.
static char *page;
static void *into_page(void *fd) { return (void *)(long)recv_((int)(long)fd, page, 4096, 0, 0, 0); }

static void mapping(void)
{
	for (int i = 0; i < 6; i++) {
		int s = i % 2 ? 10 : 13; // a connected socket, a data socket; their others are 14 and 15
		pthread_t t;
		void *r;
		page = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		want(page != MAP_FAILED, 1);
		pthread_create(&t, 0, into_page, (void *)(long)s);
		want(recv_(16, c, 1, 0, 0, 0), 1); // the host has seen that it waits
		switch (i / 2) {
		case 0: munmap(page, 65536); break;
		case 1: mprotect(page, 65536, PROT_READ); break;
		case 2: mmap(page, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0); break;
		}
		want(send_(s == 10 ? 14 : 15, "message", 7, 0, 0, 0), 7);
		pthread_join(t, &r);
		// The message goes to what is there by now, or is lost.
		want((long)r, i / 2 == 2 ? 7 : -EFAULT);
		if (i / 2 == 2) want(memcmp(page, "message", 8), 0);
		want(recv_(s, c, 1, 0, 0, NACL_IMC_NONBLOCK), -EAGAIN);
		if (i / 2) munmap(page, 65536);
	}
}

// Files of the host's with each mode, on 20 to 22: reading, writing, both.
static void modes(void)
{
	for (int fd = 20; fd <= 22; fd++) {
		int r = fd != 21, w = fd != 20;
		want(read(fd, c, 1), r ? 1 : -1); if (!r) want(errno, EBADF);
		want(write(fd, "x", 1), w ? 1 : -1); if (!w) want(errno, EBADF);
		for (int shared = 0; shared < 2; shared++)
			for (int write = 0; write < 2; write++) {
				char *m = mmap(0, 4096, PROT_READ | (write ? PROT_WRITE : 0), shared ? MAP_SHARED : MAP_PRIVATE, fd, 0);
				want(m != MAP_FAILED, r && (w || !shared || !write));
				if (m == MAP_FAILED) want(errno, EACCES);
				else munmap(m, 4096);
			}
	}
}

int main(int argc, char **argv)
{
	static const struct { const char *name; void (*f)(void); } all[] = {
		{"near", near}, {"far", far}, {"mapping", mapping}, {"modes", modes},
	};
	for (int i = 0; i < sizeof all / sizeof *all; i++)
		if (strcmp(argv[1], all[i].name) == 0) {
			all[i].f();
			puts("ok");
			return 0;
		}
	return 2;
}
