/* Messages and descriptors on plain Linux: Unix sockets and SCM_RIGHTS, in the
 * protocol of docs/imc.md. The other side may be a Go program, a sandboxed one,
 * or another program of this library. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "../call.h"
#include "nacl.h"

enum {
	WORD_MESSAGE = 0xd3c0de01,
	WORD_CONTROL = 0xd3c0de02,
	ACCEPTED = 1,
	REFUSED = 2,
	HEADER = 16,
	TAG_END = 0xff,
	FLAG_METADATA = 0x10000,
	FLAGS = 3 | 0x1000 | FLAG_METADATA,
	METADATA_MAX = 1024,
	AREA_MAX = (NACL_IMC_DESC_MAX * (1 + 4 + 8 + METADATA_MAX + 8) + 1 + 15) & ~15,
	PACKET_MAX = HEADER + AREA_MAX + NACL_IMC_BYTES_MAX,
	GRANULE = 0x10000,
	BUFFER = 212992, /* of a socket: room for the longest message */
};

static int fail(int error)
{
	errno = error;
	return -1;
}

/* ---- what descriptors are ----
 *
 * The kernel does not say what a socket is for. A table by number remembers, with
 * the socket's inode: a number that was closed and given to something else is
 * not taken for what it was, and a duplicate is found by its inode. */
static struct known {
	ino_t ino;
	int kind;
} *table;
static int table_size;
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;

static int remember(int fd, ino_t ino, int kind)
{
	if (fd >= table_size) {
		int n = fd < 64 ? 64 : 2 * fd;
		struct known *t = realloc(table, n * sizeof *t);
		if (!t) return fail(ENOMEM);
		memset(t + table_size, 0, (n - table_size) * sizeof *t);
		table = t;
		table_size = n;
	}
	table[fd] = (struct known){ino, kind};
	return 0;
}

int nacl_imc_declare(int fd, enum nacl_imc_kind kind)
{
	struct stat st;
	int socket = kind == NACL_IMC_CONNECT || kind == NACL_IMC_BOUND || kind == NACL_IMC_DATA_SOCKET || kind == NACL_IMC_SOCKET;

	if (fstat(fd, &st)) return -1;
	if (!socket) return kind == NACL_IMC_FILE || kind == NACL_IMC_SHARED_MEMORY ? 0 : fail(EINVAL);
	if (!S_ISSOCK(st.st_mode)) return fail(ENOTSOCK);
	pthread_mutex_lock(&table_lock);
	int r = remember(fd, st.st_ino, kind);
	pthread_mutex_unlock(&table_lock);
	return r;
}

/* The kind of an open descriptor; 0: something that IMC does not know; -1: closed. */
static int kind_of(int fd, struct stat *st)
{
	if (fstat(fd, st)) return -1;
	if (S_ISREG(st->st_mode)) {
		int seals = fcntl(fd, F_GET_SEALS);
		return seals >= 0 && (seals & (F_SEAL_SHRINK | F_SEAL_GROW)) == (F_SEAL_SHRINK | F_SEAL_GROW) ? NACL_IMC_SHARED_MEMORY : NACL_IMC_FILE;
	}
	if (!S_ISSOCK(st->st_mode)) return S_ISDIR(st->st_mode) ? 0 : NACL_IMC_FILE;
	int kind = 0;
	pthread_mutex_lock(&table_lock);
	if (fd < table_size && table[fd].ino == st->st_ino) {
		kind = table[fd].kind;
	} else {
		for (int i = 0; i < table_size && !kind; i++)
			if (table[i].kind && table[i].ino == st->st_ino) kind = table[i].kind;
		if (kind) remember(fd, st->st_ino, kind);
	}
	pthread_mutex_unlock(&table_lock);
	return kind;
}

/* ---- sockets ---- */

static int new_pair(int pair[2], int first, int second)
{
	int size = BUFFER;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) return -1;
	for (int i = 0; i < 2; i++) setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	if ((first && nacl_imc_declare(pair[0], first)) || (second && nacl_imc_declare(pair[1], second))) {
		int e = errno;
		close(pair[0]);
		close(pair[1]);
		return fail(e);
	}
	return 0;
}

