// Character classes over the whole range, and case.
#include <ctype.h>
#include <stdio.h>
int main(void)
{
	unsigned n[13] = {0};
	for (int c = -1; c < 256; c++) {
		n[0] += !!isalpha(c);
		n[1] += !!isdigit(c);
		n[2] += !!isalnum(c);
		n[3] += !!isspace(c);
		n[4] += !!isupper(c);
		n[5] += !!islower(c);
		n[6] += !!ispunct(c);
		n[7] += !!isprint(c);
		n[8] += !!iscntrl(c);
		n[9] += !!isxdigit(c);
		n[10] += !!isgraph(c);
		n[11] += !!isblank(c);
		n[12] += toupper(c) * 3 + tolower(c);
	}
	for (int i = 0; i < 13; i++)
		printf("%u ", n[i]);
	printf("\n");
	for (const char *s = "Hello, World! 123"; *s; s++)
		putchar(isupper(*s) ? tolower(*s) : toupper(*s));
	printf("\n");
	return 0;
}
