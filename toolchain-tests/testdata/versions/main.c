// Symbol versions: each user gets the version it was linked against; the default is the newest (natively musl always takes the default).
// lib: libver.so ver.c -Wl,--version-script=$SRC/ver.map
// lib: libold.so old.c -lver -Wl,-rpath,$ORIGIN
// cc: -lold -lver -Wl,-rpath,$ORIGIN
// stdout: "2 1\n"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
int value(void);
int old_value(void);
int main(void)
{
	printf("%d %d\n", value(), old_value());
	return 0;
}
