// Temporary files have names of their own, or none.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
int main(void)
{
	FILE *f = tmpfile();
	if (!f) {
		perror("tmpfile");
		return 1;
	}
	fputs("0123456789", f);
	rewind(f);
	char b[20] = "";
	fgets(b, 5, f);
	printf("%s\n", b);
	struct stat st;
	fstat(fileno(f), &st);
	printf("links %d, size %d\n", (int)st.st_nlink, (int)st.st_size);
	fclose(f);
	char t[11] = "file", before[11];
	memset(t + 4, 'X', 6);
	strcpy(before, t);
	int fd = mkstemp(t);
	printf("%d %d %d\n", fd >= 0, strncmp(t, "file", 4), strcmp(t, before) != 0);
	printf("%d\n", (int)write(fd, "abc", 3));
	close(fd);
	printf("%d\n", unlink(t));
	char d[10] = "dir";
	memset(d + 3, 'X', 6);
	printf("%d\n", mkdtemp(d) == d);
	stat(d, &st);
	printf("%d %o\n", S_ISDIR(st.st_mode), st.st_mode & 0777);
	printf("%d\n", rmdir(d));
	return 0;
}
