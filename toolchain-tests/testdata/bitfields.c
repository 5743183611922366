// Bit-fields of all shapes: signs, straddling, packed, zero width, unions.
// opt: -O0 -O2 -Os
#include <stdio.h>
#include <string.h>
struct a { unsigned x : 3; int y : 5; unsigned z : 24; };
struct b { unsigned long a : 33, b : 31; };
struct c { char p; unsigned q : 7; unsigned : 0; unsigned r : 9; };
struct __attribute__((packed)) d { unsigned a : 5; unsigned b : 17; unsigned long c : 39; signed char e : 3; };
union u { struct { unsigned lo : 4, hi : 4; } n; unsigned char v; };
struct w { _Bool f : 1; int g : 31; long long h : 50; };
__attribute__((noinline)) static int step(struct d *p, int i)
{
	p->a += i;
	p->b ^= p->a << 3;
	p->c += p->b * 12345ul;
	p->e = i;
	return p->e;
}
int main(void)
{
	struct a a = {9, 17, 0x1ffffff};
	printf("%u %d %u %zu\n", a.x, a.y, a.z, sizeof a);
	struct b b = {0x1ffffffff, 0x12345678};
	b.a += 2;
	b.b--;
	printf("%lu %lu %zu\n", (unsigned long)b.a, (unsigned long)b.b, sizeof b);
	struct c c = {1, 127, 511};
	c.q++;
	c.r -= 12;
	printf("%d %u %u %zu\n", c.p, c.q, c.r, sizeof c);
	struct d d;
	memset(&d, 0, sizeof d);
	int s = 0;
	for (int i = 0; i < 100; i++)
		s = s * 3 + step(&d, i);
	printf("%u %u %lu %d %d %zu\n", d.a, d.b, (unsigned long)d.c, d.e, s, sizeof d);
	union u u;
	u.v = 0xa5;
	printf("%x %x\n", u.n.lo, u.n.hi);
	struct w w = {5, -1, -1234567890123};
	w.g >>= 3;
	w.h *= 3;
	printf("%d %d %lld\n", w.f, w.g, (long long)w.h);
	return 0;
}
