// Pseudo-random generators repeat; the system's random numbers do not.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
int main(void)
{
	srand(1);
	int a = rand(), b = rand();
	srandom(1);
	long c = random();
	srand48(5);
	printf("%d %d %ld %.10f %ld\n", a, b, c, drand48(), lrand48());
	unsigned seed = 3;
	int d = rand_r(&seed);
	printf("%d\n", d);
	unsigned char x[256], y[256];
	memset(x, 0, sizeof x);
	memset(y, 0, sizeof y);
	printf("%d %d\n", (int)getrandom(x, sizeof x, 0), getentropy(y, sizeof y));
	printf("%d\n", memcmp(x, y, sizeof x) != 0);
	int zero = 0;
	for (int i = 0; i < 256; i++)
		zero += x[i] == 0;
	printf("%d\n", zero < 20);
	return 0;
}
