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
#include <link.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "dynlink.h"
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
	uint64_t offset; /* below the thread pointer; 0 for one that came with dlopen */
	uint64_t id;
};

struct symbol {
	uint64_t addr, tls_module, tls_offset;
};

hidden void __halite_defer_free(void *);
hidden void __halite_free_deferred(void);
hidden void __halite_tls_cleanup(void);
hidden void *__halite_tls_slow(tls_mod_off_t *);

/* ---- thread-local storage ----------------------------------------------- */

/* A thread's vector (dtv) has one word for each module that the program began
 * with, all filled when the thread is made (__copy_tls). Modules that dlopen
 * brings get their block when a thread first uses them; the vector grows on
 * that occasion, by its own thread only. */

static int get_module(size_t i, struct module *m)
{
	return __syscall(SYS_halite_dl_tls_module, i, m);
}

/* Most programs need less than this, and no system call for it. */
static _Alignas(64) unsigned char first_block[1536];

void __init_tls(size_t *aux)
{
	struct module m;
	size_t n = 0, below = 0, align = _Alignof(long double);

	while (!get_module(n + 1, &m)) {
		n++;
		below = MAX(below, m.offset);
		align = MAX(align, m.align);
	}
	libc.tls_cnt = n;
	libc.tls_align = align;
	libc.tls_size = ROUND_UP((n + 1) * sizeof(uintptr_t) + below + sizeof(struct pthread) + 2 * align, align);

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
		size_t n = v[0] + 7;
		uintptr_t *bigger = calloc(n + 1, sizeof *bigger);
		if (!bigger) a_crash();
		memcpy(bigger, dtv, (dtv[0] + 1) * sizeof *dtv);
		bigger[0] = n;
		self->dtv = bigger;
		if (dtv[0] > libc.tls_cnt) free(dtv);
		dtv = bigger;
	}
	if (!dtv[v[0]]) {
		dtv[v[0]] = (uintptr_t)new_block(&m);
		if (!dtv[v[0]]) a_crash();
	}
	__restore_sigs(&set);
	return (void *)(dtv[v[0]] + v[1]);
}

void __halite_tls_cleanup(void)
{
	uintptr_t *dtv = __pthread_self()->dtv;

	if (dtv[0] <= libc.tls_cnt) return;
	for (size_t i = libc.tls_cnt + 1; i <= dtv[0]; i++)
		if (dtv[i]) __halite_defer_free(((void **)dtv[i])[-1]);
	/* Nothing reads thread-local variables of this thread from here on. */
	__halite_defer_free(dtv);
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

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	pthread_mutex_lock(&lock);
	long handle = __syscall(SYS_halite_dl_open, file, mode, caller);
	if (handle > 0)
		while ((f = (void (*)(void))__syscall(SYS_halite_dl_next_init, handle))) f();
	else
		take_message(handle);
	pthread_mutex_unlock(&lock);
	pthread_setcancelstate(state, 0);
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

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	pthread_mutex_lock(&lock);
	long token = __syscall(SYS_halite_dl_close, handle);
	if (token > 0) {
		while ((f = (void (*)(void))__syscall(SYS_halite_dl_next_fini, token))) f();
		__syscall(SYS_halite_dl_unload, token);
	} else if (token < 0) {
		take_message(token);
	}
	pthread_mutex_unlock(&lock);
	pthread_setcancelstate(state, 0);
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
	if (request != RTLD_DI_LINKMAP) {
		__dl_seterr("dlinfo: request %d is not known", request);
		return -1;
	}
	long r = __syscall(SYS_halite_dl_info, handle, result);
	if (r < 0) {
		take_message(r);
		return -1;
	}
	return 0;
}

int dl_iterate_phdr(int (*callback)(struct dl_phdr_info *, size_t, void *), void *data)
{
	struct dl_phdr_info info;
	int r = 0;

	for (size_t i = 0; !r; i++) {
		memset(&info, 0, sizeof info);
		if (__syscall(SYS_halite_dl_phdr, i, &info) < 0) break;
		if (info.dlpi_tls_modid)
			info.dlpi_tls_data = __tls_get_addr((tls_mod_off_t[]){ info.dlpi_tls_modid, 0 });
		r = callback(&info, sizeof info, data);
	}
	return r;
}
