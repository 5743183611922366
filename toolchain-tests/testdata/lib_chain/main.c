// A chain of needed libraries, found by RUNPATH $ORIGIN; data and functions cross all of them.
// lib: libc3.so c3.c
// lib: libb3.so b3.c -lc3 -Wl,-rpath,$ORIGIN
// lib: liba3.so a3.c -lb3 -Wl,-rpath,$ORIGIN
// cc: -la3 -Wl,-rpath,$ORIGIN
// short
#include <stdio.h>
int a(int);
extern int a_data;
int main(void)
{
	printf("%d %d\n", a(1), a_data);
	a_data = 50;
	printf("%d\n", a(1));
	return 0;
}
