// Spectral norm of an infinite matrix, order 300.
// rounds: 250
#include "kernel.h"
#include <math.h>
enum { N = 300 };
static double u[N], v[N], t[N];
static double a(int i, int j) { return 1.0 / ((i + j) * (i + j + 1) / 2 + i + 1); }
static void mul(const double *x, double *r, int transposed)
{
	for (int i = 0; i < N; i++) {
		double s = 0;
		for (int j = 0; j < N; j++)
			s += (transposed ? a(j, i) : a(i, j)) * x[j];
		r[i] = s;
	}
}
static uint64_t kernel(long n)
{
	for (int i = 0; i < N; i++)
		u[i] = 1;
	while (n--) {
		mul(u, t, 0);
		mul(t, v, 1);
		mul(v, t, 0);
		mul(t, u, 1);
	}
	double p = 0, q = 0;
	for (int i = 0; i < N; i++) {
		p += u[i] * v[i];
		q += v[i] * v[i];
	}
	return (uint64_t)(sqrt(p / q) * 1e9);
}
