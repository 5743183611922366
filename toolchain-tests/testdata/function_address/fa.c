#include <stdlib.h>
typedef int (*fn)(int);
int f(int x) { return x + 40; }
static fn table[] = {f, abs};
fn lib_f(void) { return f; }
int lib_is(fn g) { return g == table[0] || g == table[1]; }
