// dlinfo tells the number of a library's thread-local storage, and where the calling thread has it once it was used.
// skip musl: knows only RTLD_DI_LINKMAP
//: lib a.so
__thread int x = 5;
int *at(void) { return &x; }
//: lib b.so
int b(void) { return 1; }
//: lib c.so
__thread int x __attribute__((tls_model("initial-exec"))) = 7;
int *at(void) { return &x; }
//: main
#include <link.h>
#include <pthread.h>
static void *a, *c;
static void *thread(void *p)
{
	void *block = &block;
	int r = dlinfo(a, RTLD_DI_TLS_DATA, &block);
	say("%d %d", r, block == 0);
	void *x = ((void *(*)(void))dlsym(a, "at"))();
	r = dlinfo(a, RTLD_DI_TLS_DATA, &block);
	say(" %d %d", r, block == x);
	x = dlsym(c, "x");
	r = dlinfo(c, RTLD_DI_TLS_DATA, &block);
	say(" %d %d\n", r, block == x && *(int *)block == 7);
	return 0;
}
static int look(struct dl_phdr_info *i, size_t n, void *p)
{
	size_t id;
	dlinfo(p, RTLD_DI_TLS_MODID, &id);
	if (i->dlpi_tls_modid == id)
		say("%d %d\n", strstr(i->dlpi_name, "a.so") != 0, i->dlpi_tls_data == dlsym(p, "x"));
	return 0;
}
int main(void)
{
	size_t id = 99, other = 99;
	void *block = &block, *b = OPEN("b.so", RTLD_NOW);
	pthread_t t;
	a = OPEN("a.so", RTLD_NOW);
	c = OPEN("c.so", RTLD_NOW);
	say("%d", dlinfo(b, RTLD_DI_TLS_MODID, &id));
	say(" %d", (int)id);
	say(" %d %d\n", dlinfo(b, RTLD_DI_TLS_DATA, &block), block == 0);
	say("%d %d", dlinfo(a, RTLD_DI_TLS_MODID, &id), dlinfo(c, RTLD_DI_TLS_MODID, &other));
	say(" %d\n", id > 0 && other > 0 && id != other);
	thread(0);
	pthread_create(&t, 0, thread, 0);
	pthread_join(t, 0);
	dl_iterate_phdr(look, a);
	return 0;
}
