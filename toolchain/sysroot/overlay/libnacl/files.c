/* The client of the file service. It stands on the calls that messages are sent with,
 * so it is the same in a domain and outside. Everything that comes back is hostile: the
 * service may be anybody. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nacl.h"
#include "nacl_files.h"

enum {
	WORD_REQUEST = 0x33515346, /* "FSQ3" */
	WORD_REPLY = 0x33525346,   /* "FSR3" */
	REQUEST_HEADER = 40,
	REPLY_HEADER = 24,
	STAT_SIZE = 80,
	STAT1_SIZE = 68, /* of version 1 */
	ENTRY_HEADER = 14,
	PATH_BYTES = 4096,
	ERRNO_MAX = 4095,
};

enum op {
	OPEN = 1,
	STAT = 2,
	READDIR = 3,
	MKDIR = 4,
	UNLINK = 5,
	RMDIR = 6,
	RENAME = 7,
	READLINK = 8,
	SYMLINK = 9,
	TRUNCATE = 10,
	CHMOD = 11,
};

/* What is asked, and the answer. It lies on the stack of who asks. */
struct question {
	struct question *next;
	uint32_t id;
	int answered;

	int error; /* 0: done */
	uint64_t arg;
	unsigned char *data; /* to be freed */
	size_t size;
	int fd; /* of an answer with one, or -1 */
};

struct nacl_files {
	int out, in, version;
	int owned; /* the connection is ours to close */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct question *waiting;
	uint32_t last;
	int reading; /* one of those who wait receives for all */
	int dead;
	unsigned char *buffer; /* of who receives */
};

/* One message that came in. */
struct arrival {
	int size; /* -1: the connection has ended */
	int fd;   /* the one descriptor, or -1 */
	int count;
	int lost; /* descriptors came that there was no number for */
};

static int fail(int error)
{
	errno = error;
	return -1;
}

static uint16_t get16(const unsigned char *p) { return p[0] | p[1] << 8; }
static uint32_t get32(const unsigned char *p) { return get16(p) | (uint32_t)get16(p + 2) << 16; }
static uint64_t get64(const unsigned char *p) { return get32(p) | (uint64_t)get32(p + 4) << 32; }

static unsigned char *put32(unsigned char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++) *p++ = v >> 8 * i;
	return p;
}

struct nacl_files *nacl_files_on(int out, int in, int version)
{
	if (version < 1 || version > 3) return errno = EINVAL, (struct nacl_files *)0;
	if (nacl_imc_declare(out, NACL_IMC_SOCKET) || nacl_imc_declare(in, NACL_IMC_SOCKET)) return 0;
	struct nacl_files *f = calloc(1, sizeof *f);
	unsigned char *buffer = malloc(NACL_IMC_BYTES_MAX);
	if (!f || !buffer) {
		free(f);
		free(buffer);
		return errno = ENOMEM, (struct nacl_files *)0;
	}
	*f = (struct nacl_files){.out = out, .in = in, .version = version, .buffer = buffer};
	pthread_mutex_init(&f->lock, 0);
	pthread_cond_init(&f->changed, 0);
	return f;
}

struct nacl_files *nacl_files_connect(int service)
{
	if (nacl_imc_declare(service, NACL_IMC_CONNECT)) return 0;
	int fd = nacl_imc_connect_wait(service, 0);
	if (fd < 0) return 0;
	struct nacl_files *f = nacl_files_on(fd, fd, 3);
	if (f)
		f->owned = 1;
	else
		close(fd);
	return f;
}

struct nacl_files *nacl_files_environment(void)
{
	if (getenv("NACL_FILE_RPC")) return nacl_files_on(6, 7, 2);
	if (getenv("NACL_FD")) return nacl_files_on(3, 3, 1);
	return errno = ENOENT, (struct nacl_files *)0;
}

