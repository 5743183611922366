// qsort of several element sizes, qsort_r, and bsearch.
#define _GNU_SOURCE
#include "check.h"
static int compared;
static int cmp_int(const void *a, const void *b)
{
	compared++;
	int x = *(int *)a, y = *(int *)b;
	return x < y ? -1 : x > y;
}
static int cmp_char(const void *a, const void *b) { return *(unsigned char *)a - *(unsigned char *)b; }
struct rec { char name[13]; double key; int seq; };
static int cmp_rec(const void *a, const void *b)
{
	const struct rec *x = a, *y = b;
	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->seq - y->seq;
}
static int cmp_str(const void *a, const void *b) { return strcmp(*(char **)a, *(char **)b); }
static int by_digit(const void *a, const void *b, void *arg)
{
	int d = *(int *)arg;
	int x = *(int *)a / d % 10, y = *(int *)b / d % 10;
	return x != y ? x - y : *(int *)a - *(int *)b;
}
int main(void)
{
	static int v[5000];
	for (int i = 0; i < 5000; i++)
		v[i] = (int)rnd();
	qsort(v, 5000, sizeof *v, cmp_int);
	for (int i = 1; i < 5000; i++)
		CHECK(v[i - 1] <= v[i]);
	CHECK(compared > 5000);
	for (int i = 0; i < 5000; i += 97) {
		int *p = bsearch(&v[i], v, 5000, sizeof *v, cmp_int);
		CHECK(p && *p == v[i]);
	}
	int absent = v[10] + 1;
	if (absent != v[11])
		CHECK(bsearch(&absent, v, 5000, sizeof *v, cmp_int) == 0);
	unsigned char c[300];
	for (int i = 0; i < 300; i++)
		c[i] = rnd();
	qsort(c, 300, 1, cmp_char);
	for (int i = 1; i < 300; i++)
		CHECK(c[i - 1] <= c[i]);
	static struct rec r[500];
	for (int i = 0; i < 500; i++) {
		snprintf(r[i].name, sizeof r[i].name, "rec%d", i);
		r[i].key = rnd() % 50 / 4.0;
		r[i].seq = i;
	}
	qsort(r, 500, sizeof *r, cmp_rec);
	for (int i = 0; i < 500; i++) {
		char n[13];
		snprintf(n, sizeof n, "rec%d", r[i].seq);
		CHECK(strcmp(n, r[i].name) == 0);
	}
	printf("%s %g\n", r[0].name, r[499].key);
	const char *w[] = {"pear", "apple", "fig", "quince", "banana", "", "cherry"};
	qsort(w, 7, sizeof *w, cmp_str);
	for (int i = 0; i < 7; i++)
		printf("[%s]", w[i]);
	printf("\n");
	int d = 10, t[] = {91, 12, 55, 8, 73, 30, 21};
	qsort_r(t, 7, sizeof *t, by_digit, &d);
	for (int i = 0; i < 7; i++)
		printf("%d ", t[i]);
	printf("\n%d failures\n", failures);
	return failures != 0;
}
