// A hash table of strings with chaining: insert, look up, delete.
// rounds: 15
#include "kernel.h"
struct entry { struct entry *next; uint32_t hash; int value; char key[12]; };
static struct entry *table[16384];
static uint32_t hash(const char *s)
{
	uint32_t h = 2166136261u;
	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	return h;
}
static void name(char *b, uint32_t v)
{
	for (int i = 0; i < 7; i++, v >>= 4)
		b[i] = 'a' + (v & 15);
	b[7] = 0;
}
static struct entry **find(const char *k, uint32_t h)
{
	struct entry **e = &table[h & 16383];
	while (*e && ((*e)->hash != h || strcmp((*e)->key, k)))
		e = &(*e)->next;
	return e;
}
static uint64_t kernel(long n)
{
	uint64_t s = 0;
	char k[12];
	while (n--) {
		for (int i = 0; i < 30000; i++) {
			name(k, rnd() % 50000 * 5003);
			uint32_t h = hash(k);
			struct entry **e = find(k, h);
			if (!*e) {
				struct entry *x = malloc(sizeof *x);
				x->next = 0;
				x->hash = h;
				x->value = 0;
				strcpy(x->key, k);
				*e = x;
			}
			(*e)->value += i;
		}
		for (int i = 0; i < 60000; i++) {
			name(k, rnd() % 50000 * 5003);
			struct entry *e = *find(k, hash(k));
			if (e)
				s += e->value;
		}
		for (int i = 0; i < 30000; i++) {
			name(k, rnd() % 50000 * 5003);
			struct entry **e = find(k, hash(k)), *x = *e;
			if (x) {
				*e = x->next;
				free(x);
			}
		}
	}
	return s;
}
