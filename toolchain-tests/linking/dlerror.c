// The message of dlerror is there once, for the thread whose call failed, and names what is missing.
//: lib a.so
int a(void) { return 1; }
//: main
#include <pthread.h>
static void *thread(void *p) { say("%d", dlerror() == 0); dlopen("nothing.so", RTLD_NOW); return p; }
int main(void)
{
	pthread_t t;
	char *e;
	void *h = OPEN("a.so", RTLD_NOW);
	dlsym(h, "missing_symbol");
	pthread_create(&t, 0, thread, 0);
	pthread_join(t, 0);
	e = dlerror();
	say(" %d", e && strstr(e, "missing_symbol"));
	say(" %d", dlerror() == 0);
	dlopen("no_such.so", RTLD_NOW);
	e = dlerror();
	say(" %d\n", e && strstr(e, "no_such.so"));
	return 0;
}
