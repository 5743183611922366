// Wide characters and UTF-8: conversion, classes, formatted input and output.
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uchar.h>
#include <wchar.h>
#include <wctype.h>
int main(void)
{
	printf("%s\n", setlocale(LC_ALL, "C.UTF-8"));
	printf("%d\n", (int)MB_CUR_MAX);
	const char *s = "aß€𝄞z";
	wchar_t w[20];
	size_t n = mbstowcs(w, s, 20);
	printf("%zu:", n);
	for (size_t i = 0; i < n; i++)
		printf(" %x/%d", (unsigned)w[i], (int)wcwidth(w[i]));
	printf("\n");
	char b[40];
	n = wcstombs(b, w, 40);
	printf("%zu %d\n", n, strcmp(b, s));
	mbstate_t st = {0};
	int k = 0;
	for (const char *p = s; *p; ) {
		wchar_t c;
		size_t r = mbrtowc(&c, p, 1, &st);
		if (r == (size_t)-2) {
			k++;
			p++;
			continue;
		}
		p += r;
	}
	printf("%d incomplete\n", k);
	printf("%d\n", (int)mbtowc(w, "\xff\xfe", 2));
	printf("%d\n", (int)mblen("\xc3", 1));
	char16_t u16[2];
	memset(&st, 0, sizeof st);
	size_t r1 = mbrtoc16(u16, "𝄞", 4, &st), r2 = mbrtoc16(u16 + 1, "", 0, &st);
	printf("%zu %d %x %x\n", r1, (int)r2, u16[0], u16[1]);
	printf("%lc %ls|%5ls|%.4ls|\n", (wint_t)L'é', L"wide", L"ab", L"€€€");
	wchar_t out[50];
	int m = swprintf(out, 50, L"%d %s %ls %f %lc", 42, "narrow", L"ωide", 1.5, L'→');
	printf("%d %ls\n", m, out);
	int a;
	wchar_t word[20];
	double d;
	m = swscanf(L"17 слово 2.5e1", L"%d %ls %lf", &a, word, &d);
	printf("%d: %d %ls %g\n", m, a, word, d);
	printf("%d %d %d %lc %lc\n", !!iswalpha(L'ж'), !!iswupper(L'Ж'), !!iswdigit(L'٣'), towupper(L'ж'), towlower(L'Σ'));
	printf("%d %d\n", !!iswctype(L'x', wctype("xdigit")), !!iswctype(L'f', wctype("xdigit")));
	printf("%ld %g\n", wcstol(L"-0x1f", 0, 16), wcstod(L"1e-3", 0));
	printf("%d %ls %ls\n", wcscmp(L"a", L"б") < 0, wcsstr(L"hello", L"ll"), wcsrchr(L"hello", L'l'));
	wchar_t tok[] = L"a b c", *sv;
	for (wchar_t *p = wcstok(tok, L" ", &sv); p; p = wcstok(0, L" ", &sv))
		printf("<%ls>", p);
	printf("\n");
	fflush(stdout);
	FILE *f = fopen("w.txt", "w");
	fwprintf(f, L"строка %d\n", 1);
	fputwc(L'€', f);
	printf("%d\n", fwide(f, 0) > 0);
	fclose(f);
	f = fopen("w.txt", "r");
	fgetws(out, 50, f);
	printf("%ls", out);
	printf("%x\n", (unsigned)fgetwc(f));
	printf("%d\n", fgetwc(f) == WEOF);
	fclose(f);
	return 0;
}
