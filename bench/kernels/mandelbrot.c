// The Mandelbrot set, 200 x 200 points, 100 iterations.
// rounds: 12
#include "kernel.h"
static uint64_t kernel(long n)
{
	uint64_t s = 0;
	for (long k = 0; k < n; k++)
		for (int y = 0; y < 200; y++)
			for (int x = 0; x < 200; x++) {
				double cr = 2.0 * x / 200 - 1.5 + k * 1e-6, ci = 2.0 * y / 200 - 1, zr = 0, zi = 0;
				int i = 0;
				for (; i < 100 && zr * zr + zi * zi < 4; i++) {
					double t = zr * zr - zi * zi + cr;
					zi = 2 * zr * zi + ci;
					zr = t;
				}
				s = s * 3 + i;
			}
	return s;
}