static int is_seqpacket(int fd)
{
	int v;
	socklen_t n = sizeof v;

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &v, &n) || v != AF_UNIX) return 0;
	n = sizeof v;
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &v, &n) || v != SOCK_SEQPACKET) return 0;
	n = sizeof v;
	return !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &v, &n) && !v;
}

static int events(int fd, int what)
{
	struct pollfd p = {fd, what, 0};

	return poll(&p, 1, 0) < 0 ? 0 : p.revents;
}

static void nap(int *ms)
{
	struct timespec t = {0, *ms * 1000000L};

	nanosleep(&t, 0);
	if (*ms < 64) *ms *= 2;
}

/* Sends one packet. 0, or an error number. */
static int send_packet(int fd, struct iovec *iov, int iovs, const int *fds, int count, int flags)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(NACL_IMC_DESC_MAX * sizeof(int))];
	} control;
	struct msghdr h = {.msg_iov = iov, .msg_iovlen = iovs};

	if (count) {
		memset(&control, 0, sizeof control);
		h.msg_control = &control;
		h.msg_controllen = CMSG_SPACE(count * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	}
	for (int ms = 1;;) {
		if (sendmsg(fd, &h, MSG_NOSIGNAL | flags) >= 0) return 0;
		switch (errno) {
		case EINTR:
			continue;
		case ETOOMANYREFS: /* too many descriptors in flight; no event says when that is over */
		case ENOBUFS:
		case ENOMEM:
			if (flags & MSG_DONTWAIT) return EAGAIN;
			nap(&ms);
			continue;
		case ECONNRESET:
			return EPIPE;
		}
		return errno;
	}
}

struct packet {
	unsigned char *bytes; /* PACKET_MAX + 1 */
	size_t size;
	int fds[NACL_IMC_DESC_MAX];
	int count;
	int lost; /* the kernel could not deliver all descriptors */
};

/* Receives one packet: 0, EPIPE at the end, or an error number. */
static int receive_packet(int fd, struct packet *p, size_t room, int flags)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(NACL_IMC_DESC_MAX * sizeof(int))];
	} control;

	for (;;) {
		struct iovec iov = {p->bytes, room};
		struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
		ssize_t n = recvmsg(fd, &h, MSG_CMSG_CLOEXEC | flags);
		if (n < 0) {
			if (errno == EINTR || errno == ECONNRESET) continue; /* a reset is said once, before what is still there */
			return errno;
		}
		p->size = n;
		p->count = 0;
		p->lost = (h.msg_flags & MSG_CTRUNC) != 0;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c)) {
			if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
			int k = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			for (int i = 0; i < k; i++) {
				int d;
				memcpy(&d, CMSG_DATA(c) + i * sizeof d, sizeof d);
				if (p->count < NACL_IMC_DESC_MAX)
					p->fds[p->count++] = d;
				else
					close(d);
			}
		}
		if (n > 0) return 0;
		for (int i = 0; i < p->count; i++) close(p->fds[i]);
		if (events(fd, POLLRDHUP) & (POLLRDHUP | POLLHUP | POLLNVAL)) return EPIPE;
		/* An empty packet is none of ours. */
	}
}

static void close_fds(struct packet *p, int from)
{
	for (int i = from; i < p->count; i++) close(p->fds[i]);
	p->count = from;
}

int nacl_imc_makeboundsock(int pair[2])
{
	return new_pair(pair, NACL_IMC_BOUND, NACL_IMC_CONNECT) ? fail(EMFILE) : 0;
}

int nacl_imc_socketpair(int pair[2])
{
	return new_pair(pair, NACL_IMC_DATA_SOCKET, NACL_IMC_DATA_SOCKET) ? fail(ENFILE) : 0;
}

