#include <stdio.h>
int base_ready;
__attribute__((constructor)) static void c(void) { puts("base up"); base_ready = 1; }
__attribute__((destructor)) static void d(void) { puts("base down"); }
