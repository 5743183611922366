#include <stdio.h>
int leaf_value = 1;
__attribute__((constructor)) static void up(void) { puts("leaf up"); }
int leaf(void) { return leaf_value; }
