// Objects of guests: serve on descriptor 10, callers on descriptor 11.
#include <ctype.h>
#include "imc.h"

static int call(int fd, const void *q, size_t nq, int *d, int nd, void *out, size_t n)
{
	struct nacl_imc_iovec v = {NACL_POINTER(q), nq}, w = {NACL_POINTER(out), n};
	struct nacl_imc_msghdr h = {NACL_POINTER(&v), 1, NACL_POINTER(d), nd, 0}, r = {NACL_POINTER(&w), 1, NACL_POINTER(d), nd, 99};
	int e = r_(nacl_imc_call(fd, &h, &r));
	got = r.desc_length;
	gotflags = r.flags;
	return e;
}

// In capitals, with the descriptors that came.
static int answer(void *context, const struct nacl_imc_message *q, struct nacl_imc_message *a)
{
	if (q->size == 4 && memcmp(q->data, "fail", 4) == 0) return EXDEV;
	if (!(a->data = malloc(q->size + 1)) || !(a->descs = malloc(q->desc_count * sizeof(int) + 1))) return ENOMEM;
	a->size = q->size;
	for (size_t i = 0; i < q->size; i++) ((char *)a->data)[i] = toupper(((char *)q->data)[i]);
	for (size_t i = 0; i < q->desc_count; i++) a->descs[i] = q->descs[i] < 0 ? -1 : dup(q->descs[i]);
	a->desc_count = q->desc_count;
	return 0;
}

static void *server(void *x) { return (void *)(long)r_(nacl_imc_serve(10, answer, 0)); }

// Three threads serve one object, until nobody can call it any more.
static void serve(void)
{
	pthread_t t[2];
	void *r;
	for (int i = 0; i < 2; i++) pthread_create(&t[i], 0, server, 0);
	want((long)server(0), 0);
	for (int i = 0; i < 2; i++) { pthread_join(t[i], &r); want((long)r, 0); }
}

// What the object on descriptor 11 answers, in all sizes; what it does not read, too.
static void caller(void)
{
	static const size_t sizes[] = {0, 1, 64, 131063, 131064, 131065, 131072, 2 * 131064, 300000, 3 << 20};
	static char q[3 << 20], a[(3 << 20) + 1];
	int d[8], c[8], p[2], i, k, e;
	want((e = r_(nacl_imc_connect_wait(11, 0))) >= 0, 1);
	want(close(e), 0); // that was no call
	for (i = 0; i < sizeof q; i++) q[i] = 'a' + i % 23;
	nacl_imc_makeboundsock(p);
	int m = nacl_imc_mem_obj_create(0x10000);
	char *view = mmap(0, 0x10000, PROT_READ | PROT_WRITE, MAP_SHARED, m, 0);
	view[1] = 'v';
	for (k = 0; k < sizeof sizes / sizeof *sizes; k++) {
		size_t n = sizes[k];
		// The question from four places, the answer into three.
		struct nacl_imc_iovec v[4] = {{NACL_POINTER(q), n / 3}, {NACL_POINTER(q), 0}, {NACL_POINTER(q + n / 3), n / 2 - n / 3}, {NACL_POINTER(q + n / 2), n - n / 2}};
		struct nacl_imc_iovec w[3] = {{NACL_POINTER(a), n / 5}, {NACL_POINTER(a + n / 5), n / 4}, {NACL_POINTER(a + n / 5 + n / 4), n - n / 5 - n / 4 + 1}};
		for (i = 0; i < 8; i++) d[i] = i % 3 ? i % 2 ? m : p[1] : -1;
		struct nacl_imc_msghdr h = {NACL_POINTER(v), 4, NACL_POINTER(d), k % 9, 0}, r = {NACL_POINTER(w), 3, NACL_POINTER(c), 8, 99};
		memset(a, 0, sizeof a);
		want(r_(nacl_imc_call(11, &h, &r)), n);
		want(r.flags, 0); want(r.desc_length, k % 9);
		for (i = 0; i < n; i++) if (a[i] != toupper(q[i])) { printf("byte %d of %zu\n", i, n); exit(1); }
		want(a[n], 0);
		for (i = 0; i < k % 9; i++) {
			want(c[i] < 0, d[i] < 0);
			if (d[i] == m) {
				char *x = mmap(0, 0x10000, PROT_READ, MAP_SHARED, c[i], 0);
				want(x != MAP_FAILED && x[1] == 'v', 1);
				munmap(x, 0x10000);
			}
			close(c[i]);
		}
		// Less room than there is to say.
		want(call(11, q, n, 0, 0, a, n / 2), n / 2);
		want(gotflags, n / 2 < n ? NACL_IMC_DATA_TRUNCATED : 0);
		for (i = 0; i < n / 2; i++) if (a[i] != toupper(q[i])) { printf("byte %d of %zu, cut\n", i, n); exit(1); }
		want(call(11, "fail", 4, 0, 0, a, n), -EXDEV);
	}
	// Descriptors that have no room are closed: the end of the address is seen.
	close(p[0]);
	nacl_imc_makeboundsock(p);
	struct nacl_imc_iovec v = {NACL_POINTER(q), 1}, w = {NACL_POINTER(a), 1};
	struct nacl_imc_msghdr h = {NACL_POINTER(&v), 1, NACL_POINTER(&p[1]), 1, 0}, r = {NACL_POINTER(&w), 1, 0, 0, 0};
	want(r_(nacl_imc_call(11, &h, &r)), 1);
	want(r.flags, NACL_IMC_DESC_TRUNCATED);
	close(p[1]);
	want(nacl_imc_accept(p[0]), -EIO);
	// A connection with other things than a call.
	want((e = nacl_imc_connect(11)) >= 0, 1);
	want(send_(e, "no part of a call", 17, 0, 0, 0), 17);
	want(recv_(e, a, 4096, 0, 0, 0) > 8, 1);
	want(memcmp(a, "CAL1\2\0\0\0", 8), 0); // an error
	want(recv_(e, a, 4096, 0, 0, 0), -EIO); // and the end
	close(e);
	want((e = nacl_imc_connect(11)) >= 0, 1);
	want(send_(e, "CAL1\1\0\0\0to be continued", 23, 0, 0, 0), 23);
	close(e);
	want(call(11, "still there", 11, 0, 0, a, 11), 11);
	want(memcmp(a, "STILL THERE", 11), 0);
}

