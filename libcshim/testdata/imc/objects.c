// Objects of guests: serve on descriptor 10, callers on descriptor 11.
#include <ctype.h>
#include "imc.h"

static char pattern(size_t i) { return 'a' + i % 23; }

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

static int rounds;

static void bench(void)
{
	char q[64] = "", a[64];
	for (int i = 0; i < rounds; i++) want(call(11, q, sizeof q, 0, 0, a, sizeof a), 64);
}

int main(int argc, char **argv)
{
	static const struct { const char *name; void (*f)(void); } all[] = {
		{"serve", serve}, {"bench", bench},
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
