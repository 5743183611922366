// Pancake flipping over all permutations of ten.
// rounds: 1
#include "kernel.h"
static uint64_t kernel(long n)
{
	enum { K = 10 };
	uint64_t sum = 0;
	while (n--) {
		int p[K], q[K], count[K], max = 0, r = K, even = 1;
		for (int i = 0; i < K; i++)
			p[i] = i;
		for (;;) {
			for (; r > 1; r--)
				count[r - 1] = r;
			if (p[0]) {
				memcpy(q, p, sizeof q);
				int flips = 0;
				for (int first = q[0]; first; first = q[0]) {
					for (int lo = 0, hi = first; lo < hi; lo++, hi--) {
						int t = q[lo];
						q[lo] = q[hi];
						q[hi] = t;
					}
					flips++;
				}
				if (flips > max)
					max = flips;
				sum += even ? flips : -flips;
			}
			for (;;) {
				if (r == K)
					goto next;
				int t = p[0];
				for (int i = 0; i < r; i++)
					p[i] = p[i + 1];
				p[r] = t;
				if (--count[r] > 0)
					break;
				r++;
			}
			even = !even;
		}
next:
		sum = sum * 1000 + max;
	}
	return sum;
}
