// dladdr names objects and symbols; dl_iterate_phdr lists every object with its headers.
// lib: libda.so da.c
// cc: -lda -Wl,-rpath,$ORIGIN -rdynamic
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
int da(void);
int da_data[4];
extern int da_array[10];
static const char *base(const char *p) { const char *s = strrchr(p, '/'); return s ? s + 1 : p; }
static int objects, loads, named, tls, stop;
static int each(struct dl_phdr_info *i, size_t n, void *a)
{
	objects++;
	for (int k = 0; k < i->dlpi_phnum; k++)
		loads += i->dlpi_phdr[k].p_type == PT_LOAD;
	if (strcmp(base(i->dlpi_name), "libda.so") == 0) {
		named++;
		for (int k = 0; k < i->dlpi_phnum; k++) {
			const ElfW(Phdr) *p = &i->dlpi_phdr[k];
			ElfW(Addr) at = i->dlpi_addr + p->p_vaddr;
			if (p->p_type == PT_LOAD && (ElfW(Addr))da >= at && (ElfW(Addr))da < at + p->p_memsz)
				*(int *)a += 1;
		}
	}
	return 0;
}
static int first(struct dl_phdr_info *i, size_t n, void *a) { return ++stop == 1 ? 42 : 0; }
int main(void)
{
	Dl_info i;
	printf("%d\n", dladdr((void *)da, &i) != 0);
	printf("%s %s %d\n", base(i.dli_fname), i.dli_sname, i.dli_saddr == (void *)da);
	printf("%d\n", dladdr((char *)da_array + 9, &i) != 0);
	printf("%s %d\n", i.dli_sname, i.dli_saddr == (void *)da_array);
	printf("%d\n", dladdr((void *)printf, &i) != 0);
	printf("%s\n", i.dli_sname);
	int local;
	printf("%d\n", dladdr(&local, &i));
	int found = 0;
	printf("%d %d\n", dl_iterate_phdr(each, &found), dl_iterate_phdr(first, 0));
	printf("%d %d %d %d\n", objects >= 3, loads >= 6, named, found);
	return 0;
}
