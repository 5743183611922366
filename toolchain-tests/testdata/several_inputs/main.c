// Several sources, an assembly file and an object in one command.
// with: two.c three.s four.S
// objects: five.c
// cc: $OUT/five.o
#include <stdio.h>
int two(int), three(int), four(int), five(int);
int main(void) { printf("%d %d %d %d\n", two(1), three(1), four(1), five(1)); return 0; }
