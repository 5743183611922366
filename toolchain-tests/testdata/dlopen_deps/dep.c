#include <stdio.h>
int leaf(void);
__attribute__((constructor)) static void up(void) { puts("dep up"); }
int dep(void) { return leaf() + 1; }
