// Files can be opened in all modes, sought, pushed back and truncated by reopening.
#include <errno.h>
#include <stdio.h>
#include <string.h>
static void show(const char *name)
{
	FILE *f = fopen(name, "r");
	int c;
	printf("%s: ", name);
	while ((c = fgetc(f)) != EOF)
		putchar(c == '\n' ? '$' : c);
	printf("\n");
	fclose(f);
}
int main(void)
{
	FILE *f = fopen("absent", "r");
	printf("%d %s\n", f == 0, strerror(errno));
	f = fopen("a.txt", "w");
	for (int i = 0; i < 10; i++)
		fprintf(f, "line %d\n", i);
	printf("at %ld\n", ftell(f));
	fclose(f);
	f = fopen("a.txt", "r+");
	fseek(f, 14, SEEK_SET);
	fputs("LINE", f);
	fseek(f, -7, SEEK_END);
	printf("%ld\n", ftell(f));
	char b[100];
	fgets(b, sizeof b, f);
	printf("%s", b);
	printf("read behind the end: %d\n", fgetc(f));
	printf("eof: %d\n", feof(f) != 0);
	rewind(f);
	printf("eof: %d\n", feof(f));
	printf("%c\n", fgetc(f));
	ungetc('X', f);
	putchar(fgetc(f));
	putchar(fgetc(f));
	putchar('\n');
	fpos_t p;
	fgetpos(f, &p);
	fread(b, 1, 10, f);
	fsetpos(f, &p);
	memset(b, 0, sizeof b);
	size_t items = fread(b, 3, 4, f);
	printf("%zu %s|\n", items, b);
	printf("%d\n", fseek(f, -1, SEEK_SET));
	fclose(f);
	show("a.txt");
	f = fopen("a.txt", "a+");
	fputs("appended\n", f);
	fseek(f, 0, SEEK_SET);
	fgets(b, sizeof b, f);
	printf("%s", b);
	fputs("again\n", f);
	fclose(f);
	show("a.txt");
	f = fopen("a.txt", "w+");
	fwrite("abcdef", 2, 3, f);
	fseek(f, 100, SEEK_SET);
	fputc('z', f);
	fclose(f);
	f = fopen("a.txt", "rb");
	printf("%zu items of 1\n", fread(b, 1, sizeof b, f));
	printf("%c %d\n", b[0], b[50]);
	f = freopen("a.txt", "w", f);
	fputs("reopened", f);
	fclose(f);
	show("a.txt");
	f = fopen("x.txt", "wx");
	printf("exclusive: %d\n", f != 0);
	fclose(f);
	f = fopen("x.txt", "wx");
	printf("again: %d %s\n", f != 0, strerror(errno));
	f = fopen("a.txt", "r");
	printf("write to a reader: %d\n", fputc('a', f));
	printf("error: %d\n", ferror(f) != 0);
	clearerr(f);
	printf("%d\n", ferror(f));
	fclose(f);
	return 0;
}
