// A needed library is found by LD_LIBRARY_PATH.
// lib: libsub.so sub.c
// cc: -lsub
// env: LD_LIBRARY_PATH=$LIBS
#include <stdio.h>
int sub(int);
int main(void) { return printf("%d\n", sub(4)) != 3; }
