// Names: mkdir, rename, link, symlink, unlink, readdir, cwd, stat, access, chmod, times.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
#define E(x) do { errno = 0; long r_ = (x); printf("%s = %ld%s%s\n", #x, r_, r_ < 0 ? " " : "", r_ < 0 ? strerror(errno) : ""); } while (0)
static int mk(const char *n) { int fd = open(n, O_CREAT | O_WRONLY, 0644); write(fd, n, strlen(n)); return close(fd); }
static void list(const char *d)
{
	struct dirent **e;
	int n = scandir(d, &e, 0, alphasort);
	printf("%s:", d);
	for (int i = 0; i < n; i++) {
		printf(" %s%s", e[i]->d_name, e[i]->d_type == DT_DIR ? "/" : e[i]->d_type == DT_LNK ? "@" : "");
		free(e[i]);
	}
	printf("\n");
	free(e);
}
static int visited;
static int visit(const char *p, const struct stat *st, int flag, struct FTW *f)
{
	visited += flag * 10 + f->level;
	return flag == FTW_DP ? rmdir(p) : unlink(p);
}
int main(void)
{
	struct stat st, s2;
	char b[200];
	umask(022);
	E(mkdir("d", 0755));
	E(mkdir("d", 0755));
	E(mkdir("x/y", 0755));
	E(mk("d/a"));
	E(mk("d/b"));
	E(rename("d/a", "d/c"));
	E(rename("d/none", "d/e"));
	E(rename("d/c", "d/b"));
	list("d");
	E(link("d/b", "d/hard"));
	E(stat("d/b", &st));
	E(stat("d/hard", &s2));
	printf("%d %d\n", (int)st.st_nlink, st.st_ino == s2.st_ino);
	E(symlink("b", "d/soft"));
	E(symlink("nowhere", "d/broken"));
	E(readlink("d/soft", b, sizeof b));
	E(readlink("d/b", b, sizeof b));
	E(lstat("d/soft", &st));
	printf("%d %ld\n", S_ISLNK(st.st_mode), (long)st.st_size);
	E(stat("d/soft", &st));
	printf("%d\n", S_ISREG(st.st_mode));
	E(stat("d/broken", &st));
	E(open("d/soft", O_RDONLY | O_NOFOLLOW));
	E(symlink("loop", "loop"));
	E(open("loop", O_RDONLY));
	list("d");
	E(rmdir("d"));
	E(unlink("d"));
	E(unlink("d/none"));
	E(unlink("d/hard"));
	E(access("d/b", R_OK | W_OK));
	E(access("d/none", F_OK));
	E(chmod("d/b", 0600));
	E(stat("d/b", &st));
	printf("%o\n", st.st_mode & 0777);
	struct timespec ts[2] = {{1000000000, 0}, {1100000000, 500}};
	E(utimensat(AT_FDCWD, "d/b", ts, 0));
	E(stat("d/b", &st));
	printf("%ld %ld\n", (long)st.st_atime, (long)st.st_mtime);
	char *home = getcwd(0, 0);
	E(chdir("d"));
	char *sub = getcwd(0, 0);
	printf("%d %s\n", strncmp(home, sub, strlen(home)), strrchr(sub, '/'));
	E(access("b", F_OK));
	E(access("../d/b", F_OK));
	int dir = open(".", O_RDONLY | O_DIRECTORY);
	E(chdir(".."));
	E(faccessat(dir, "b", F_OK, 0));
	E(mkdirat(dir, "sub", 0700));
	E(fchdir(dir));
	E(chdir("sub"));
	E(chdir("../.."));
	E(chdir("d/b"));
	E(chdir("none"));
	printf("%d\n", strcmp(getcwd(b, sizeof b), home));
	errno = 0;
	printf("%d %d\n", getcwd(b, 2) == 0, errno == ERANGE);
	char *rp = realpath("d/../d/./soft", 0);
	printf("%d\n", rp && strcmp(rp + strlen(home), "/d/b") == 0);
	DIR *dp = opendir("d");
	int n = 0;
	struct dirent *e;
	while ((e = readdir(dp)))
		n++;
	rewinddir(dp);
	int m = 0;
	while ((e = readdir(dp)))
		m++;
	printf("%d %d\n", n, m);
	closedir(dp);
	printf("%d %d\n", opendir("none") == 0, errno == ENOENT);
	E(mkdir("many", 0700));
	for (int i = 0; i < 300; i++) {
		sprintf(b, "many/a-rather-long-file-name-%d", i);
		mk(b);
	}
	dp = opendir("many");
	for (n = 0; (e = readdir(dp)); n++)
		;
	closedir(dp);
	printf("%d\n", n);
	E(nftw("many", visit, 10, FTW_DEPTH | FTW_PHYS));
	printf("%d\n", visited);
	E(rename("d", "moved"));
	list("moved");
	list(".");
	return 0;
}
