// A function's address is the same wherever it is taken; pointers in data too.
// lib: libfa.so fa.c
// cc: -lfa -Wl,-rpath,$ORIGIN
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
typedef int (*fn)(int);
int f(int);
fn lib_f(void);
int lib_is(fn);
fn in_data = f;
int main(void)
{
	printf("%d %d %d %d\n", lib_f() == f, lib_is(f), in_data == f, (fn)dlsym(RTLD_DEFAULT, "f") == f);
	printf("%d %d\n", in_data(2), lib_is((fn)abs));
	return 0;
}
