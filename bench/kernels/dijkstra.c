// Shortest paths over linked adjacency lists with a heap of pointers.
// rounds: 80
#include "kernel.h"
enum { N = 5000 };
struct edge { struct edge *next; struct node *to; int cost; };
struct node { struct edge *edges; long dist; int pos; };
static struct node v[N];
static struct edge e[N * 6];
static struct node *heap[N];
static int size;
static void up(int i)
{
	struct node *x = heap[i];
	for (; i && heap[(i - 1) / 2]->dist > x->dist; i = (i - 1) / 2) {
		heap[i] = heap[(i - 1) / 2];
		heap[i]->pos = i;
	}
	heap[i] = x;
	x->pos = i;
}
static struct node *pop(void)
{
	struct node *r = heap[0], *x = heap[--size];
	int i = 0;
	for (int c; (c = 2 * i + 1) < size; i = c) {
		if (c + 1 < size && heap[c + 1]->dist < heap[c]->dist)
			c++;
		if (heap[c]->dist >= x->dist)
			break;
		heap[i] = heap[c];
		heap[i]->pos = i;
	}
	heap[i] = x;
	x->pos = i;
	r->pos = -2;
	return r;
}
static uint64_t kernel(long n)
{
	for (int i = 0; i < N; i++)
		v[i].edges = 0;
	for (int i = 0; i < N * 6; i++) {
		struct node *from = &v[i < N ? i : rnd() % N];
		e[i] = (struct edge){from->edges, &v[i < N ? (i + 1) % N : rnd() % N], 1 + rnd() % 1000};
		from->edges = &e[i];
	}
	uint64_t s = 0;
	while (n--) {
		for (int i = 0; i < N; i++) {
			v[i].dist = 1L << 60;
			v[i].pos = -1;
		}
		size = 0;
		struct node *x = &v[n * 37 % N];
		x->dist = 0;
		heap[size++] = x;
		x->pos = 0;
		while (size) {
			x = pop();
			for (struct edge *k = x->edges; k; k = k->next) {
				long d = x->dist + k->cost;
				if (d < k->to->dist) {
					k->to->dist = d;
					if (k->to->pos < 0) {
						k->to->pos = size;
						heap[size++] = k->to;
					}
					up(k->to->pos);
				}
			}
		}
		for (int i = 0; i < N; i++)
			s = s * 31 + v[i].dist;
	}
	return s;
}
