// Memory forms: aggregates, unions, pointers to everything, globals with initialisers, overlapping moves, negative indexes, large offsets.
// opt: -O0 -O1 -O2 -O3 -Os
#include "check.h"
#include <stddef.h>
#include <stdint.h>
static uint64_t h = 3;
static void add(uint64_t v) { h = h * 6364136223846793005u + v; }
struct pt { short x; int y; };
struct tree { struct tree *l, *r; int key; struct pt p[3]; };
union mix { uint64_t q; uint32_t d[2]; uint16_t w[4]; uint8_t b[8]; double f; };
static struct tree pool[200];
static int used;
static char huge[3 << 20];
static int grid[50][40][3];
static struct pt init[] = {{1, 2}, [3] = {.y = 5, .x = 7}, {9, 10}};
static int *const ptrs[] = {&init[0].y, &init[3].y, &grid[2][3][1], (int *)&huge[1 << 20]};
static const char *const words[] = {"zero", "one" "two", "three\0hidden"};
static char *tail = huge + sizeof huge - 16;
static ptrdiff_t diff = offsetof(struct tree, p[2].y);
struct flex { int n; char data[]; };
__attribute__((noinline)) static struct tree *insert(struct tree *t, int k)
{
	if (!t) {
		t = &pool[used++];
		t->key = k;
		t->p[k % 3] = (struct pt){k, k * 2};
		return t;
	}
	if (k < t->key)
		t->l = insert(t->l, k);
	else
		t->r = insert(t->r, k);
	return t;
}
__attribute__((noinline)) static int walk(const struct tree *t, int depth) { return t ? walk(t->l, depth + 1) * 3 + t->key * depth + t->p[t->key % 3].y + walk(t->r, depth + 1) : 1; }
__attribute__((noinline)) static void swap_any(void *a, void *b, size_t n) { char t[n]; memcpy(t, a, n); memcpy(a, b, n); memcpy(b, t, n); }
__attribute__((noinline)) static int back(const int *end, int n) { int r = 0; for (int i = -n; i < 0; i++) r = r * 3 + end[i]; return r; }
__attribute__((noinline)) static char at(const char *p, long i) { return p[i]; }
__attribute__((noinline)) static char at32(const char *p, int i) { return p[i]; }
__attribute__((noinline)) static char atu(const char *p, unsigned i) { return p[i]; }
__attribute__((noinline)) static int three(int i, int j, int k) { return grid[i][j][k]; }
__attribute__((noinline)) static uint32_t pun(float x) { union { float f; uint32_t u; } v = {x}; return v.u; }
__attribute__((noinline)) static struct tree copy(const struct tree *t) { struct tree c = *t; c.key++; return c; }
__attribute__((noinline)) static void out(int *a, int **b, int ***c) { *b = a; *c = b; ***c += 5; (*b)[1] -= 3; }
int main(void)
{
	struct tree *root = 0;
	for (int i = 0; i < 200; i++)
		root = insert(root, rnd() % 1000);
	add(walk(root, 1));
	struct tree c = copy(root);
	add(c.key + c.p[1].y + (c.l == root->l));
	swap_any(&pool[3].p, &pool[5].p, sizeof pool[0].p);
	add(walk(root, 1));
	int v[40];
	for (int i = 0; i < 40; i++)
		v[i] = i * i;
	add(back(v + 40, 40));
	add(back(v + 7, 3));
	for (size_t i = 0; i < sizeof huge; i += 4093)
		huge[i] = i;
	for (int i = -16; i < 16; i += 5) {
		add(at(huge + (1 << 20), i));
		add(at32(huge + (1 << 20), i * 1000));
		add(atu(huge, (1 << 20) + i * 4093));
	}
	add(tail - huge);
	add(diff);
	for (int i = 0; i < 6000; i++)
		((int *)grid)[i] = i * 3;
	add(three(4, 5, 2) + three(49, 39, 1));
	for (int i = 0; i < 4; i++)
		*ptrs[i] += i * 100;
	add(init[3].y + init[4].x + grid[2][3][1] + sizeof init);
	add(words[1][4] + strlen(words[2]) + words[2][6]);
	union mix m;
	m.q = 0x0123456789abcdef;
	m.b[3]++;
	m.w[2] ^= 0x5555;
	m.d[1] -= 77;
	add(m.q);
	add(pun(1.5f));
	struct flex *f = malloc(sizeof *f + 50);
	f->n = 50;
	memset(f->data, 'f', 50);
	memmove(f->data + 3, f->data, 40);
	add(f->data[49] + f->n);
	int z[3] = {1, 2, 3}, *b, **bb;
	out(z, &b, &bb);
	add(z[0] * 100 + z[1] * 10 + b[2] + **bb);
	volatile unsigned wrap = 0xfffffff0u;
	add((uint32_t)(wrap + 0x20));
	const char *p = huge + 100;
	add(p[(int)(wrap + 8)] + 1);
	add((uintptr_t)(huge + 7) - (uintptr_t)huge);
	printf("%llx\n", (unsigned long long)h);
	return 0;
}
