/* The guest's side of the dynamic linker.
 *
 * The host finds, maps, checks and relocates objects (package ld); it never
 * runs guest code by itself. What is left for the guest is what must happen
 * on a guest thread: thread-local storage, constructors and destructors, and
 * the functions of <dlfcn.h> and <link.h>, each of which asks the host. */
#define _GNU_SOURCE
#define SYSCALL_NO_TLS 1
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "dynlink.h"
#include "fork_impl.h"
#include "libc.h"
#include "pthread_impl.h"
#include "syscall.h"

#define calloc __libc_calloc
#define free __libc_free

#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define ROUND_UP(n, to) (((n) + (to) - 1) & -(to))

/* What the host tells about the thread-local storage of one object. */
struct module {
	uint64_t image, filesz, memsz, align;
	uint64_t offset; /* below the thread pointer; 0 for one that gets blocks of its own */
	uint64_t id;
};

struct symbol {
	uint64_t addr, tls_module, tls_offset;
};

hidden void __halite_defer_free(void *);
hidden void __halite_free_deferred(void);
hidden void __halite_tls_cleanup(void);
hidden void *__halite_tls_slow(tls_mod_off_t *);

/* What the host adds to the results of dl_open and dl_close when it has to
 * tell about thread-local storage. */
#define FOR_TLS (1L << 32)

/* ---- thread-local storage ----------------------------------------------- */

/* A thread's vector (dtv) has one word for each module that the program began
 * with, all filled when the thread is made (__copy_tls). Modules that dlopen
 * brings get their block when a thread first uses them; the vector grows on
 * that occasion, by its own thread only, under the lock of the thread list:
 * who holds it may look at any thread's vector, and clear words of modules
 * that go. Their numbers are used again.
 *
 * Modules that code reaches at a fixed distance from the thread pointer
 * (initial-exec) need their place in all threads at once. Below the initial
 * modules every thread has some bytes to spare for them; the host says who
 * gets which. They are copied to the running threads, and to an image of the
 * spare bytes that threads are made with. */

static int get_module(size_t i, struct module *m)
{
	return __syscall(SYS_halite_dl_tls_module, i, m);
}

#define SPARE 1664
#define MIN_ALIGN 64

static unsigned char spare_image[SPARE];

/* The spare bytes, as the last initial module. Its word of the vector is
 * behind the last one that counts. Nothing is copied before it is needed. */
static struct tls_module spare = { .image = spare_image, .size = SPARE, .align = 1 };

/* Most programs need less than this, and no system call for it. */
static _Alignas(MIN_ALIGN) unsigned char first_block[1536 + SPARE];