void nacl_files_free(struct nacl_files *f)
{
	if (!f) return;
	if (f->owned) close(f->out);
	pthread_mutex_destroy(&f->lock);
	pthread_cond_destroy(&f->changed);
	free(f->buffer);
	free(f);
}

/* 0, or an error number. */
static int send_parts(struct nacl_files *f, const struct nacl_imc_iovec *iov, int count)
{
	struct nacl_imc_msghdr h = {.iov = NACL_POINTER(iov), .iov_length = count};
	int r;

	while ((r = nacl_imc_sendmsg(f->out, &h, 0)) < 0 && errno == EINTR) ;
	return r < 0 ? errno : 0;
}

static struct arrival receive(struct nacl_files *f)
{
	int descs[NACL_IMC_DESC_MAX];
	struct nacl_imc_iovec iov = {NACL_POINTER(f->buffer), NACL_IMC_BYTES_MAX};
	struct arrival a = {.fd = -1};

	do {
		struct nacl_imc_msghdr h = {.iov = NACL_POINTER(&iov), .iov_length = 1, .descv = NACL_POINTER(descs), .desc_length = NACL_IMC_DESC_MAX};
		a.size = nacl_imc_recvmsg(f->in, &h, 0);
		a.count = h.desc_length;
		a.lost = (h.flags & NACL_IMC_DESC_TRUNCATED) != 0;
	} while (a.size < 0 && errno == EINTR);
	if (a.size < 0) return a;
	for (int i = 0; i < a.count; i++) {
		if (descs[i] < 0) {
			a.lost = 1;
		} else if (a.count == 1) {
			a.fd = descs[i];
		} else {
			close(descs[i]); /* no answer has more than one */
		}
	}
	return a;
}

/* Gives an answer of version 3 to who asked. The lock is held. */
static void deliver(struct nacl_files *f, struct arrival a)
{
	struct question **at = &f->waiting, *q = 0;

	if (a.size < 0) {
		f->dead = 1;
		return;
	}
	if (a.size >= REPLY_HEADER && get32(f->buffer) == WORD_REPLY) {
		while (*at && (*at)->id != get32(f->buffer + 4)) at = &(*at)->next;
		q = *at;
	}
	if (!q) { /* not what anybody asked for */
		if (a.fd >= 0) close(a.fd);
		return;
	}
	*at = q->next;
	q->answered = 1;
	q->error = get32(f->buffer + 8) > ERRNO_MAX ? EPROTO : get32(f->buffer + 8);
	q->arg = get64(f->buffer + 16);
	q->fd = a.fd;
	q->size = a.size - REPLY_HEADER;
	if (!q->error && a.fd < 0 && a.lost) q->error = EMFILE;
	if (!q->error && a.count > 1) q->error = EPROTO;
	if (!q->error && q->size) {
		if ((q->data = malloc(q->size)))
			memcpy(q->data, f->buffer + REPLY_HEADER, q->size);
		else
			q->error = ENOMEM;
	}
	if (q->error && q->fd >= 0) {
		close(q->fd);
		q->fd = -1;
	}
}

/* Waits for the answer. The lock is held. */
static void await(struct nacl_files *f, struct question *q)
{
	while (!q->answered && !f->dead) {
		if (f->reading) {
			pthread_cond_wait(&f->changed, &f->lock);
			continue;
		}
		f->reading = 1;
		pthread_mutex_unlock(&f->lock);
		struct arrival a = receive(f);
		pthread_mutex_lock(&f->lock);
		f->reading = 0;
		deliver(f, a);
		pthread_cond_broadcast(&f->changed);
	}
}

static void forget(struct nacl_files *f, struct question *q)
{
	for (struct question **at = &f->waiting; *at; at = &(*at)->next)
		if (*at == q) {
			*at = q->next;
			return;
		}
}

/* Locks f for a thread that is not to be cancelled meanwhile. */
static int enter(struct nacl_files *f)
{
	int cancel;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	pthread_mutex_lock(&f->lock);
	return cancel;
}

