/* Scenes of the native libnacl: argv[1] names one; descriptors from 3 on are given. */
#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "nacl.h"

static int upper(void *context, const struct nacl_imc_message *q, struct nacl_imc_message *r)
{
	(void)context;
	if (q->size == 4 && !memcmp(q->data, "fail", 4)) return EPERM;
	r->data = malloc(q->size + 1);
	r->size = q->size;
	for (size_t i = 0; i < q->size; i++) ((char *)r->data)[i] = toupper(((unsigned char *)q->data)[i]);
	/* Descriptors go back. */
	r->descs = malloc((q->desc_count + 1) * sizeof(int));
	r->desc_count = q->desc_count;
	for (size_t i = 0; i < q->desc_count; i++) r->descs[i] = q->descs[i] < 0 ? -1 : dup(q->descs[i]);
	return 0;
}

static int transfer(int fd, const char *text, int *descs, int count, int flags)
{
	struct nacl_imc_iovec iov[2] = {{NACL_POINTER(text), 1}, {NACL_POINTER(text + 1), strlen(text) - 1}};
	struct nacl_imc_msghdr h = {.iov = NACL_POINTER(iov), .iov_length = *text ? 2 : 0, .descv = NACL_POINTER(descs), .desc_length = count};
	return nacl_imc_sendmsg(fd, &h, flags);
}

static int receive(int fd, char *text, int room, int *descs, int count, int *got, int *flags)
{
	struct nacl_imc_iovec iov = {NACL_POINTER(text), room};
	struct nacl_imc_msghdr h = {.iov = NACL_POINTER(&iov), .iov_length = 1, .descv = NACL_POINTER(descs), .desc_length = count};
	int n = nacl_imc_recvmsg(fd, &h, 0);
	if (got) *got = h.desc_length;
	if (flags) *flags = h.flags;
	if (n >= 0 && n < room) text[n] = 0;
	return n;
}

static const char *name(int r)
{
	if (r >= 0) return "ok";
	switch (errno) {
	case EIO: return "EIO";
	case EBADF: return "EBADF";
	case EINVAL: return "EINVAL";
	case EAGAIN: return "EAGAIN";
	case ENOMEM: return "ENOMEM";
	case ECONNREFUSED: return "ECONNREFUSED";
	case ECONNRESET: return "ECONNRESET";
	case EACCES: return "EACCES";
	case EPERM: return "EPERM";
	}
	return strerror(errno);
}

static void *acceptor(void *p)
{
	return (void *)(intptr_t)nacl_imc_accept(*(int *)p);
}

static void behaviours(void)
{
	int pair[2], d[9], got, flags;
	char b[100];

	printf("make %d\n", nacl_imc_makeboundsock(pair));
	pthread_t t;
	void *r;
	pthread_create(&t, 0, acceptor, &pair[0]);
	int a = nacl_imc_connect(pair[1]);
	pthread_join(t, &r);
	int z = (intptr_t)r;
	printf("send %d\n", transfer(a, "hello", 0, 0, 0));
	printf("receive %d", receive(z, b, 100, d, 8, &got, &flags));
	printf(" %s %d %d\n", b, got, flags);
	printf("back %d\n", transfer(z, "you", 0, 0, 0));
	int n = receive(a, b, 2, d, 8, &got, &flags);
	printf("cut %d %.2s\n", n, b);
	d[0] = pair[0];
	printf("bound socket %s", name(transfer(a, "x", d, 1, 0)));
	d[0] = a;
	printf(", connected %s", name(transfer(a, "x", d, 1, 0)));
	d[0] = 1234;
	printf(", closed %s", name(transfer(a, "x", d, 1, 0)));
	d[0] = -2;
	printf(", -2 %s", name(transfer(a, "x", d, 1, 0)));
	printf(", nine %s\n", name(transfer(a, "x", d, 9, 0)));
	d[0] = -1;
	printf("-1: %d", transfer(a, "", d, 1, 0));
	n = receive(z, b, 100, d, 8, &got, &flags);
	printf(" %d %d %d\n", n, got, d[0]);
	for (int i = 0; i < 8; i++) d[i] = -1;
	printf("eight: %d", transfer(a, "", d, 8, 0));
	n = receive(z, b, 100, d, 3, &got, &flags);
	printf(" %d %d %d\n", n, got, flags);
	/* A capability in a message works. */
	d[0] = pair[1];
	printf("capability %d", transfer(a, "cap", d, 1, 0));
	n = receive(z, b, 100, d, 8, &got, &flags);
	printf(" %d %d\n", n, got);
	pthread_create(&t, 0, acceptor, &pair[0]);
	int a2 = nacl_imc_connect_wait(d[0], 0);
	pthread_join(t, &r);
	printf("through it %s %d\n", name(a2), transfer(a2, "again", 0, 0, 0));
	/* Shared memory. */
	printf("memory %s %s %s", name(nacl_imc_mem_obj_create(4096)), name(nacl_imc_mem_obj_create(0)), name(nacl_imc_mem_obj_create(1)));
	int m = nacl_imc_mem_obj_create(0x20000);
	char *v = mmap(0, 0x20000, PROT_READ | PROT_WRITE, MAP_SHARED, m, 0);
	strcpy(v + 0x10000, "shared");
	int sent = transfer(a, "mem", &m, 1, 0);
	n = receive(z, b, 100, d, 8, &got, &flags);
	char *w = mmap(0, 0x20000, PROT_READ, MAP_SHARED, d[0], 0);
	printf(" %d %d %s\n", sent, got, w + 0x10000);
	printf("cut off %s\n", name(ftruncate(m, 0)));
	/* Data sockets: no descriptors, but they can be sent. */
	int s[2];
	nacl_imc_socketpair(s);
	printf("data %d %s", transfer(s[0], "abc", 0, 0, 0), name(transfer(s[0], "abc", s, 1, 0)));
	sent = transfer(a, "sock", &s[1], 1, 0);
	close(s[1]);
	receive(z, b, 100, d, 8, &got, &flags);
	n = receive(d[0], b, 100, 0, 0, 0, 0);
	printf(" %d %d %s\n", sent, n, b);
	/* Full, empty, closed. */
	for (n = 0; transfer(s[0], "0123456789", 0, 0, NACL_IMC_NONBLOCK) == 10; n++) {}
	printf("full %s %d\n", name(-1), n > 50);
	close(z);
	printf("closed: send %s", name(transfer(a, "x", 0, 0, 0)));
	printf(", receive %s\n", name(receive(a, b, 100, 0, 0, 0, 0)));
	close(pair[0]);
	printf("nobody: %s", name(nacl_imc_connect(pair[1])));
	printf(" %s\n", name(nacl_imc_connect_wait(pair[1], 0)));
	printf("kinds: %s %s %s\n", name(nacl_imc_accept(pair[1])), name(nacl_imc_connect(a)), name(transfer(0, "x", 0, 0, 0)));
	nacl_imc_makeboundsock(pair);
	close(pair[1]);
	printf("no capability: %s\n", name(nacl_imc_accept(pair[0])));
}

