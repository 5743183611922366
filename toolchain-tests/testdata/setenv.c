// The environment can be changed, and changes are seen through environ.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
extern char **environ;
int main(void)
{
	clearenv();
	printf("cleared: %d\n", environ == 0 || *environ == 0);
	setenv("A", "1", 0);
	setenv("A", "2", 0);
	printf("kept %s\n", getenv("A"));
	setenv("A", "3", 1);
	printf("replaced %s\n", getenv("A"));
	static char s[] = "B=put";
	putenv(s);
	s[2] = 'P';
	printf("putenv keeps the caller's string: %s\n", getenv("B"));
	for (int i = 0; i < 100; i++) {
		char n[16], v[16];
		sprintf(n, "N%d", i);
		sprintf(v, "%d", i * i);
		setenv(n, v, 1);
	}
	for (int i = 0; i < 100; i += 2) {
		char n[16];
		sprintf(n, "N%d", i);
		unsetenv(n);
	}
	int n = 0;
	for (char **e = environ; *e; e++)
		n++;
	printf("%d variables, N9=%s, N8 %s\n", n, getenv("N9"), getenv("N8") ? "there" : "gone");
	printf("bad names: %d %d\n", setenv("", "x", 1), setenv("a=b", "x", 1));
	return 0;
}
