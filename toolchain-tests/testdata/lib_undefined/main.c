// A symbol that no library defines: which one, needed by whom.
// lib: libundef.so undef.c -Wl,-z,undefs
// cc: -lundef -Wl,-rpath,$ORIGIN -Wl,--allow-shlib-undefined
// native: skip
// status: 125
// stderr: no_such_function
#include <stdio.h>
int undef(void);
int main(void) { printf("%d\n", undef()); return 0; }