static void leave(struct nacl_files *f, int cancel)
{
	pthread_mutex_unlock(&f->lock);
	pthread_setcancelstate(cancel, 0);
}

static int too_long(const char *path) { return strnlen(path, PATH_BYTES + 1) > PATH_BYTES; }

/* Asks by version 3. 0 or -1; then there is nothing to be freed or closed. */
static int ask(struct nacl_files *f, struct question *q, enum op op, int flags, uint32_t mode, uint64_t arg, const char *path, const char *second)
{
	unsigned char head[REQUEST_HEADER], *p = head;
	int count = 1;

	*q = (struct question){.fd = -1};
	if (f->version != 3) return fail(ENOSYS);
	if (too_long(path) || too_long(second)) return fail(ENAMETOOLONG);
	/* A thread that is cancelled must not leave its question in the list. */
	int cancel = enter(f);
	q->id = ++f->last;
	q->next = f->waiting;
	f->waiting = q;
	pthread_mutex_unlock(&f->lock);
	p = put32(p, WORD_REQUEST);
	p = put32(p, q->id);
	p = put32(p, op);
	p = put32(p, flags);
	p = put32(p, mode);
	p = put32(p, strlen(path));
	p = put32(p, strlen(second));
	p = put32(p, 0);
	p = put32(p, arg);
	put32(p, arg >> 32);
	struct nacl_imc_iovec iov[3] = {{NACL_POINTER(head), sizeof head}};
	if (*path) iov[count++] = (struct nacl_imc_iovec){NACL_POINTER(path), strlen(path)};
	if (*second) iov[count++] = (struct nacl_imc_iovec){NACL_POINTER(second), strlen(second)};
	int error = send_parts(f, iov, count);
	pthread_mutex_lock(&f->lock);
	if (!error) await(f, q);
	if (!q->answered) {
		forget(f, q);
		q->error = error ? error : EIO;
	}
	leave(f, cancel);
	if (!q->error && q->fd >= 0 && op != OPEN) { /* nobody asked for it */
		close(q->fd);
		q->error = EPROTO;
	}
	if (!q->error) return 0;
	free(q->data);
	return fail(q->error);
}

/* ask, where the answer is only whether it was done. */
static int done(struct nacl_files *f, enum op op, int flags, uint32_t mode, uint64_t arg, const char *path, const char *second)
{
	struct question q;

	if (ask(f, &q, op, flags, mode, arg, path, second)) return -1;
	free(q.data);
	return 0;
}

/* Asks by version 1 or 2: one question at a time, whose answer is the next message. The
 * answer is in f->buffer until the lock is given back. 0, or an error number. */
static int ask_old(struct nacl_files *f, const char *word, const unsigned char *extra, size_t n, const char *path, struct arrival *a)
{
	struct nacl_imc_iovec iov[3] = {{NACL_POINTER(word), 4}};
	int count = 1, error;

	if (n) iov[count++] = (struct nacl_imc_iovec){NACL_POINTER(extra), n};
	if (*path) iov[count++] = (struct nacl_imc_iovec){NACL_POINTER(path), strlen(path)};
	if (f->dead) return EIO;
	if ((error = send_parts(f, iov, count))) return error;
	*a = receive(f);
	if (a->size >= 0) return 0;
	f->dead = 1;
	return EIO;
}

static int open_old(struct nacl_files *f, const char *path, int flags, mode_t mode)
{
	unsigned char extra[8];
	struct arrival a;

	if (too_long(path)) return fail(ENAMETOOLONG);
	if (f->version == 1 && ((flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC))) return fail(EROFS);
	put32(put32(extra, flags), mode);
	int cancel = enter(f), error = ask_old(f, "Open", extra, f->version == 1 ? 0 : sizeof extra, path, &a);
	if (!error && f->version == 2 && (a.size != 4 || memcmp(f->buffer, "Okay", 4))) {
		if (a.fd >= 0) close(a.fd);
		error = ENOENT;
	}
	leave(f, cancel);
	if (!error && a.fd < 0) error = a.lost ? EMFILE : ENOENT;
	return error ? fail(error) : a.fd;
}

