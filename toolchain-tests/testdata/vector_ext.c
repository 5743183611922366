// gcc's vector extensions, at every optimisation level.
// opt: -O0 -O1 -O2 -O3 -Os
// cc: -Wno-psabi
#include <stdio.h>
typedef int v4si __attribute__((vector_size(16)));
typedef float v4sf __attribute__((vector_size(16)));
typedef double v2df __attribute__((vector_size(16)));
typedef unsigned char v16qi __attribute__((vector_size(16)));
typedef short v8hi __attribute__((vector_size(16)));
typedef long v4di __attribute__((vector_size(32)));
typedef int v4siu __attribute__((vector_size(16), aligned(1)));
__attribute__((noinline)) static v4si add(v4si a, v4si b) { return a + b * 3 - (a >> 2); }
__attribute__((noinline)) static v4sf mulf(v4sf a, v4sf b) { return a * b + (v4sf){1, 2, 3, 4}; }
__attribute__((noinline)) static v2df divd(v2df a, v2df b) { return a / b; }
__attribute__((noinline)) static v4di wide(v4di a, v4di b) { return a * b + (a ^ b); }
__attribute__((noinline)) static v16qi shuffle(v16qi a, v16qi m) { return __builtin_shuffle(a, m); }
__attribute__((noinline)) static v4si unaligned(char *p) { return *(v4siu *)p; }
int main(void)
{
	v4si a = {1, -2, 300000, 4}, b = {10, 20, -30, 1 << 20};
	v4si c = add(a, b), d = a > b, e = a == b;
	printf("%d %d %d %d | %d %d %d %d | %d\n", c[0], c[1], c[2], c[3], d[0], d[1], d[2], d[3], e[0]);
	v4sf f = mulf((v4sf){1.5, 2.5, 3.5, 4.5}, (v4sf){2, 4, 8, 16});
	printf("%g %g %g %g\n", f[0], f[1], f[2], f[3]);
	v2df g = divd((v2df){1, 2}, (v2df){3, 7});
	printf("%.17g %.17g\n", g[0], g[1]);
	v4di h = wide((v4di){1, 2, 3, 4000000000}, (v4di){5, 6, 7, 8});
	printf("%ld %ld %ld %ld\n", h[0], h[1], h[2], h[3]);
	v16qi q, m;
	for (int i = 0; i < 16; i++) {
		q[i] = i * 11;
		m[i] = (i * 7 + 3) & 15;
	}
	q = shuffle(q, m);
	for (int i = 0; i < 16; i++)
		printf("%d ", q[i]);
	char buf[40];
	for (int i = 0; i < 40; i++)
		buf[i] = i;
	v4si u = unaligned(buf + 3);
	printf("%x %x\n", u[0], u[3]);
	v8hi s = {1, 2, 3, 4, 5, 6, 7, 8};
	s = s * s - 10;
	v4sf cv = __builtin_convertvector(a, v4sf);
	printf("%d %d %g\n", s[0], s[7], cv[2]);
	return 0;
}