void __init_tls(size_t *aux)
{
	struct { uint64_t modules, bytes, align; } start;
	struct module m;

	if (__syscall(SYS_halite_dl_tls_start, SPARE, MIN_ALIGN, &start)) a_crash();
	size_t n = start.modules, align = start.align;
	spare.offset = start.bytes + SPARE;
	libc.tls_cnt = n;
	libc.tls_align = align;
	libc.tls_size = ROUND_UP((n + 2) * sizeof(uintptr_t) + spare.offset + sizeof(struct pthread) + 2 * align, align);

	/* The list of modules lies in front of the thread's own block. */
	size_t list = ROUND_UP(n * sizeof(struct tls_module), align), need = list + libc.tls_size;
	unsigned char *mem = first_block;
	if (need > sizeof first_block || align > _Alignof(first_block)) {
		mem = (void *)__syscall(SYS_mmap, 0, need, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if ((uintptr_t)mem > -4096UL) a_crash();
	}
	struct tls_module *t = (void *)mem, **link = &libc.tls_head;
	for (size_t i = 1; i <= n; i++, t++) {
		/* The vector is indexed by number, so numbers begin without gaps. */
		if (get_module(i, &m) || m.id != i) a_crash();
		t->image = (void *)m.image;
		t->len = m.filesz;
		t->size = m.memsz;
		t->align = m.align;
		t->offset = m.offset;
		*link = t;
		link = &t->next;
	}
	*link = &spare;

	const Elf64_Phdr *ph = (void *)aux[AT_PHDR];
	for (size_t i = aux[AT_PHNUM]; i; i--, ph = (void *)((char *)ph + aux[AT_PHENT]))
		if (ph->p_type == PT_GNU_STACK && ph->p_memsz > __default_stacksize)
			__default_stacksize = ph->p_memsz < DEFAULT_STACK_MAX ? ph->p_memsz : DEFAULT_STACK_MAX;

	if (__init_tp(__copy_tls(mem + list)) < 0) a_crash();
}

/* A block of a later module is preceded by the address to free. */
static void *new_block(const struct module *m)
{
	size_t align = MAX(m->align, _Alignof(long double));
	char *raw = calloc(1, m->memsz + align + sizeof(void *));

	if (!raw) return 0;
	char *block = (char *)ROUND_UP((uintptr_t)raw + sizeof(void *), align);
	((void **)block)[-1] = raw;
	return memcpy(block, (void *)m->image, m->filesz);
}

void *__halite_tls_slow(tls_mod_off_t *v)
{
	pthread_t self = __pthread_self();
	uintptr_t *dtv = self->dtv;
	struct module m;
	sigset_t set;

	/* A handler that used the same variable would make a second block. */
	__block_app_sigs(&set);
	__halite_free_deferred();
	if (get_module(v[0], &m)) a_crash();
	if (v[0] > dtv[0]) {
		/* The word in front leads to the smaller vectors, which code that a
		 * signal has interrupted may be reading. */
		size_t n = MAX(v[0] + 7, 2 * dtv[0]);
		uintptr_t *bigger = calloc(n + 2, sizeof *bigger);
		if (!bigger) a_crash();
		*bigger++ = (uintptr_t)dtv;
		__tl_lock();
		memcpy(bigger, dtv, (dtv[0] + 1) * sizeof *dtv);
		bigger[0] = n;
		self->dtv = bigger;
		__tl_unlock();
		dtv = bigger;
	}
	if (!dtv[v[0]]) {
		dtv[v[0]] = m.offset ? (uintptr_t)self - m.offset : (uintptr_t)new_block(&m);
		if (!dtv[v[0]]) a_crash();
	}
	__restore_sigs(&set);
	return (void *)(dtv[v[0]] + v[1]);
}

/* The address to free for a word of a thread's vector: none if the block is
 * part of the thread's own. */
static void *to_free(pthread_t td, uintptr_t block)
{
	if (!block || (uintptr_t)td - block <= spare.offset) return 0;
	return ((void **)block)[-1];
}

void __halite_tls_cleanup(void)
{
	pthread_t self = __pthread_self();
	uintptr_t *dtv = self->dtv;

	for (size_t i = libc.tls_cnt + 1; i <= dtv[0]; i++) {
		void *raw = to_free(self, dtv[i]);
		if (raw) __halite_defer_free(raw);
	}
	/* Nothing reads thread-local variables of this thread from here on. */
	while (dtv[0] > libc.tls_cnt) {
		void *raw = dtv - 1;
		dtv = (uintptr_t *)dtv[-1];
		__halite_defer_free(raw);
	}
}

/* The calling thread's block of a module, if it has one. */
static void *block_of(size_t id, uint64_t offset)
{
	pthread_t self = __pthread_self();

	if (offset) return (char *)self - offset;
	return id && id <= self->dtv[0] ? (void *)self->dtv[id] : 0;
}

static void fill(unsigned char *to, const struct module *m)
{
	memcpy(to, (void *)m->image, m->filesz);
	memset(to + m->filesz, 0, m->memsz - m->filesz);
}

/* Modules that dlopen has brought and the host has given spare bytes. Nobody
 * knows of them yet. Threads are neither made nor do they end meanwhile; the
 * running ones do not use these bytes. */
static void fill_spare(void)
{
	pthread_t self = __pthread_self(), td;
	struct module m;
	sigset_t set;

	__block_app_sigs(&set);
	__inhibit_ptc();
	__tl_lock();
	while (__syscall(SYS_halite_dl_tls_added, &m) > 0) {
		fill(spare_image + spare.offset - m.offset, &m);
		spare.len = SPARE;
		td = self;
		do fill((unsigned char *)td - m.offset, &m);
		while ((td = td->next) != self);
	}
	__tl_unlock();
	__release_ptc();
	__restore_sigs(&set);
}

/* Modules that are about to be unloaded: another one will have their number. */
static void forget_modules(long token)
{
	pthread_t self = __pthread_self(), td;
	void **gone = 0, **raw;
	sigset_t set;
	long id;

	__block_app_sigs(&set);
	__tl_lock();
	for (size_t i = 0; (id = __syscall(SYS_halite_dl_tls_removed, token, i)) > 0; i++) {
		td = self;
		do {
			if (id > td->dtv[0]) continue;
			if ((raw = to_free(td, td->dtv[id]))) {
				*raw = gone;
				gone = raw;
			}
			td->dtv[id] = 0;
		} while ((td = td->next) != self);
	}
	__tl_unlock();
	for (; (raw = gone); free(raw)) gone = *raw;
	__restore_sigs(&set);
}

/* ---- start and end ------------------------------------------------------ */

static void *base_of(void *p)
{
	Dl_info info;

	return __syscall(SYS_halite_dl_addr, p, &info) ? info.dli_fbase : 0;
}

void __libc_start_init(void)
{
	void (*f)(void);

	/* The allocator must know that a program has brought another one. */
	void *own = base_of((void *)__libc_start_init);
	__malloc_replaced = base_of((void *)malloc) != own;
	__aligned_alloc_replaced = base_of((void *)aligned_alloc) != own;

	while ((f = (void (*)(void))__syscall(SYS_halite_dl_next_init, 0))) f();
}

void __libc_exit_fini(void)
{
	void (*f)(void);

	while ((f = (void (*)(void))__syscall(SYS_halite_dl_next_fini, 0))) f();
}

/* ---- <dlfcn.h> ---------------------------------------------------------- */

/* Constructors and destructors run under the lock, so that a second thread
 * that opens the same library finds it constructed; they may themselves open
 * and close libraries. */
static pthread_mutex_t lock = { ._m_type = PTHREAD_MUTEX_RECURSIVE };
static pthread_t holder;

/* A thread that forks in a constructor goes on there under another number. */
static void renew(void)
{
	if (holder == __pthread_self() && (lock._m_lock & INT_MAX) != holder->tid)
		lock._m_lock = holder->tid;
}

static void enter(int *state)
{
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, state);
	renew();
	pthread_mutex_lock(&lock);
	holder = __pthread_self();
}

