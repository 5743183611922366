#include <stdlib.h>
#include <string.h>

int host_add(int a, int b);

void nothing(void) {}
int add(int a, int b) { return a + b; }
int call_add(int a, int b) { return host_add(a, b); }

/* what a template holds */
static char *kept;
int hold(size_t n)
{
	if (!(kept = malloc(n))) return -1;
	memset(kept, 1, n);
	return 0;
}
