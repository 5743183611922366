// A library's weak definition and weak reference across libraries.
// lib: libstrong.so strong.c
// lib: libweak.so weak.c
// cc: -Wl,--no-as-needed -lweak -lstrong -Wl,-rpath,$ORIGIN
#include <stdio.h>
int which(void);
int maybe(void);
int absent(void);
int main(void)
{
	/* the first definition in search order counts, weak or not */
	printf("%d %d %d\n", which(), maybe(), absent());
	return 0;
}
