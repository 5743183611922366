// Full, line and no buffering decide when text leaves the program.
#include <stdio.h>
#include <unistd.h>
static void mark(const char *s) { write(1, s, 1); }
int main(void)
{
	static char buf[64];
	setvbuf(stdout, buf, _IOFBF, sizeof buf);
	printf("full");
	mark("1");
	fflush(stdout);
	mark("2");
	for (int i = 0; i < 30; i++)
		printf("%d,", i);
	mark("3");
	printf("\n");
	fflush(stdout);
	FILE *f = fdopen(dup(1), "w");
	setvbuf(f, 0, _IOLBF, 1024);
	fprintf(f, "line");
	mark("4");
	fprintf(f, " end\npart");
	mark("5");
	fclose(f);
	mark("6");
	f = fdopen(dup(1), "w");
	setvbuf(f, 0, _IONBF, 0);
	fprintf(f, "none");
	mark("7");
	fputc('\n', f);
	fclose(f);
	fprintf(stderr, "stderr is not buffered");
	write(2, "!\n", 2);
	return 0;
}
