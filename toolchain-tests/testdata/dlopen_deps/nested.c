#include <stdio.h>
__attribute__((constructor)) static void up(void) { puts("nested up"); }
int nested(void) { return 7; }