static int stat_old(struct nacl_files *f, const char *path, struct stat *st)
{
	struct arrival a;

	if (too_long(path)) return fail(ENAMETOOLONG);
	int cancel = enter(f), error = ask_old(f, "Stat", 0, 0, path, &a);
	if (!error && a.fd >= 0) close(a.fd);
	if (!error && (a.size != STAT1_SIZE || memcmp(f->buffer, "Rsta", 4))) error = ENOENT;
	if (!error) {
		uint32_t v[16];
		for (int i = 0; i < 16; i++) v[i] = get32(f->buffer + 4 + 4 * i);
		memset(st, 0, sizeof *st);
		st->st_dev = v[0];
		st->st_ino = v[1];
		st->st_mode = v[2];
		st->st_nlink = v[3];
		st->st_uid = v[4];
		st->st_gid = v[5];
		st->st_rdev = v[6];
		st->st_size = v[7];
		st->st_blksize = v[8];
		st->st_blocks = v[9];
		st->st_atim = (struct timespec){.tv_sec = v[10], .tv_nsec = v[11]};
		st->st_mtim = (struct timespec){.tv_sec = v[12], .tv_nsec = v[13]};
		st->st_ctim = (struct timespec){.tv_sec = v[14], .tv_nsec = v[15]};
	}
	leave(f, cancel);
	return error ? fail(error) : 0;
}

int nacl_files_open(struct nacl_files *f, const char *path, int flags, mode_t mode)
{
	struct question q = {.fd = -1};

	if (f->version != 3) {
		q.fd = open_old(f, path, flags, mode);
	} else {
		if (ask(f, &q, OPEN, flags, mode, 0, path, "")) return -1;
		free(q.data);
		if (q.fd < 0) return fail(EPROTO);
	}
	/* Whether it goes to programs that are started is this side's affair. */
	if (q.fd >= 0 && fcntl(q.fd, F_SETFD, flags & O_CLOEXEC ? FD_CLOEXEC : 0)) {
		int error = errno;
		close(q.fd);
		return fail(error);
	}
	return q.fd;
}

static struct timespec when(const unsigned char *p)
{
	int64_t t = get64(p), s = t / 1000000000, n = t % 1000000000;

	if (n < 0) {
		n += 1000000000;
		s--;
	}
	return (struct timespec){.tv_sec = s, .tv_nsec = n};
}

static int stat_new(struct nacl_files *f, const char *path, struct stat *st, int flags)
{
	struct question q;

	if (ask(f, &q, STAT, flags, 0, 0, path, "")) return -1;
	int ok = q.size >= STAT_SIZE;
	if (ok) {
		const unsigned char *p = q.data;
		memset(st, 0, sizeof *st);
		st->st_dev = get64(p);
		st->st_ino = get64(p + 8);
		st->st_mode = get32(p + 16);
		st->st_nlink = get32(p + 20);
		st->st_uid = get32(p + 24);
		st->st_gid = get32(p + 28);
		st->st_size = get64(p + 32);
		st->st_blocks = get64(p + 40);
		st->st_blksize = get32(p + 48);
		st->st_atim = when(p + 56);
		st->st_mtim = when(p + 64);
		st->st_ctim = when(p + 72);
	}
	free(q.data);
	return ok ? 0 : fail(EPROTO);
}

int nacl_files_stat(struct nacl_files *f, const char *path, struct stat *st)
{
	return f->version == 3 ? stat_new(f, path, st, 0) : stat_old(f, path, st);
}

