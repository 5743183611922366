#include "t.h"
int main(void) {
	char b[100] = {0}; struct stat st, st2;
	put("f", "text");
	show(symlink("f", "s")); show(symlink("f", "s")); show(symlink("", "t")); show(readlink("s", b, 100)); puts(b);
	show(readlink("f", b, 100)); show(readlink("none", b, 100)); show(readlink("s", b, 0));
	cat("s");
	show(lstat("s", &st)); show(S_ISLNK(st.st_mode)); show(st.st_size); show(stat("s", &st)); show(S_ISREG(st.st_mode));
	show(link("f", "h")); show(link("f", "h")); show(link("none", "x")); stat("f", &st); stat("h", &st2); show(st.st_ino == st2.st_ino && st.st_dev == st2.st_dev); show(st.st_nlink);
	show(link(".", "dot"));
	show(link("s", "hs")); lstat("hs", &st); show(S_ISLNK(st.st_mode));
	show(linkat(AT_FDCWD, "s", AT_FDCWD, "hf", AT_SYMLINK_FOLLOW)); lstat("hf", &st); show(S_ISREG(st.st_mode));
	show(unlink("f")); cat("s"); cat("h");
	show(symlink("loop2", "loop1")); show(symlink("loop1", "loop2")); show(open("loop1", O_RDONLY)); show(stat("loop1", &st)); show(lstat("loop1", &st));
	show(open("s", O_RDONLY | O_NOFOLLOW)); show(open("s", O_CREAT | O_WRONLY, 0644)); cat("f");
	show(mkdir("d", 0755)); show(symlink("d", "sd")); show(open("sd/x", O_CREAT | O_RDWR, 0644)); show(access("d/x", F_OK));
	show(lstat("sd/", &st)); show(S_ISDIR(st.st_mode)); show(rmdir("sd")); show(unlink("sd/"));  show(unlink("sd")); show(rename("s", "s2")); show(lstat("s2", &st));
	show(symlink("../d/./../h", "d/up")); cat("d/up"); show(realpath("d/up", b) != 0); puts(strrchr(b, '/'));
	show(open("s2", O_PATH | O_NOFOLLOW)); int fd = open("h", O_PATH); show(read(fd, b, 1)); show(fstat(fd, &st)); show(st.st_size);
	return 0;
}
