// A definition in the program takes the place of the library's, also for the library's own calls; protected and hidden ones stay.
// lib: libi.so i.c
// cc: -li -Wl,-rpath,$ORIGIN -rdynamic
#include <stdio.h>
#include <stdlib.h>
int lib_calls(void);
int lib_hidden(void);
int lib_static(void);
int *lib_var_addr(void);
int name(void) { return 100; }
int prot(void) { return 200; }
int hid(void) { return 300; }
int shared_var = 77;
static int mallocs;
int main(void)
{
	printf("%d %d %d\n", lib_calls(), lib_hidden(), lib_static());
	printf("%d %d\n", *lib_var_addr(), lib_var_addr() == &shared_var);
	return 0;
}
