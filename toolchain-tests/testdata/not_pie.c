// A program at a fixed address, with absolute addresses in code and data.
// cc: -fno-pic -fno-pie
// link: static
// opt: -O0 -O2
#include <stdio.h>
static int v[10] = {1, 2, 3};
int *p = &v[2];
int (*fn)(const char *, ...) = printf;
static const char *names[] = {"a", "bb", "ccc"};
int get(int i) { return v[i]; }
void set(int i, int x) { v[i] = x; }
int main(void)
{
	for (int i = 0; i < 10; i++)
		set(i, get(i) + i * *p);
	fn("%d %d %s\n", v[9], get(1), names[v[0] % 3]);
	static void *labels[] = {&&one, &&two};
	goto *labels[v[1] & 1];
one: puts("one"); return 0;
two: puts("two"); return 0;
}