static void leave(int state)
{
	renew();
	if (!lock._m_count) holder = 0;
	pthread_mutex_unlock(&lock);
	pthread_setcancelstate(state, 0);
}

/* In a new process the thread that has forked is alone. */
void __ldso_atfork(int who)
{
	if (who > 0 && holder != __pthread_self())
		lock = (pthread_mutex_t){ ._m_type = PTHREAD_MUTEX_RECURSIVE };
}

static void take_message(long error)
{
	char text[512];
	long n = __syscall(SYS_halite_dl_error, text, sizeof text);

	if (n > 0) __dl_seterr("%s", text);
	else __dl_seterr("%s", strerror(-error));
}

static void *open_from(const char *file, int mode, void *caller)
{
	void (*f)(void);
	int state;

	enter(&state);
	long handle = __syscall(SYS_halite_dl_open, file, mode, caller);
	if (handle > 0) {
		if (handle & FOR_TLS) fill_spare();
		handle &= ~FOR_TLS;
		while ((f = (void (*)(void))__syscall(SYS_halite_dl_next_init, handle))) f();
	} else {
		take_message(handle);
	}
	leave(state);
	return handle > 0 ? (void *)handle : 0;
}

void *dlopen(const char *file, int mode)
{
	return open_from(file, mode, __halite_caller());
}

int dlclose(void *handle)
{
	void (*f)(void);
	int state;

	enter(&state);
	long token = __syscall(SYS_halite_dl_close, handle), tls = token & FOR_TLS;
	if (token > 0) {
		token &= ~FOR_TLS;
		while ((f = (void (*)(void))__syscall(SYS_halite_dl_next_fini, token))) f();
		if (tls) forget_modules(token);
		__syscall(SYS_halite_dl_unload, token);
	} else if (token < 0) {
		take_message(token);
	}
	leave(state);
	return token < 0 ? -1 : 0;
}

static void *find(void *handle, const char *name, const char *version, void *caller)
{
	struct symbol s;
	long r = __syscall(SYS_halite_dl_sym, handle, name, version, caller, &s);

	if (r < 0) {
		take_message(r);
		return 0;
	}
	if (s.tls_module) return __tls_get_addr((tls_mod_off_t[]){ s.tls_module, s.tls_offset });
	return (void *)s.addr;
}

hidden void *__dlsym(void *restrict handle, const char *restrict name, void *restrict caller)
{
	return find(handle, name, 0, caller);
}

void *dlvsym(void *restrict handle, const char *restrict name, const char *restrict version)
{
	return find(handle, name, version, __halite_caller());
}

int dladdr(const void *addr, Dl_info *info)
{
	return __syscall(SYS_halite_dl_addr, addr, info) > 0;
}

int dlinfo(void *handle, int request, void *result)
{
	size_t id;
	int block = request == RTLD_DI_TLS_DATA;
	long r = __syscall(SYS_halite_dl_info, handle, block ? RTLD_DI_TLS_MODID : request, block ? &id : result);

	if (r < 0) {
		take_message(r);
		return -1;
	}
	if (block) {
		struct module m;
		*(void **)result = id && !get_module(id, &m) ? block_of(id, m.offset) : 0;
	}
	return r;
}

int dl_iterate_phdr(int (*callback)(struct dl_phdr_info *, size_t, void *), void *data)
{
	struct dl_phdr_info info;
	int r = 0;

	for (size_t i = 0; !r; i++) {
		memset(&info, 0, sizeof info);
		if (__syscall(SYS_halite_dl_phdr, i, &info) < 0) break;
		/* The host gives the offset. No block is made: that another thread is
		 * closing the library can not be known. */
		info.dlpi_tls_data = block_of(info.dlpi_tls_modid, (uintptr_t)info.dlpi_tls_data);
		r = callback(&info, sizeof info, data);
	}
	return r;
}
