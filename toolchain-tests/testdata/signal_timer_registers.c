// A signal at any moment leaves registers, flags, vectors and stack of the interrupted code alone.
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
static volatile sig_atomic_t ticks;
static volatile double sink;
static void tick(int s)
{
	char junk[512];
	memset(junk, ticks, sizeof junk);
	long double l = 1.5L;
	for (int i = 1; i < 20; i++)
		l = l * i / 3 + junk[i];
	sink = sqrt((double)l * l) + __builtin_popcount(ticks);
	ticks++;
}
__attribute__((noinline)) static unsigned long mix(unsigned long s, int n)
{
	unsigned long a = s, b = s * 3, c = s ^ 77, d = ~s, e = s + 9, f = s << 7;
	double x = 1.25, y = 0.75, z = s & 15;
	long double w = 0;
	for (int i = 0; i < n; i++) {
		a = a * 6364136223846793005 + b;
		b ^= c >> 7;
		c += d;
		d = (d << 13) | (d >> 51);
		e += a > b ? c : d;
		f = f * 5 + (e & 3);
		x = x * 0.999 + y;
		y = y * 0.5 + z;
		z = (double)(f & 1023);
		w = w / 2 + z;
	}
	return a ^ b ^ c ^ d ^ e ^ f ^ (unsigned long)(x * 1000) ^ (unsigned long)(y * 1000) ^ (unsigned long)(w * 1000);
}
int main(void)
{
	unsigned long want = mix(99, 200000);
	struct sigaction sa;
	memset(&sa, 0, sizeof sa);
	sa.sa_handler = tick;
	sigaction(SIGALRM, &sa, 0);
	struct itimerval it = {{0, 300}, {0, 300}};
	setitimer(ITIMER_REAL, &it, 0);
	int bad = 0;
	while (ticks < 100)
		bad += mix(99, 200000) != want;
	memset(&it, 0, sizeof it);
	setitimer(ITIMER_REAL, &it, 0);
	printf("%d wrong\n", bad);
	return 0;
}
