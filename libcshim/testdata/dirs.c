#include "t.h"
static int cmp(const void *a, const void *b) { return strcmp(*(char **)a, *(char **)b); }
static void ls(DIR *d) {
	char *names[100]; int n = 0;
	struct dirent *e;
	while ((e = readdir(d))) {
		char *s; asprintf(&s, "%s%s", e->d_name, e->d_type == DT_DIR ? "/" : e->d_type == DT_LNK ? "@" : "");
		names[n++] = s;
	}
	qsort(names, n, sizeof *names, cmp);
	for (int i = 0; i < n; i++) printf(" %s", names[i]);
	puts("");
}
static int visit(const char *p, const struct stat *s, int t, struct FTW *f) { printf("%s %d %d\n", p, t, f->level); return 0; }
int main(void) {
	char b[PATH_MAX];
	show(mkdir("d", 0755)); show(mkdir("d", 0755)); show(mkdir("d/e/", 0700)); show(mkdir("x/y", 0700)); show(mkdir("", 0));
	put("d/one", "1"); put("d/two", "22"); symlink("one", "d/link");
	DIR *d = opendir("d"); ls(d); rewinddir(d); ls(d);
	rewinddir(d); readdir(d); readdir(d); long at = telldir(d);
	char *third = strdup(readdir(d)->d_name); readdir(d); seekdir(d, at);
	show(strcmp(third, readdir(d)->d_name));
	int fd = dirfd(d);
	show(openat(fd, "one", O_RDONLY)); show(openat(fd, "none", O_RDONLY)); show(openat(999, "one", O_RDONLY)); show(openat(0, "one", O_RDONLY));
	show(mkdirat(fd, "sub", 0755)); show(unlinkat(fd, "sub", 0)); show(unlinkat(fd, "sub", AT_REMOVEDIR));
	show(faccessat(fd, "two", R_OK, 0)); show(renameat(fd, "two", AT_FDCWD, "deux")); cat("deux");
	show(write(fd, b, 10));
	show(fchdir(fd)); show(access("one", F_OK)); show(chdir("..")); show(chdir("d/one")); show(chdir("none")); show(fchdir(0));
	closedir(d);
	show(rmdir("d")); show(unlink("d/e")); show(rmdir("d/one")); show(rmdir("d/e")); show(rmdir("d/e")); show(rmdir("."));  show(rmdir("d/.."));
	show(mkdir("a", 0755)); show(mkdir("a/b", 0755)); show(mkdir("a/b/c", 0755)); put("a/f", "");
	show(nftw("a", visit, 5, FTW_PHYS | FTW_DEPTH) );
	show(rename("a", "a/b/x")); show(rename("a", "z")); show(access("z/b/c", F_OK)); show(rename("z/f", "z/b")); show(rename("z/b", "z/f")); show(rename("none", "q"));
	mkdir("full", 0755); put("full/x", ""); mkdir("empty", 0755);
	show(rename("empty", "full")); show(rename("full", "empty")); show(access("empty/x", F_OK));
	// The working directory follows a rename.
	show(chdir("z/b")); show(rename("../b", "../bb")); show(access("c", F_OK)); show(chdir("..")); show(access("bb", F_OK));
	show(chdir("bb/c")); show(rmdir("../c")); shown(getcwd(b, sizeof b) ? 0 : -1); show(open("f", O_CREAT | O_RDWR, 0600)); show(chdir(".."));
	show(getcwd(b, 2) ? 0 : -1);
	char *cwd = getcwd(b, sizeof b); puts(cwd ? strrchr(cwd, '/') : "none");
	show(scandir(".", &(struct dirent **){0}, 0, alphasort));
	return 0;
}
