// Parsing a JSON text of 100 KB into a tree and summing it up.
// rounds: 150
#include "kernel.h"
struct value { int type, n; double num; char *str; struct value *list, *next; };
static char text[200000], *end;
static const char *p;
static char arena[8 << 20];
static size_t arena_used;
static void *get(size_t n)
{
	void *r = arena + arena_used;
	arena_used += (n + 15) & ~15ul;
	return r;
}
static void space(void) { while (*p == ' ' || *p == '\n' || *p == '\t') p++; }
static struct value *parse(void);
static char *string(void)
{
	const char *s = ++p;
	while (*p != '"')
		p += *p == '\\' ? 2 : 1;
	char *r = get(p - s + 1), *o = r;
	for (; s < p; s++)
		*o++ = *s == '\\' ? *++s : *s;
	*o = 0;
	p++;
	return r;
}
static struct value *sequence(struct value *v, char close, int named)
{
	struct value **tail = &v->list;
	p++;
	space();
	while (*p != close) {
		char *name = 0;
		if (named) {
			name = string();
			space();
			p++;
			space();
		}
		*tail = parse();
		if (name)
			(*tail)->str = name;
		tail = &(*tail)->next;
		v->n++;
		space();
		if (*p == ',') {
			p++;
			space();
		}
	}
	p++;
	return v;
}
static struct value *parse(void)
{
	struct value *v = get(sizeof *v);
	memset(v, 0, sizeof *v);
	space();
	switch (v->type = *p) {
	case '{': return sequence(v, '}', 1);
	case '[': return sequence(v, ']', 0);
	case '"': v->str = string(); return v;
	case 't': v->num = 1; p += 4; return v;
	case 'f': p += 5; return v;
	case 'n': p += 4; return v;
	}
	double sign = 1, d = 0, scale = 1;
	if (*p == '-') {
		sign = -1;
		p++;
	}
	while (*p >= '0' && *p <= '9')
		d = d * 10 + (*p++ - '0');
	if (*p == '.')
		for (p++; *p >= '0' && *p <= '9'; p++)
			d += (*p - '0') * (scale /= 10);
	v->num = d * sign;
	v->type = '0';
	return v;
}
static double total(const struct value *v)
{
	double t = v->num + v->n + (v->str ? v->str[0] : 0);
	for (const struct value *c = v->list; c; c = c->next)
		t += total(c);
	return t;
}
static void emit(int depth)
{
	switch (end > text + 100000 ? 3 : depth == 0 ? 0 : rnd() % 6) {
	case 0: case 1:
		end = stpcpy(end, "{");
		for (int i = 0; i < (depth ? 5 : 500); i++) {
			end += sprintf(end, "%s\"key%u\": ", i ? ", " : "", rnd() % 100);
			emit(depth + 1);
		}
		end = stpcpy(end, "}");
		break;
	case 2:
		end = stpcpy(end, "[");
		for (int i = 0; i < 8 && depth < 6; i++) {
			if (i)
				end = stpcpy(end, ",\n");
			emit(depth + 1);
		}
		end = stpcpy(end, "]");
		break;
	case 3: end += sprintf(end, "%d.%u", (int)(rnd() % 2000) - 1000, rnd() % 100); break;
	case 4: end += sprintf(end, "\"some \\\"text\\\" %u\"", rnd() % 1000); break;
	case 5: end = stpcpy(end, rnd() & 1 ? "true" : "null"); break;
	}
}
static uint64_t kernel(long n)
{
	end = text;
	emit(0);
	uint64_t s = 0;
	while (n--) {
		arena_used = 0;
		p = text;
		s = s * 31 + (uint64_t)(int64_t)total(parse());
	}
	return s;
}
