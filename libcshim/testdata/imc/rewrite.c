// A guest that rewrites its message headers while a call with them is in progress.
// Descriptor 10 is a data socket on which the host says when, descriptor 11 what the call
// is made on.
#include "imc.h"

static char good[64], evil[64], data[64];
static int descs[8], others[8];
static struct nacl_imc_iovec vector[2], answers[2];
static struct nacl_imc_msghdr header, answer;

static void spoil(struct nacl_imc_msghdr *h, struct nacl_imc_iovec *v)
{
	*h = (struct nacl_imc_msghdr){0xfffff000u, 0xffffffffu, NACL_POINTER(others), 9999, 77};
	v[0] = v[1] = (struct nacl_imc_iovec){NACL_POINTER(evil), 0xffffffffu};
}

static void *rewriter(void *closes)
{
	char c;
	want(recv_(10, &c, 1, 0, 0, 0), 1);
	spoil(&header, vector);
	spoil(&answer, answers);
	for (int i = 0; i < 8; i++) descs[i] = 4321;
	memset(data, 'X', sizeof data);
	if (closes) close((int)(long)closes);
	want(send_(10, "done", 4, 0, 0, 0), 4);
	return 0;
}

static pthread_t thread;

static void set(int closes)
{
	memset(evil, 'e', sizeof evil);
	memset(data, 'd', sizeof data);
	vector[0] = (struct nacl_imc_iovec){NACL_POINTER(data), 40};
	vector[1] = (struct nacl_imc_iovec){NACL_POINTER(data + 40), 24};
	answers[0] = (struct nacl_imc_iovec){NACL_POINTER(good), 3};
	answers[1] = (struct nacl_imc_iovec){NACL_POINTER(good + 3), 61};
	header = (struct nacl_imc_msghdr){NACL_POINTER(vector), 2, NACL_POINTER(descs), 1, 0};
	answer = (struct nacl_imc_msghdr){NACL_POINTER(answers), 2, NACL_POINTER(descs), 8, 0};
	pthread_create(&thread, 0, rewriter, (void *)(long)closes);
}

// What arrived lies where the header said when the call began.
static void arrived(int n)
{
	pthread_join(thread, 0);
	want(n, 5);
	want(memcmp(good, "hello", 6), 0);
	for (int i = 0; i < sizeof evil; i++) want(evil[i], 'e');
	want(descs[0], -1);
	want(fcntl(descs[1], F_GETFD) >= 0, 1);
	want(descs[2], 4321);
	for (int i = 0; i < 8; i++) want(others[i], 0);
	// Of the header two fields are the host's; it has not touched the others.
	want(answer.iov, 0xfffff000u); want(answer.iov_length, 0xffffffffu); want(answer.descv, NACL_POINTER(others));
	want(answer.desc_length, 2); want(answer.flags, 0);
}

static void receive(void)
{
	set(0);
	arrived(nacl_imc_recvmsg(11, &answer, 0));
}

static void call(void)
{
	set(0);
	descs[0] = -1;
	arrived(SLOT(162)(11, &header, &answer));
}

static void send(void)
{
	int n;
	while ((n = send_(11, b, 50000, 0, 0, NACL_IMC_NONBLOCK)) == 50000) ;
	want(n, -EAGAIN);
	int m = nacl_imc_mem_obj_create(0x10000);
	want(m >= 0, 1);
	set(m);
	descs[0] = m;
	want(nacl_imc_sendmsg(11, &header, 0), 64);
	pthread_join(thread, 0);
	want(header.desc_length, 9999); // the host writes nothing there
}

// Everything at once, as fast as it goes: the fields alternate between values that hold
// and values that don't. All that can be seen of it are errors.
static volatile int stop;

