// AVX and AVX2 code, where the processor has it (asked by cpuid), gives what plain C gives.
// cc: -O2
#include <cpuid.h>
#include <immintrin.h>
#include <stdio.h>
__attribute__((target("avx2,fma"), noinline)) static double dot(const double *a, const double *b, int n)
{
	__m256d s = _mm256_setzero_pd();
	for (int i = 0; i < n; i += 4)
		s = _mm256_fmadd_pd(_mm256_loadu_pd(a + i), _mm256_loadu_pd(b + i), s);
	double t[4];
	_mm256_storeu_pd(t, s);
	return t[0] + t[1] + t[2] + t[3];
}
__attribute__((target("avx2"), noinline)) static int sumi(const int *a, int n)
{
	__m256i s = _mm256_setzero_si256();
	for (int i = 0; i < n; i += 8)
		s = _mm256_add_epi32(s, _mm256_mullo_epi32(_mm256_loadu_si256((__m256i *)(a + i)), _mm256_set1_epi32(3)));
	int t[8], r = 0;
	_mm256_storeu_si256((__m256i *)t, s);
	for (int i = 0; i < 8; i++)
		r += t[i];
	return r;
}
__attribute__((target("avx2"), optimize("O3"), noinline)) static void saxpy(float *x, const float *y, float k, int n)
{
	for (int i = 0; i < n; i++)
		x[i] = x[i] * k + y[i];
}
int main(void)
{
	unsigned a, b, c, d;
	double x[64], y[64];
	int v[64];
	float f[100], g[100];
	for (int i = 0; i < 64; i++) {
		x[i] = i;
		y[i] = 64 - i;
		v[i] = i * i;
	}
	for (int i = 0; i < 100; i++) {
		f[i] = i;
		g[i] = i / 2.0f;
	}
	double s = 0;
	int t = 0;
	for (int i = 0; i < 64; i++) {
		s += x[i] * y[i];
		t += v[i] * 3;
	}
	int have = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 5 & 1) && __get_cpuid(1, &a, &b, &c, &d) && (c >> 12 & 1) && (c >> 27 & 1);
	if (have) {
		s = dot(x, y, 64);
		t = sumi(v, 64);
	}
	printf("%g %d\n", s, t);
	if (have)
		saxpy(f, g, 2.0f, 100);
	else
		for (int i = 0; i < 100; i++)
			f[i] = f[i] * 2.0f + g[i];
	printf("%g %g\n", f[1], f[99]);
	return 0;
}
