// A table of constants with addresses in it is relocated, and cannot be written afterwards.
//: lib a.so
static int x = 3;
int f(void) { return 4; }
extern int g(void);
struct { int *data; int (*own)(void), (*other)(void); } const table = { &x, f, g };
const void *where(void) { return &table; }
//: lib b.so
int g(void) { return 5; }
//: main a.so b.so
#include <signal.h>
#include <setjmp.h>
const void *where(void);
static sigjmp_buf back;
static void caught(int n) { siglongjmp(back, n); }
int main(void)
{
	struct { int *data; int (*own)(void), (*other)(void); } const *t = where();
	say("%d %d %d\n", *t->data, t->own(), t->other());
	signal(SIGSEGV, caught);
	if (sigsetjmp(back, 1)) { say("read-only\n"); return 0; }
	*(void *volatile *)t = 0;
	say("written\n");
	return 0;
}
