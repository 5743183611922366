// Handlers of atexit run in reverse order; those registered meanwhile run too.
#include <stdio.h>
#include <stdlib.h>
static int n;
static void late(void) { printf("late %d\n", n++); }
static void a(void) { printf("a %d\n", n++); }
static void b(void) { printf("b %d\n", n++); atexit(late); }
static void c(void) { printf("c %d\n", n++); }
static void many(void) { n++; }
int main(void)
{
	atexit(a);
	atexit(b);
	atexit(c);
	for (int i = 0; i < 100; i++)
		if (atexit(many))
			printf("atexit failed at %d\n", i);
	printf("main\n");
	return 0;
}
