// A static archive gives the members that are needed, and no others.
// objects: used.c unused.c
// archive: libar.a used.o unused.o
// cc: -lar
#include <stdio.h>
int used(int);
int main(void) { printf("%d\n", used(3)); return 0; }
