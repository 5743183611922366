// glob finds names in directories.
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
int main(void)
{
	const char *n[] = {"b.c", "a.c", "x.h", ".hidden.c", "d/e.c"};
	mkdir("d", 0700);
	for (int i = 0; i < 5; i++)
		close(open(n[i], O_CREAT | O_WRONLY, 0600));
	const char *p[] = {"*.c", "*/*.c", "?.h", "[ab].?", "none*", "{x}"};
	for (int i = 0; i < 6; i++) {
		glob_t g;
		int r = glob(p[i], i == 4 ? 0 : GLOB_MARK, 0, &g);
		printf("%s: %d", p[i], r);
		for (size_t k = 0; r == 0 && k < g.gl_pathc; k++)
			printf(" %s", g.gl_pathv[k]);
		printf("\n");
		if (r == 0)
			globfree(&g);
	}
	return 0;
}