// Accepts calls and answers none: with an error in the protocol, with the end.
static void broken(void)
{
	static const struct { int n; const char *bytes; } answers[] = {
		{0, ""}, {7, "CAL1\0\0\0"}, {8, "CAL2\0\0\0\0"}, {9, "CAL1\4\0\0\0x"}, {8, "CAL1\1\0\0\0"}, {11, "CAL1\2\0\0\0\1\2\3"}, {9, "CAL1\1\0\0\0x"},
	};
	for (int i = 0; i < sizeof answers / sizeof *answers; i++) {
		int e = nacl_imc_accept(10);
		want(e >= 0, 1);
		want(recv_(e, b, sizeof b, 0, 0, 0), 12);
		want(send_(e, answers[i].bytes, answers[i].n, 0, 0, 0), answers[i].n);
		close(e);
	}
	int e = nacl_imc_accept(10);
	want(e >= 0, 1);
	close(e);
}

static void unlucky(void)
{
	int i;
	for (i = 0; i < 6; i++) want(call(11, "Help", 4, 0, 0, b, 100), -EPROTO);
	for (i = 0; i < 2; i++) want(call(11, "Help", 4, 0, 0, b, 100), -ECONNRESET);
}

// Threads that wait in a call while what they wait on is closed.
struct job { int (*f)(int); int fd; };
static void *run(void *j) { return (void *)(long)((struct job *)j)->f(((struct job *)j)->fd); }

static int in_recv(int fd) { char c[8]; int d[1]; return recv_(fd, c, 8, d, 1, 0); }
static int in_send(int fd) { int r; while ((r = send_(fd, b, 50000, 0, 0, 0)) == 50000) ; return r; }
static int in_accept(int fd) { return nacl_imc_accept(fd); }
static int in_connect(int fd) { return r_(nacl_imc_connect_wait(fd, 0)); }
static int in_call(int fd) { char c[8]; return call(fd, "x", 1, 0, 0, c, 8); }

enum { many = 3 };
static pthread_t threads[64];
static struct job jobs[64];
static int njobs;

static void begin(int (*f)(int), int fd)
{
	for (int i = 0; i < many; i++) {
		jobs[njobs] = (struct job){f, fd};
		pthread_create(&threads[njobs], 0, run, &jobs[njobs]);
		njobs++;
	}
}

