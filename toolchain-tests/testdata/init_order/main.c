// Constructors run dependencies first across a graph of libraries, destructors the other way round; atexit among them.
// lib: libbase.so base.c
// lib: libleft.so left.c -lbase -Wl,-rpath,$ORIGIN
// lib: libright.so right.c -lbase -Wl,-rpath,$ORIGIN
// cc: -lleft -lright -lbase -Wl,-rpath,$ORIGIN
#include <stdio.h>
#include <stdlib.h>
int left(void), right(void);
static void bye(void) { puts("atexit of main"); }
__attribute__((constructor)) static void c(void) { puts("program up"); atexit(bye); }
__attribute__((destructor)) static void d(void) { puts("program down"); }
int main(void)
{
	printf("main %d %d\n", left(), right());
	return 0;
}
