// Jumps: switch tables, computed goto, interpreters, loops.
long results[4096];
int nresults;
#define emit(x) (results[nresults++ & 4095] = (long)(x))
#define NI __attribute__((noinline, noclone))

NI long f(long x) { return x * 3 + 1; }
NI long g(const char *s, ...) { return s[0]; }

NI long sw(int n, long x)
{
	switch (n) {
	case 0: return f(x);
	case 1: return f(x) + 1;
	case 2: return x;
	case 3: return f(f(x));
	case 4: return x - 7;
	case 5: return g("a", x, n);
	case 6: x = f(x); // fall through
	case 7: return x * 2;
	case 9: return f(x) * f(x + 1);
	case 11: return 4;
	}
	return -n;
}
NI long sw2(unsigned char *p, int n)
{
	long acc = 0, buf[8];
	for (int i = 0; i < n; i++)
		switch (p[i] & 15) {
		case 0: acc += 1; break;
		case 1: acc -= 2; break;
		case 2: acc = f(acc); break;
		case 3: acc ^= 0x55; break;
		case 4: acc <<= 1; break;
		case 5: acc += i; break;
		case 6: buf[i & 7] = acc; break;
		case 7: acc += buf[0] = i; break;
		case 8: acc = -acc; break;
		case 9: acc += p[0]; break;
		default: acc += 3; break;
		}
	return acc;
}
NI long interp(const unsigned char *pc)
{
	static const void *const op[] = {&&halt, &&inc, &&dec, &&dup, &&add, &&call};
	long st[16], *sp = st;
	*sp = 1;
#define NEXT goto *op[*pc++]
	NEXT;
inc:
	++*sp;
	NEXT;
dec:
	--*sp;
	NEXT;
dup:
	sp[1] = sp[0];
	sp++;
	NEXT;
add:
	sp[-1] += sp[0];
	sp--;
	NEXT;
call:
	*sp = f(*sp);
	NEXT;
halt:
	return *sp;
}
NI long interp0(const unsigned char *pc)
{
	static const int off[] = {&&halt - &&halt, &&inc - &&halt, &&dbl - &&halt};
	long a = 0;
	goto *(&&halt + off[*pc++]);
inc:
	a++;
	goto *(&&halt + off[*pc++]);
dbl:
	a *= 2;
	goto *(&&halt + off[*pc++]);
halt:
	return a;
}
NI void *labelvalue(int n)
{
	void *p = n ? &&one : &&two;
	goto *p;
one:
	return (void *)1;
two:
	return (void *)2;
}
NI int strs(int c)
{
	switch (c) {
	case 'a': case 'e': case 'i': case 'o': case 'u': return 1;
	case '0' ... '9': return 2;
	case ' ': case '\t': case '\n': return 3;
	}
	return 0;
}
NI long loops(long *a, int n)
{
	long s = 0;
	for (int i = 0; i < n; i++)
		for (int j = i; j < n; j++) {
			if (a[j] == 3)
				continue;
			if (a[i] > 100)
				goto out;
			s += a[i] * a[j];
		}
out:
	return s;
}
typedef long (*fp)(long);
NI fp pick(int n) { return n ? f : 0; }
NI long tailptr(int n, long x)
{
	fp p = pick(n);
	if (p)
		return p(x);
	return 0;
}

void test(void)
{
	for (int i = -1; i < 13; i++)
		emit(sw(i, 10 + i));
	unsigned char b[64];
	for (int i = 0; i < 64; i++)
		b[i] = i * 37;
	emit(sw2(b, 64));
	emit(interp((const unsigned char *)"\1\1\3\1\4\5\2\0"));
	emit(interp0((const unsigned char *)"\1\1\2\1\2\0"));
	emit((long)labelvalue(0) * 10 + (long)labelvalue(1));
	for (const char *s = "ab e1\tz9"; *s; s++)
		emit(strs(*s));
	long v[] = {1, 2, 3, 4, 5, 3, 2, 101};
	emit(loops(v, 8));
	emit(tailptr(0, 1) + tailptr(1, 5));
}