static void ended(int result, int or)
{
	for (int i = 0; i < njobs; i++) {
		void *r;
		pthread_join(threads[i], &r);
		if ((long)r != result && (long)r != or) { printf("job %d: %ld, not %d or %d\n", i, (long)r, result, or); exit(1); }
	}
	njobs = 0;
}

static void closing(void)
{
	int p[2], s[2], a, c, fd, i;
	for (i = 0; i < 10; i++) {
		int wait = i % 2 * 20000; // they wait already, or are about to
		// The other end of data sockets and of connections.
		nacl_imc_socketpair(s);
		begin(in_recv, s[0]);
		usleep(wait); close(s[1]); ended(-EIO, -EIO); close(s[0]);
		nacl_imc_socketpair(s);
		begin(in_send, s[0]);
		usleep(wait); close(s[1]); ended(-EIO, -EIO); close(s[0]);
		nacl_imc_makeboundsock(p);
		pair(p[0], p[1], &a, &c);
		begin(in_recv, a); begin(in_send, a);
		usleep(wait); close(c); ended(-EIO, -EIO); close(a);
		// The ends of an address.
		begin(in_accept, p[0]);
		usleep(wait); close(p[1]); ended(-EIO, -EIO); close(p[0]);
		nacl_imc_makeboundsock(p);
		begin(in_connect, p[1]); begin(in_call, p[1]);
		usleep(wait); close(p[0]); ended(-ECONNREFUSED, -ECONNREFUSED); close(p[1]);
		// A number that is closed under a call belongs to that call until it returns.
		nacl_imc_socketpair(s);
		begin(in_recv, s[0]);
		usleep(wait); close(s[0]);
		int n = 0;
		while (n < many && send_(s[1], "x", 1, 0, 0, 0) == 1) n++;
		ended(1, -EBADF); close(s[1]);
		nacl_imc_makeboundsock(p);
		begin(in_connect, p[1]);
		usleep(wait); close(p[1]);
		while ((fd = nacl_imc_accept(p[0])) >= 0) close(fd);
		want(fd, -EIO);
		for (int k = 0; k < njobs; k++) {
			void *r;
			pthread_join(threads[k], &r);
			// Who was late found no such number, or a connection that got it since.
			if ((long)r < 0 && (long)r != -EINVAL) want((long)r, -EBADF);
			if ((long)r >= 0) close((long)r);
		}
		njobs = 0;
		close(p[0]);
	}
}

// Takes three calls and answers none.
static void mute(void)
{
	for (int i = 0; i < many; i++) want(nacl_imc_accept(10) >= 0, 1);
	write(1, "all\n", 4);
	pause();
}

// For a server that is about to end: some calls are accepted, some in line.
static void reset(void) { begin(in_call, 11); begin(in_call, 11); ended(-ECONNRESET, -ECONNREFUSED); }
static void refused(void) { begin(in_call, 11); begin(in_connect, 11); ended(-ECONNREFUSED, -ECONNREFUSED); }

// An echo by hand, without the memory that nacl_imc_serve asks the host for, call by call:
// a call is one message, and begins as its answer does.
static void plain(void)
{
	int fd, n;
	while ((fd = nacl_imc_accept(10)) >= 0) {
		if ((n = recv_(fd, b, sizeof b, 0, 0, 0)) >= 0) send_(fd, b, n, 0, 0, 0);
		close(fd);
	}
	want(fd, -EIO);
}

static int rounds;

static void bench(void)
{
	char q[64] = "", a[64];
	for (int i = 0; i < rounds; i++) want(call(11, q, sizeof q, 0, 0, a, sizeof a), 64);
}

int main(int argc, char **argv)
{
	static const struct { const char *name; void (*f)(void); } all[] = {
		{"serve", serve}, {"caller", caller}, {"broken", broken}, {"unlucky", unlucky}, {"closing", closing},
		{"mute", mute}, {"reset", reset}, {"refused", refused}, {"plain", plain}, {"bench", bench},
	};
	if (argc > 2) rounds = atoi(argv[2]);
	for (int i = 0; i < sizeof all / sizeof *all; i++)
		if (strcmp(argv[1], all[i].name) == 0) {
			all[i].f();
			puts("ok");
			return 0;
		}
	return 2;
}
