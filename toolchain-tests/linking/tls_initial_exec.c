// The initial-exec model, in a library that the program starts with.
//: lib a.so
__thread int x __attribute__((tls_model("initial-exec"))) = 5;
__thread char pad[100];
int *in_a(void) { return &x; }
//: lib b.so a.so
extern __thread int x __attribute__((tls_model("initial-exec")));
static __thread int own __attribute__((tls_model("initial-exec"))) = 8;
int in_b(void) { return x * 10 + own; }
//: main b.so a.so
#include <pthread.h>
int *in_a(void), in_b(void);
static void *thread(void *p) { *in_a() = 2; say("%d\n", in_b()); return p; }
int main(void)
{
	pthread_t t;
	say("%d\n", in_b());
	pthread_create(&t, 0, thread, 0);
	pthread_join(t, 0);
	say("%d\n", in_b());
	return 0;
}
