// Matrix multiplication, 200 x 200 doubles.
// rounds: 20
#include "kernel.h"
enum { N = 200 };
static double a[N][N], b[N][N], c[N][N];
static uint64_t kernel(long n)
{
	for (int i = 0; i < N; i++)
		for (int j = 0; j < N; j++) {
			a[i][j] = i - 2 * j;
			b[i][j] = (i * j) % 17;
		}
	uint64_t s = 0;
	while (n--) {
		for (int i = 0; i < N; i++)
			for (int j = 0; j < N; j++) {
				double t = 0;
				for (int k = 0; k < N; k++)
					t += a[i][k] * b[k][j];
				c[i][j] = t;
			}
		a[n % N][3] += 1;
		s = s * 31 + (int64_t)c[n % N][(n * 7) % N];
	}
	return s;
}
