// Standard input is read to its end, by line and by block.
// stdin: "first line\nsecond line\n\nlast without newline"
#include <stdio.h>
#include <unistd.h>
int main(void)
{
	char b[100];
	fgets(b, sizeof b, stdin);
	printf("line: %s", b);
	int c, n = 0;
	while ((c = getchar()) != EOF) {
		putchar(c);
		n++;
	}
	printf("\n%d %d %d\n", n, feof(stdin) != 0, (int)read(0, b, 10));
	return 0;
}