int nacl_imc_accept(int fd)
{
	struct stat st;
	int kind = kind_of(fd, &st);

	if (kind < 0) return fail(EBADF);
	if (kind != NACL_IMC_BOUND) return fail(EINVAL);
	for (;;) {
		/* Without a free number the kernel would drop the connection. */
		int probe = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (probe < 0) return fail(EMFILE);
		close(probe);
		unsigned char word[4];
		struct packet p = {.bytes = word};
		if (receive_packet(fd, &p, sizeof word, 0)) return fail(EIO);
		int plain = p.size == 1 && word[0] == 'c', ack = p.size == 2 && word[0] == 'c' && word[1] == 'a';
		if (p.count != 1 || p.lost || (!plain && !ack) || !is_seqpacket(p.fds[0])) {
			close_fds(&p, 0); /* no request; who can connect must not be able to stop the server */
			continue;
		}
		int conn = p.fds[0];
		if (ack) {
			uint32_t control[4] = {WORD_CONTROL, ACCEPTED, 0, 0};
			struct iovec iov = {control, sizeof control};
			if (send_packet(conn, &iov, 1, 0, 0, MSG_DONTWAIT)) {
				close(conn); /* the other side gave up */
				continue;
			}
		}
		if (nacl_imc_declare(conn, NACL_IMC_SOCKET)) {
			close(conn);
			return fail(ENOMEM);
		}
		return conn;
	}
}

/* 0, EAGAIN, ECONNREFUSED or an error number. */
static int connect_to(int fd, const char *word, int flags, int *conn)
{
	int pair[2];

	if (new_pair(pair, NACL_IMC_SOCKET, 0)) return EMFILE;
	struct iovec iov = {(void *)word, strlen(word)};
	int error = send_packet(fd, &iov, 1, &pair[1], 1, flags);
	close(pair[1]);
	if (error) {
		close(pair[0]);
		return error == EPIPE ? ECONNREFUSED : error;
	}
	*conn = pair[0];
	return 0;
}

int nacl_imc_connect(int fd)
{
	struct stat st;
	int kind = kind_of(fd, &st), conn;

	if (kind < 0) return fail(EBADF);
	if (kind != NACL_IMC_CONNECT) return fail(EINVAL);
	int error = connect_to(fd, "c", 0, &conn);
	if (error) return fail(error == EMFILE ? EMFILE : EIO);
	return conn;
}

int nacl_imc_connect_wait(int fd, int flags)
{
	struct stat st;
	int kind = kind_of(fd, &st), conn;

	if (kind < 0) return fail(EBADF);
	if (kind != NACL_IMC_CONNECT) return fail(EINVAL);
	if (flags & NACL_IMC_NONBLOCK) {
		int error = connect_to(fd, "c", MSG_DONTWAIT, &conn);
		return error ? fail(error) : conn;
	}
	for (int ms = 1;; nap(&ms)) {
		int error = connect_to(fd, "ca", 0, &conn);
		if (error) return fail(error);
		uint32_t control[5];
		struct packet p = {.bytes = (unsigned char *)control};
		error = receive_packet(conn, &p, sizeof control, 0);
		if (!error) {
			close_fds(&p, 0);
			if (p.size == 16 && control[0] == WORD_CONTROL && control[1] == ACCEPTED) return conn;
			close(conn);
			return fail(p.size == 16 && control[0] == WORD_CONTROL && control[1] == REFUSED ? ECONNREFUSED : EIO);
		}
		close(conn);
		if (error != EPIPE) return fail(error);
		if (events(fd, 0) & (POLLHUP | POLLNVAL)) return fail(ECONNREFUSED);
		/* The request was lost: who took it had no descriptor left. */
	}
}

/* ---- messages ---- */

static unsigned char *put32(unsigned char *p, uint32_t v)
{
	memcpy(p, &v, 4); /* x86 is little-endian, as the protocol is */
	return p + 4;
}

