// A destructor of a library's thread-specific data runs when the thread ends, and finds its thread-local variables.
//: lib a.so
#include <pthread.h>
static pthread_key_t key;
static __thread int x = 5;
static void done(void *p) { say("thread ends: %s %d\n", (char *)p, x); }
void use(char *name) { x++; pthread_setspecific(key, name); }
__attribute__((constructor)) static void up(void) { pthread_key_create(&key, done); }
//: main a.so
#include <pthread.h>
void use(char *);
static void *thread(void *p) { use(p); use(p); return 0; }
int main(void)
{
	pthread_t t;
	pthread_create(&t, 0, thread, "first");
	pthread_join(t, 0);
	pthread_create(&t, 0, thread, "second");
	pthread_join(t, 0);
	return 0;
}
