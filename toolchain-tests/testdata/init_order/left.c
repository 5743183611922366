#include <stdio.h>
#include <stdlib.h>
extern int base_ready;
static int seen;
static void bye(void) { puts("atexit of left"); }
__attribute__((constructor)) static void c(void) { puts("left up"); seen = base_ready; atexit(bye); }
__attribute__((constructor(150))) static void c2(void) { puts("left up early"); }
__attribute__((destructor)) static void d(void) { puts("left down"); }
int left(void) { return seen; }
