// The n-body problem with five planets.
// rounds: 600000
#include "kernel.h"
#include <math.h>
struct body { double x, y, z, vx, vy, vz, mass; };
static const struct body start[5] = {
	{0, 0, 0, 0, 0, 0, 39.47},
	{4.84, -1.16, -0.10, 0.606, 2.81, -0.02, 0.037},
	{8.34, 4.12, -0.4, -1.01, 1.82, 0.008, 0.011},
	{12.89, -15.11, -0.22, 1.08, 0.86, -0.01, 0.0017},
	{15.37, -25.9, 0.17, 0.97, 0.59, -0.034, 0.002},
};
static struct body v[5];
static void advance(double dt)
{
	for (int i = 0; i < 5; i++)
		for (int j = i + 1; j < 5; j++) {
			double dx = v[i].x - v[j].x, dy = v[i].y - v[j].y, dz = v[i].z - v[j].z;
			double d2 = dx * dx + dy * dy + dz * dz, mag = dt / (d2 * sqrt(d2));
			v[i].vx -= dx * v[j].mass * mag;
			v[i].vy -= dy * v[j].mass * mag;
			v[i].vz -= dz * v[j].mass * mag;
			v[j].vx += dx * v[i].mass * mag;
			v[j].vy += dy * v[i].mass * mag;
			v[j].vz += dz * v[i].mass * mag;
		}
	for (int i = 0; i < 5; i++) {
		v[i].x += dt * v[i].vx;
		v[i].y += dt * v[i].vy;
		v[i].z += dt * v[i].vz;
	}
}
static uint64_t kernel(long n)
{
	memcpy(v, start, sizeof v);
	while (n--)
		advance(0.01);
	uint64_t s;
	double e = v[0].x + v[1].vy + v[4].z;
	memcpy(&s, &e, 8);
	return s;
}
