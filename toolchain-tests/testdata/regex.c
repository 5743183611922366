// POSIX regular expressions and shell patterns.
#include <fnmatch.h>
#include <regex.h>
#include <stdio.h>
static void try(const char *re, int flags, const char *s)
{
	regex_t r;
	regmatch_t m[5];
	int e = regcomp(&r, re, flags);
	if (e) {
		char b[80];
		regerror(e, &r, b, sizeof b);
		printf("%s: %s\n", re, b);
		return;
	}
	e = regexec(&r, s, 5, m, 0);
	printf("%s on %s: %d", re, s, e);
	for (int i = 0; !e && i < 5 && m[i].rm_so >= 0; i++)
		printf(" [%d,%d)", (int)m[i].rm_so, (int)m[i].rm_eo);
	printf("\n");
	regfree(&r);
}
int main(void)
{
	try("a*b", REG_EXTENDED, "xaaab");
	try("(a|ab)(c|bcd)(d*)", REG_EXTENDED, "abcd");
	try("^[[:alpha:]_][[:alnum:]_]*$", REG_EXTENDED, "name_1");
	try("^[[:alpha:]_][[:alnum:]_]*$", REG_EXTENDED, "1name");
	try("\\([a-z]*\\)-\\1", 0, "foo-foo");
	try("HELLO", REG_ICASE, "say hello");
	try("(", REG_EXTENDED, "x");
	try("a{2,3}", REG_EXTENDED, "caaaat");
	try("[^]a]+", REG_EXTENDED, "a]xyz");
	try("(([0-9]+)\\.)+", REG_EXTENDED, "v10.20.30.");
	printf("%d %d %d %d\n", fnmatch("*.c", "x.c", 0), fnmatch("*.c", "d/x.c", FNM_PATHNAME) != 0, fnmatch("[!a]?", "bc", 0), fnmatch(".*", "x", 0) != 0);
	return 0;
}
