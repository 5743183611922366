// scanf reads numbers, words, sets and counts from standard input and from strings.
// stdin: "12 -34 0x5f 077 hello world\n3.25 1e3 nan inf 0x1.8p3\nabc123,def;rest of the line\n"
#include <stdio.h>
int main(void)
{
	int a, b, c, d, n;
	char w[20], x[20];
	n = scanf("%d %d %i %i %19s %19s", &a, &b, &c, &d, w, x);
	printf("%d: %d %d %d %d %s %s\n", n, a, b, c, d, w, x);
	float f;
	double g, h, i, j;
	n = scanf("%f %lf %lf %lf %lf", &f, &g, &h, &i, &j);
	printf("%d: %g %g %g %g %g\n", n, f, g, h, i, j);
	n = scanf(" %[a-z]%d,%3c%*c", w, &a, x);
	x[3] = 0;
	printf("%d: %s %d %s\n", n, w, a, x);
	int pos;
	n = scanf("%[^\n]%n", w, &pos);
	printf("%d: [%s] %d\n", n, w, pos);
	n = scanf("%d", &a);
	printf("at the end: %d, eof %d\n", n, feof(stdin));
	long double l;
	short s;
	signed char hh;
	unsigned long long u;
	n = sscanf("3.5 70000 300 18446744073709551615", "%Lf %hd %hhd %llu", &l, &s, &hh, &u);
	printf("%d: %Lg %d %d %llu\n", n, l, s, hh, u);
	n = sscanf("12x", "%d%d", &a, &b);
	printf("%d: %d\n", n, a);
	n = sscanf("", "%d", &a);
	printf("%d\n", n);
	char *m;
	n = sscanf("allocated text", "%ms", &m);
	printf("%d: %s\n", n, m);
	n = sscanf("aaabbb", "%3[ab]%s", w, x);
	printf("%d: %s %s\n", n, w, x);
	return 0;
}