static void call(int object)
{
	size_t size = 700000;
	char *q = malloc(size), *r = malloc(size);
	int d[8], m = nacl_imc_mem_obj_create(0x10000);

	for (size_t i = 0; i < size; i++) q[i] = 'a' + i % 26;
	struct nacl_imc_iovec in[2] = {{NACL_POINTER(q), 300000}, {NACL_POINTER(q + 300000), size - 300000}}, out = {NACL_POINTER(r), size};
	struct nacl_imc_msghdr request = {.iov = NACL_POINTER(in), .iov_length = 2, .descv = NACL_POINTER(&m), .desc_length = 1};
	struct nacl_imc_msghdr reply = {.iov = NACL_POINTER(&out), .iov_length = 1, .descv = NACL_POINTER(d), .desc_length = 8};
	int n = nacl_imc_call(object, &request, &reply);
	int same = n == (int)size;
	for (int i = 0; i < n && same; i++) same = r[i] == toupper(q[i]);
	printf("call %d %d %u %d\n", n, same, (unsigned)reply.desc_length, reply.flags);
	in[0] = (struct nacl_imc_iovec){NACL_POINTER("short"), 5};
	request.iov_length = 1;
	request.desc_length = 0;
	out.length = 3;
	reply.iov_length = 1;
	n = nacl_imc_call(object, &request, &reply);
	printf("cut %d %.3s %d\n", n, r, reply.flags);
	in[0] = (struct nacl_imc_iovec){NACL_POINTER("fail"), 4};
	printf("error %s\n", name(nacl_imc_call(object, &request, &reply)));
	printf("nothing %s\n", name(nacl_imc_call(object, 0, 0)));
}

/* An object that fails in the middle of its answer, and one that goes there. */
static void late(int object)
{
	printf("late %s", name(nacl_imc_call(object, 0, 0)));
	printf(" %s\n", name(nacl_imc_call(object, 0, 0)));
}

int main(int argc, char **argv)
{
	if (argc < 2) return 2;
	setvbuf(stdout, 0, _IOLBF, 0);
	if (!strcmp(argv[1], "behaviours")) {
		behaviours();
	} else if (!strcmp(argv[1], "serve")) {
		nacl_imc_declare(3, NACL_IMC_BOUND);
		return nacl_imc_serve(3, upper, 0) ? 1 : 0;
	} else if (!strcmp(argv[1], "call")) {
		nacl_imc_declare(3, NACL_IMC_CONNECT);
		call(3);
	} else if (!strcmp(argv[1], "late")) {
		nacl_imc_declare(3, NACL_IMC_CONNECT);
		late(3);
	}
	return 0;
}
