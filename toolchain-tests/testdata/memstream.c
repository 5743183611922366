// Streams on memory, and lines of any length.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
int main(void)
{
	char *p = 0;
	size_t n = 0;
	FILE *f = open_memstream(&p, &n);
	for (int i = 0; i < 1000; i++)
		fprintf(f, "%d ", i);
	fflush(f);
	printf("%zu %.20s\n", n, p);
	fseek(f, 2, SEEK_SET);
	fputs("XX", f);
	fclose(f);
	printf("%zu %.20s\n", n, p);
	free(p);
	char buf[32] = "first\nsecond line\n\nlast";
	f = fmemopen(buf, strlen(buf), "r");
	char *line = 0;
	size_t cap = 0;
	ssize_t r;
	while ((r = getline(&line, &cap, f)) >= 0)
		printf("%zd [%.*s]\n", r, (int)strcspn(line, "\n"), line);
	printf("%d\n", feof(f) != 0);
	fclose(f);
	f = fmemopen(buf, sizeof buf, "r+");
	r = getdelim(&line, &cap, 'o', f);
	printf("%zd %s|\n", r, r > 8 ? line + 6 : line);
	fclose(f);
	free(line);
	f = fmemopen(0, 100, "w+");
	fprintf(f, "own memory");
	rewind(f);
	fgets(buf, sizeof buf, f);
	puts(buf);
	fclose(f);
	return 0;
}