static uint32_t get32(const unsigned char *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

int nacl_imc_sendmsg(int fd, const struct nacl_imc_msghdr *m, int flags)
{
	if (m->iov_length > NACL_IMC_IOVEC_MAX || m->desc_length > NACL_IMC_DESC_MAX) return fail(EINVAL);
	const struct nacl_imc_iovec *in = (const void *)m->iov;
	const int *descv = (const int *)m->descv;
	struct stat st;
	struct iovec iov[NACL_IMC_IOVEC_MAX + 1];
	unsigned char head[HEADER + AREA_MAX], *p = head + HEADER;
	int fds[NACL_IMC_DESC_MAX], count = 0;
	uint64_t size = 0;
	int kind = kind_of(fd, &st);

	if (kind < 0) return fail(EBADF);
	for (unsigned i = 0; i < m->iov_length; i++) {
		iov[i + 1] = (struct iovec){(void *)in[i].base, in[i].length};
		size += in[i].length;
	}
	for (unsigned i = 0; i < m->desc_length; i++)
		if (descv[i] != NACL_IMC_NO_DESC && fcntl(descv[i], F_GETFD) < 0) return fail(EBADF);
	if (kind != NACL_IMC_SOCKET && kind != NACL_IMC_DATA_SOCKET) return fail(EIO);
	if (size > UINT32_MAX) return fail(EMSGSIZE);
	if (size > NACL_IMC_BYTES_MAX || (m->desc_length && kind == NACL_IMC_DATA_SOCKET)) return fail(EIO);
	for (unsigned i = 0; i < m->desc_length; i++) {
		int d = descv[i], k = d == NACL_IMC_NO_DESC ? 0 : kind_of(d, &st);
		if (d == NACL_IMC_NO_DESC) {
			*p++ = 0;
			continue;
		}
		int access = fcntl(d, F_GETFL);
		if (access < 0 || access & O_PATH) return fail(EIO);
		*p++ = k;
		switch (k) {
		case NACL_IMC_FILE:
			p = put32(p, access & O_ACCMODE);
			p = put32(p, access);
			break;
		case NACL_IMC_SHARED_MEMORY:
			p = put32(p, access & O_ACCMODE);
			p = put32(p, st.st_size);
			p = put32(p, (uint64_t)st.st_size >> 32);
			break;
		case NACL_IMC_CONNECT:
		case NACL_IMC_DATA_SOCKET:
			p = put32(p, O_RDWR);
			break;
		default:
			return fail(EIO); /* can't be sent */
		}
		fds[count++] = d;
	}
	if (m->desc_length) {
		*p++ = TAG_END;
		while ((p - head) % 16) *p++ = 0;
	}
	put32(head, WORD_MESSAGE);
	put32(head + 4, p - head - HEADER);
	memset(head + 8, 0, 8);
	iov[0] = (struct iovec){head, p - head};
	int error = send_packet(fd, iov, m->iov_length + 1, fds, count, flags & NACL_IMC_NONBLOCK ? MSG_DONTWAIT : 0);
	if (error) return fail(error == EAGAIN || error == EMSGSIZE ? error : EIO);
	return size;
}

/* Checks what a descriptor is said to be. */
static int acceptable(int fd, int kind, int64_t size)
{
	struct stat st;

	switch (kind) {
	case NACL_IMC_CONNECT:
	case NACL_IMC_DATA_SOCKET:
		return is_seqpacket(fd) && !nacl_imc_declare(fd, kind);
	case NACL_IMC_SHARED_MEMORY: {
		int seals = fcntl(fd, F_GET_SEALS);
		return seals >= 0 && (seals & (F_SEAL_SHRINK | F_SEAL_GROW)) == (F_SEAL_SHRINK | F_SEAL_GROW) &&
		       size > 0 && size <= INT32_MAX && size % GRANULE == 0 && !fstat(fd, &st) && st.st_size >= size;
	}
	case NACL_IMC_FILE:
		return !fstat(fd, &st) && !S_ISDIR(st.st_mode) && !(fcntl(fd, F_GETFL) & O_PATH);
	}
	return 0;
}

/* Takes the descriptor area apart. The number of descriptors, -1 for those without
 * one; or -1 if it is malformed. Everything in it is hostile. */
static int decode(struct packet *p, const unsigned char *a, size_t n, int descs[NACL_IMC_DESC_MAX])
{
	int count = 0, used = 0;

	if (!n) return p->count ? -1 : 0;
	for (;;) {
		if (!n) return -1;
		int kind = *a++;
		n--;
		if (kind == TAG_END) return used == p->count ? count : -1;
		if (count == NACL_IMC_DESC_MAX) return -1;
		if (!kind) {
			descs[count++] = NACL_IMC_NO_DESC;
			continue;
		}
		if (n < 4) return -1;
		uint32_t flags = get32(a);
		a += 4;
		n -= 4;
		if (flags & ~(uint32_t)FLAGS) return -1;
		if (flags & FLAG_METADATA) {
			if (n < 8 || get32(a + 4) > METADATA_MAX || n - 8 < get32(a + 4)) return -1;
			size_t skip = 8 + get32(a + 4);
			a += skip;
			n -= skip;
		}
		size_t payload = kind == NACL_IMC_FILE ? 4 : kind == NACL_IMC_SHARED_MEMORY ? 8 : 0;
		if (n < payload) return -1;
		int64_t size = payload == 8 ? (int64_t)(get32(a) | (uint64_t)get32(a + 4) << 32) : 0;
		a += payload;
		n -= payload;
		if (used == p->count) {
			if (!p->lost) return -1;
			descs[count++] = NACL_IMC_NO_DESC; /* the kernel had no number left for it */
			continue;
		}
		if (!acceptable(p->fds[used], kind, size)) return -1;
		descs[count++] = p->fds[used++];
	}
}

int nacl_imc_recvmsg(int fd, struct nacl_imc_msghdr *m, int flags)
{
	if (m->iov_length > NACL_IMC_IOVEC_MAX || m->desc_length > NACL_IMC_DESC_MAX) return fail(EINVAL);
	struct nacl_imc_iovec *out = (void *)m->iov;
	int *descv = (int *)m->descv, descs[NACL_IMC_DESC_MAX];
	struct stat st;
	int kind = kind_of(fd, &st);

	if (kind < 0) return fail(EBADF);
	if (kind != NACL_IMC_SOCKET && kind != NACL_IMC_DATA_SOCKET) return fail(EINVAL);
	struct packet p = {.bytes = malloc(PACKET_MAX + 1)};
	if (!p.bytes) return fail(ENOMEM);
	int error, total = -1;
	do {
		error = receive_packet(fd, &p, PACKET_MAX + 1, flags & NACL_IMC_NONBLOCK ? MSG_DONTWAIT : 0);
		/* A control packet tells how a connection went, for which nobody here waits. */
	} while (!error && p.size == HEADER && get32(p.bytes) == WORD_CONTROL && (close_fds(&p, 0), 1));
	if (error) {
		free(p.bytes);
		return fail(error == EPIPE ? EIO : error);
	}
	uint32_t area = p.size >= HEADER ? get32(p.bytes + 4) : 0;
	int count = -1;
	if (p.size >= HEADER && get32(p.bytes) == WORD_MESSAGE && area % 16 == 0 && area <= AREA_MAX && area <= p.size - HEADER &&
	    p.size - HEADER - area <= NACL_IMC_BYTES_MAX && !(kind == NACL_IMC_DATA_SOCKET && area))
		count = decode(&p, p.bytes + HEADER, area, descs);
	if (count < 0) {
		close_fds(&p, 0);
		error = EIO;
	} else {
		const unsigned char *data = p.bytes + HEADER + area;
		size_t left = p.size - HEADER - area;
		total = 0;
		m->flags = 0;
		for (unsigned i = 0; i < m->iov_length && left; i++) {
			size_t n = out[i].length < left ? out[i].length : left;
			memcpy((void *)out[i].base, data, n);
			data += n;
			left -= n;
			total += n;
		}
		unsigned room = m->desc_length;
		for (unsigned i = 0; i < (unsigned)count; i++) {
			if (i < room) {
				descv[i] = descs[i];
			} else {
				if (descs[i] >= 0) close(descs[i]);
				m->flags |= NACL_IMC_DESC_TRUNCATED;
			}
		}
		m->desc_length = (unsigned)count < room ? (unsigned)count : room;
	}
	free(p.bytes);
	return error ? fail(error) : total;
}

int nacl_imc_mem_obj_create(size_t size)
{
	if (size % GRANULE) return fail(EINVAL);
	if (!size || size > INT32_MAX) return fail(ENOMEM);
	int fd = memfd_create("imc", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0) return fail(ENOMEM);
	if (ftruncate(fd, size) || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		close(fd);
		return fail(ENOMEM);
	}
	return fd;
}

/* ---- the client's half of a call ---- */

int nacl_imc_call(int fd, const struct nacl_imc_msghdr *request, struct nacl_imc_msghdr *reply)
{
	struct nacl_imc_message q = {0}, r;
	int failed = 0, n = -1, error = 0;
	uint64_t size = 0;

	if (request && (request->iov_length > NACL_IMC_IOVEC_MAX || request->desc_length > NACL_IMC_DESC_MAX)) return fail(EINVAL);
	if (reply && (reply->iov_length > NACL_IMC_IOVEC_MAX || reply->desc_length > NACL_IMC_DESC_MAX)) return fail(EINVAL);
	if (request) {
		const struct nacl_imc_iovec *in = (const void *)request->iov;
		for (unsigned i = 0; i < request->iov_length; i++) size += in[i].length;
		if (size > INT32_MAX) return fail(EMSGSIZE);
		if (size && !(q.data = malloc(size))) return fail(ENOMEM);
		for (unsigned i = 0; i < request->iov_length; i++) {
			memcpy((char *)q.data + q.size, (void *)in[i].base, in[i].length);
			q.size += in[i].length;
		}
		q.descs = (int *)request->descv;
		q.desc_count = request->desc_length;
	}
	unsigned char *part = malloc(NACL_IMC_BYTES_MAX);
	int conn = part ? nacl_imc_connect_wait(fd, 0) : -1;
	if (conn < 0) {
		error = part ? errno : ENOMEM;
		free(part);
		free(q.data);
		return fail(error);
	}
	int sent = nacl_call_send(conn, &q, 0);
	free(q.data);
	/* An object may answer and close before it has read everything. */
	error = sent && sent != EIO ? sent : nacl_call_receive(conn, &r, &failed, part);
	free(part);
	close(conn);
	if (error == EIO) error = ECONNRESET; /* it was accepted, and ended without a whole reply */
	if (error) return fail(error);
	if (failed) {
		error = r.size >= 4 ? (int)get32(r.data) : 0;
		nacl_call_drop(&r);
		return fail(error > 0 && error < 4096 ? error : EIO);
	}
	n = 0;
	if (reply) {
		struct nacl_imc_iovec *out = (void *)reply->iov;
		int *descv = (int *)reply->descv;
		size_t at = 0;
		reply->flags = 0;
		for (unsigned i = 0; i < reply->iov_length && at < r.size; i++) {
			size_t k = out[i].length < r.size - at ? out[i].length : r.size - at;
			memcpy((void *)out[i].base, (char *)r.data + at, k);
			at += k;
		}
		if (at < r.size) reply->flags |= NACL_IMC_DATA_TRUNCATED;
		n = at;
		size_t keep = r.desc_count < reply->desc_length ? r.desc_count : reply->desc_length;
		for (size_t i = 0; i < keep; i++) {
			descv[i] = r.descs[i];
			r.descs[i] = -1;
		}
		if (keep < r.desc_count) reply->flags |= NACL_IMC_DESC_TRUNCATED;
		reply->desc_length = keep;
	}
	nacl_call_drop(&r);
	return n;
}
