#include <stdio.h>
extern int base_ready;
static int seen;
__attribute__((constructor)) static void c(int argc, char **argv, char **envp) { puts("right up"); seen = base_ready; }
__attribute__((destructor)) static void d(void) { puts("right down"); }
int right(void) { return seen; }
