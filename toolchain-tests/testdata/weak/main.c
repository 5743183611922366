// Weak definitions give way, weak references may stay null; aliases name the same function.
// with: other.c
#include <stdio.h>
__attribute__((weak)) int overridden(void) { return 1; }
__attribute__((weak)) int kept(void) { return 2; }
extern int absent(void) __attribute__((weak));
extern int absent_var __attribute__((weak));
static int real(int x) { return x * 2; }
int alias(int) __attribute__((alias("real")));
int var = 5;
extern int var_alias __attribute__((alias("var")));
int main(void)
{
	printf("%d %d\n", overridden(), kept());
	printf("%d %d\n", absent == 0, &absent_var == 0);
	if (absent)
		absent();
	var_alias = 7;
	printf("%d %d\n", alias(21), var);
	return 0;
}
