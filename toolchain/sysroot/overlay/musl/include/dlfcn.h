/* In place of musl's: the dynamic linker here has more to offer. */
#ifndef _DLFCN_H
#define _DLFCN_H

#include <features.h>

#define __NEED_size_t
#include <bits/alltypes.h>

#ifdef __cplusplus
extern "C" {
#endif

/* dlopen */
#define RTLD_LOCAL 0
#define RTLD_LAZY 0x1
#define RTLD_NOW 0x2
#define RTLD_NOLOAD 0x4
#define RTLD_GLOBAL 0x100
#define RTLD_NODELETE 0x1000

/* dlsym */
#define RTLD_DEFAULT ((void *)0)
#define RTLD_NEXT ((void *)-1)

/* dlinfo */
#define RTLD_DI_LINKMAP 2

void *dlopen(const char *, int);
void *dlsym(void *__restrict, const char *__restrict);
int dlclose(void *);
char *dlerror(void);

#if defined(_GNU_SOURCE) || defined(_BSD_SOURCE)
typedef struct {
	const char *dli_fname;
	void *dli_fbase;
	const char *dli_sname;
	void *dli_saddr;
} Dl_info;

int dladdr(const void *, Dl_info *);
int dlinfo(void *, int, void *);
#endif

#ifdef _GNU_SOURCE
#define RTLD_DEEPBIND 0x8

/* There is one name space, and no dlmopen. */
typedef long Lmid_t;
#define LM_ID_BASE 0

/* What dlinfo's result points to. */
#define RTLD_DI_LMID 1         /* Lmid_t */
#define RTLD_DI_SERINFO 4      /* Dl_serinfo with room for what follows it */
#define RTLD_DI_SERINFOSIZE 5  /* Dl_serinfo: size and count are filled in */
#define RTLD_DI_ORIGIN 6       /* char[PATH_MAX] */
#define RTLD_DI_TLS_MODID 9    /* size_t; 0: none */
#define RTLD_DI_TLS_DATA 10    /* void *; null: this thread has no block yet */
#define RTLD_DI_PHDR 11        /* const ElfW(Phdr) *; their number is returned */

typedef struct {
	char *dls_name;
	unsigned dls_flags;
} Dl_serpath;

typedef struct {
	size_t dls_size;
	unsigned dls_cnt;
	Dl_serpath dls_serpath[1]; /* dls_cnt of them, and the names */
} Dl_serinfo;

void *dlvsym(void *__restrict, const char *__restrict, const char *__restrict);
#endif

#ifdef __cplusplus
}
#endif

#endif
