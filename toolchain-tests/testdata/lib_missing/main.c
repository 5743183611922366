// A needed library that is not there: which one, and wanted by whom.
// lib: libgone.so gone.c
// lib: libmid.so mid.c -lgone
// cc: -lmid -Wl,-rpath,$ORIGIN
// remove: libgone.so
// native: skip
// status: 125
// stderr: libgone\.so.*libmid\.so
#include <stdio.h>
int mid(void);
int main(void) { printf("%d\n", mid()); return 0; }
