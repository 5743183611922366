// Hash tables, trees and linear search of <search.h>; basename and dirname.
#define _GNU_SOURCE
#include <libgen.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static int cmp(const void *a, const void *b) { return *(int *)a - *(int *)b; }
static int visits;
static void walk(const void *n, VISIT v, int depth)
{
	if (v == postorder || v == leaf)
		printf("%d ", **(int **)n);
	visits++;
}
int main(void)
{
	hcreate(100);
	char *k[] = {"one", "two", "three", "four"};
	for (long i = 0; i < 4; i++)
		hsearch((ENTRY){k[i], (void *)(i + 1)}, ENTER);
	ENTRY *e = hsearch((ENTRY){"three"}, FIND);
	printf("%ld %d\n", (long)e->data, hsearch((ENTRY){"five"}, FIND) == 0);
	hdestroy();
	static int v[50];
	void *root = 0;
	for (int i = 0; i < 50; i++) {
		v[i] = i * 37 % 50;
		tsearch(&v[i], &root, cmp);
	}
	int key = 20;
	printf("%d\n", **(int **)tfind(&key, &root, cmp));
	for (int i = 0; i < 50; i += 2)
		tdelete(&v[i], &root, cmp);
	twalk(root, walk);
	printf("\n");
	size_t n = 25;
	int x = 3;
	printf("%d\n", lfind(&x, v, &n, sizeof *v, cmp) != 0);
	char a[] = "/usr/lib/x.so", b[] = "/usr/lib/x.so";
	printf("%s %s\n", basename(a), dirname(b));
	return 0;
}
