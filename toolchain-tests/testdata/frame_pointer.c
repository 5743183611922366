// Code with frame pointers and debug information is sandboxed too.
// opt: -O0 -O2 -Os
// cc: -fno-omit-frame-pointer -g
#include <stdio.h>
static int f(int n, const char *s) { volatile int v = n; return n ? f(n - 1, s) + v : s[0]; }
int main(void)
{
	printf("%d\n", f(30, "A"));
	printf("%d %d\n", __builtin_frame_address(0) != 0, __builtin_return_address(0) == (void *)main);
	return 0;
}
