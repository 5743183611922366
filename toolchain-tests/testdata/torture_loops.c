// Loops that the compiler vectorises, unrolls, interchanges and turns into library calls.
// opt: -O0 -O1 -O2 -O3 -Os -Ofast
// cc: -fno-fast-math
#include "check.h"
#include <stdint.h>
static int a[1000], b[1000], c[1000];
static unsigned char u[1000], w[1000];
static short s[1000];
static float f[1000], g[1000];
static double m[30][30], n[30][30], p[30][30];
static uint64_t h = 1;
static void add(uint64_t v) { h = h * 6364136223846793005u + v; }
__attribute__((noinline)) static int sum(const int *v, int k) { int r = 0; for (int i = 0; i < k; i++) r += v[i]; return r; }
__attribute__((noinline)) static int maxi(const int *v, int k) { int r = v[0]; for (int i = 1; i < k; i++) if (v[i] > r) r = v[i]; return r; }
__attribute__((noinline)) static void saxpy(float *x, const float *y, float k, int q) { for (int i = 0; i < q; i++) x[i] += k * y[i]; }
__attribute__((noinline)) static void mul(void) { for (int i = 0; i < 30; i++) for (int j = 0; j < 30; j++) { double t = 0; for (int k = 0; k < 30; k++) t += m[i][k] * n[k][j]; p[i][j] = t; } }
__attribute__((noinline)) static void widen(int *d, const short *x, int k) { for (int i = 0; i < k; i++) d[i] = x[i] * x[i] - 7; }
__attribute__((noinline)) static void narrow(unsigned char *d, const int *x, int k) { for (int i = 0; i < k; i++) d[i] = x[i] > 255 ? 255 : x[i] < 0 ? 0 : x[i]; }
__attribute__((noinline)) static int count(const unsigned char *x, int k, int v) { int r = 0; for (int i = 0; i < k; i++) r += x[i] == v; return r; }
__attribute__((noinline)) static void reverse(int *x, int k) { for (int i = 0; i < k / 2; i++) { int t = x[i]; x[i] = x[k - 1 - i]; x[k - 1 - i] = t; } }
__attribute__((noinline)) static void stride(int *x, int k, int st) { for (int i = 0; i < k; i += st) x[i] ^= i; }
__attribute__((noinline)) static void gather(int *d, const int *x, const unsigned char *ix, int k) { for (int i = 0; i < k; i++) d[i] = x[ix[i]]; }
__attribute__((noinline)) static void zero(char *x, int k) { for (int i = 0; i < k; i++) x[i] = 0; }
__attribute__((noinline)) static void copy(char *d, const char *x, int k) { for (int i = 0; i < k; i++) d[i] = x[i]; }
__attribute__((noinline)) static int find(const char *x) { int i = 0; while (x[i]) i++; return i; }
__attribute__((noinline)) static unsigned crc(const unsigned char *x, int k) { unsigned r = ~0u; while (k--) { r ^= *x++; for (int i = 0; i < 8; i++) r = r >> 1 ^ (0xedb88320 & -(r & 1)); } return ~r; }
__attribute__((noinline)) static long collatz(long x) { long k = 0; for (; x != 1; k++) x = x & 1 ? 3 * x + 1 : x / 2; return k; }
__attribute__((noinline)) static int nested(int k) { int r = 0; for (int i = 0; i < k; i++) { for (int j = i; j < k; j++) { if ((i ^ j) % 3 == 0) continue; if (r > 1000000) goto out; r += i * j; } if (i == 50) break; } out: return r; }
__attribute__((noinline)) static void prefix(int *x, int k) { for (int i = 1; i < k; i++) x[i] += x[i - 1]; }
__attribute__((noinline)) static void cond(int *d, const int *x, const int *y, int k) { for (int i = 0; i < k; i++) d[i] = x[i] < y[i] ? x[i] * 3 : y[i] >> 2; }
int main(void)
{
	for (int i = 0; i < 1000; i++) {
		a[i] = rnd() % 1000 - 300;
		b[i] = rnd() % 5000;
		u[i] = rnd();
		s[i] = rnd();
		f[i] = rnd() % 100 / 4.0f;
		g[i] = rnd() % 100 / 8.0f;
	}
	for (int i = 0; i < 900; i++) {
		m[i / 30][i % 30] = i % 7;
		n[i / 30][i % 30] = i % 11;
	}
	for (int k = 1; k < 1000; k = k * 2 + k / 3) {
		add(sum(a, k)); add(maxi(a, k)); saxpy(f, g, 0.5f, k); add(f[k - 1] * 8);
		widen(c, s, k); add(c[k / 2]); narrow(w, a, k); add(w[k - 1]); add(count(w, k, 0)); add(count(u, k, 77));
		reverse(a, k); stride(a, k, k % 5 + 1); gather(c, b, u, k); add(sum(c, k)); cond(c, a, b, k); prefix(c, k); add(c[k - 1]);
		copy((char *)w, (char *)u, k); add(crc(w, k)); zero((char *)w + k / 3, k / 2); add(crc(w, k));
		memset(w, 'x', k); w[k] = 0; add(find((char *)w)); add(nested(k)); add(collatz(k * 7 + 1));
	}
	mul();
	for (int i = 0; i < 30; i++)
		add((uint64_t)p[i][29 - i]);
	printf("%llx\n", (unsigned long long)h);
	return 0;
}