static void *flipper(void *x)
{
	static const unsigned lengths[] = {1, 2, 257, 0, 0xffffffffu};
	static const unsigned counts[] = {1, 8, 9, 0, 0xffffffffu};
	static const unsigned sizes[] = {64, 0, 1, 32, 64};
	unsigned places[] = {NACL_POINTER(good), NACL_POINTER(evil), 0, 0xffffffffu, 0x20000};
	unsigned vectors[] = {NACL_POINTER(vector), NACL_POINTER(answers), 0, 0xfffffff8u, 1};
	unsigned arrays[] = {NACL_POINTER(descs), NACL_POINTER(others), 0, 0xfffffffcu, 2};
	int numbers[] = {-1, 1, 1234, -2, 0x7fffffff};
	for (unsigned i = 0; !stop; i++) {
		volatile struct nacl_imc_msghdr *h = i & 1 ? &header : &answer;
		volatile struct nacl_imc_iovec *v = i & 2 ? vector : answers;
		// Mostly what holds, or no call would ever get far.
		unsigned k = i * 2654435761u >> 16;
		int bad = k % 7 == 0;
#define CHOOSE(list) list[bad ? (k = k * 1103515245 + 12345) >> 16 & 3 : (k = k * 1103515245 + 12345) >> 16 & 1]
		h->iov = CHOOSE(vectors); h->iov_length = CHOOSE(lengths);
		h->descv = CHOOSE(arrays); h->desc_length = CHOOSE(counts);
		v[0].base = CHOOSE(places); v[0].length = CHOOSE(sizes);
		v[1].base = CHOOSE(places); v[1].length = CHOOSE(sizes);
		descs[k & 7] = CHOOSE(numbers);
	}
	return 0;
}

static void flip(void)
{
	static int results[200];
	int s[2], p[2], a, c, i, n;
	nacl_imc_makeboundsock(p);
	pair(p[0], p[1], &a, &c);
	set(0);
	want(send_(10, "go", 2, 0, 0, 0), 2); // the host sends it back to the thread of set
	pthread_join(thread, 0);
	pthread_create(&thread, 0, flipper, 0);
	int shared = nacl_imc_mem_obj_create(0x10000), keep[2] = {shared, -1};
	// Until both threads have met often enough for each kind of result.
	for (i = 0; i < 20000 || !results[0] || !results[EFAULT] || !results[EINVAL]; i++) {
		switch (i % 4) {
		case 0:
			n = nacl_imc_sendmsg(a, &header, NACL_IMC_NONBLOCK);
			if (n > 128) n = -200;
			break;
		case 1:
			want(send_(c, "0123456789", 10, keep, 2, 0), 10);
			n = nacl_imc_recvmsg(a, &answer, NACL_IMC_NONBLOCK);
			if (n > 10) n = -200;
			break;
		case 2:
			n = nacl_imc_recvmsg(c, &answer, NACL_IMC_NONBLOCK);
			if (n > 128) n = -200;
			break;
		case 3:
			n = SLOT(162)(11, &header, &answer);
			if (n > 128) n = -200;
		}
		if (n > -200 && n < 0) results[-n] = 1;
		else if (n < 0) { printf("step %d: %d\n", i, n); exit(1); }
		else results[0] = 1;
		while (recv_(a, b, 200, 0, 0, NACL_IMC_NONBLOCK) >= 0) ;
		if (i % 100 == 0) for (int fd = shared + 1; fd < 1024; fd++) close(fd);
	}
	stop = 1;
	pthread_join(thread, 0);
	for (i = 0; i < 200; i++)
		if (results[i] && i != 0 && i != EFAULT && i != EINVAL && i != EBADF && i != EAGAIN && i != EIO) { printf("an error of %d\n", i); exit(1); }
}

int main(int argc, char **argv)
{
	static const struct { const char *name; void (*f)(void); } all[] = {
		{"receive", receive}, {"call", call}, {"send", send}, {"flip", flip},
	};
	for (int i = 0; i < sizeof all / sizeof *all; i++)
		if (strcmp(argv[1], all[i].name) == 0) {
			all[i].f();
			puts("ok");
			return 0;
		}
	return 2;
}
