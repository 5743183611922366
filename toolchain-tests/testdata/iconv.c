// Character set conversion.
#include <errno.h>
#include <iconv.h>
#include <stdio.h>
#include <string.h>
static void conv(const char *to, const char *from, const char *s, size_t n)
{
	iconv_t c = iconv_open(to, from);
	if (c == (iconv_t)-1) {
		printf("%s to %s: no\n", from, to);
		return;
	}
	char out[100], *o = out, *in = (char *)s;
	size_t left = sizeof out;
	size_t r = iconv(c, &in, &n, &o, &left);
	printf("%s to %s: %d%s", from, to, (int)r, r == (size_t)-1 && errno == EILSEQ ? " bad" : r == (size_t)-1 && errno == EINVAL ? " short" : "");
	for (char *p = out; p < o; p++)
		printf(" %02x", (unsigned char)*p);
	printf("\n");
	iconv_close(c);
}
int main(void)
{
	conv("UTF-16LE", "UTF-8", "aß€𝄞", 10);
	conv("UTF-32BE", "UTF-8", "é", 2);
	conv("UTF-8", "ISO-8859-1", "\xe9\xff", 2);
	conv("UTF-8", "KOI8-R", "\xd4\xc5", 2);
	conv("UTF-8", "CP1252", "\x80\x99", 2);
	conv("UTF-8", "EUC-JP", "\xa4\xa2", 2);
	conv("UTF-8", "GB18030", "\xc4\xe3", 2);
	conv("UTF-8", "UTF-8", "\xff\xfe", 2);
	conv("UTF-16", "UTF-8", "\xe2\x82", 2);
	conv("ASCII", "UTF-8", "é", 2);
	conv("NOSUCH", "UTF-8", "", 0);
	return 0;
}
