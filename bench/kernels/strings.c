// String processing: splitting, searching, formatting, copying with the C library.
// rounds: 100
#include "kernel.h"
static char text[100000], out[200000];
static uint64_t kernel(long n)
{
	static const char *const w[] = {"the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "and", "runs", "away"};
	char *p = text;
	while (p < text + sizeof text - 10) {
		p = stpcpy(p, w[rnd() % 12]);
		*p++ = rnd() % 10 ? ' ' : '\n';
	}
	*p = 0;
	uint64_t s = 0;
	while (n--) {
		char *o = out;
		int words = 0;
		for (const char *q = text; *q; ) {
			size_t k = strcspn(q, " \n");
			if (k > 3 && k < 60) {
				memcpy(o, q, k);
				for (size_t i = 0; i < k; i++)
					if (o[i] >= 'a' && o[i] <= 'z')
						o[i] -= 32;
				o += k;
				if (++words % 16 == 0)
					o += sprintf(o, "<%d:%s>", words, w[words % 12]);
			}
			q += k;
			while (*q == ' ' || *q == '\n')
				q++;
		}
		*o = 0;
		for (const char *q = text; (q = strstr(q, "lazy dog")); q++)
			s += q - text;
		for (const char *q = out; (q = strchr(q, '<')); q++)
			s += atoi(q + 1);
		s = s * 31 + strlen(out);
		text[n % 1000] ^= 1;
	}
	return s;
}