int nacl_files_lstat(struct nacl_files *f, const char *path, struct stat *st) { return stat_new(f, path, st, 1); }
int nacl_files_mkdir(struct nacl_files *f, const char *path, mode_t mode) { return done(f, MKDIR, 0, mode, 0, path, ""); }
int nacl_files_unlink(struct nacl_files *f, const char *path) { return done(f, UNLINK, 0, 0, 0, path, ""); }
int nacl_files_rmdir(struct nacl_files *f, const char *path) { return done(f, RMDIR, 0, 0, 0, path, ""); }
int nacl_files_rename(struct nacl_files *f, const char *from, const char *to) { return done(f, RENAME, 0, 0, 0, from, to); }
int nacl_files_symlink(struct nacl_files *f, const char *target, const char *path) { return done(f, SYMLINK, 0, 0, 0, target, path); }
int nacl_files_chmod(struct nacl_files *f, const char *path, mode_t mode) { return done(f, CHMOD, 0, mode, 0, path, ""); }

int nacl_files_truncate(struct nacl_files *f, const char *path, off_t size)
{
	return size < 0 ? fail(EINVAL) : done(f, TRUNCATE, 0, 0, size, path, "");
}

ssize_t nacl_files_readlink(struct nacl_files *f, const char *path, char *buffer, size_t size)
{
	struct question q;

	if (ask(f, &q, READLINK, 0, 0, 0, path, "")) return -1;
	if (size > q.size) size = q.size;
	memcpy(buffer, q.data ? q.data : (unsigned char *)"", size);
	free(q.data);
	return size;
}

struct nacl_files_dir {
	struct nacl_files *files;
	struct question piece;
	size_t at; /* in it */
	struct nacl_files_entry entry;
	char path[];
};

static int next_piece(struct nacl_files_dir *d, uint64_t from)
{
	free(d->piece.data);
	d->at = 0;
	if (ask(d->files, &d->piece, READDIR, 0, 0, from, d->path, "")) {
		d->piece = (struct question){.fd = -1};
		return -1;
	}
	/* One that has nothing and goes on would do so for ever. */
	return d->piece.arg && !d->piece.size ? fail(EPROTO) : 0;
}

struct nacl_files_dir *nacl_files_opendir(struct nacl_files *f, const char *path)
{
	if (too_long(path)) return errno = ENAMETOOLONG, (struct nacl_files_dir *)0;
	struct nacl_files_dir *d = calloc(1, sizeof *d + strlen(path) + 1);
	if (!d) return 0;
	d->files = f;
	strcpy(d->path, path);
	if (next_piece(d, 0)) {
		int error = errno;
		nacl_files_closedir(d);
		return errno = error, (struct nacl_files_dir *)0;
	}
	return d;
}

const struct nacl_files_entry *nacl_files_readdir(struct nacl_files_dir *d)
{
	if (d->at == d->piece.size && (!d->piece.arg || next_piece(d, d->piece.arg))) return 0;
	size_t left = d->piece.size - d->at;
	const unsigned char *p = d->piece.data + d->at;
	size_t n = left < ENTRY_HEADER ? 0 : get16(p + 12);
	const char *name = (const char *)p + ENTRY_HEADER;
	if (!n || n > left - ENTRY_HEADER || n >= sizeof d->entry.name || memchr(name, 0, n) || memchr(name, '/', n) ||
	    (name[0] == '.' && (n == 1 || (n == 2 && name[1] == '.')))) {
		d->at = d->piece.size;
		d->piece.arg = 0;
		errno = EPROTO;
		return 0;
	}
	d->entry.ino = get64(p);
	d->entry.type = get32(p + 8);
	memcpy(d->entry.name, name, n);
	d->entry.name[n] = 0;
	d->at += ENTRY_HEADER + n;
	return &d->entry;
}

void nacl_files_closedir(struct nacl_files_dir *d)
{
	if (!d) return;
	free(d->piece.data);
	free(d);
}
