// A non-PIC program gets a copy of a library's variables, and the library uses that copy.
// lib: libcopy.so copy.c
// cc: -fno-pie -no-pie -lcopy -Wl,-rpath,$ORIGIN
#include <stdio.h>
extern int counter;
extern const char *const message;
extern struct { int a[5]; } table;
int bump(void);
int *where(void);
int main(void)
{
	printf("%d %s %d\n", counter, message, table.a[3]);
	counter = 10;
	printf("%d\n", bump());
	printf("%d %d\n", counter, where() == &counter);
	return 0;
}
