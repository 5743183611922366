// Two libraries that need each other.
// lib: libring2.so ring2.c -Wl,-z,undefs
// lib: libring1.so ring1.c -lring2 -Wl,-rpath,$ORIGIN
// lib: libring2.so ring2.c -lring1 -Wl,-rpath,$ORIGIN
// cc: -lring1 -Wl,-rpath,$ORIGIN
#include <stdio.h>
int one(int);
int main(void) { printf("%d\n", one(20)); return 0; }
