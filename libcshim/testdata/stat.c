#include "t.h"
#include <sys/sysmacros.h>
static void times_(const char *n) { struct stat s; stat(n, &s); printf("%s %lld.%09ld %lld.%09ld\n", n, (long long)s.st_atim.tv_sec, s.st_atim.tv_nsec, (long long)s.st_mtim.tv_sec, s.st_mtim.tv_nsec); }
int main(void) {
	struct stat st;
	put("f", "0123456789");
	show(stat("f", &st)); printf("%o %lld %d %d\n", st.st_mode, (long long)st.st_size, (int)st.st_nlink, st.st_uid == getuid());
	show(st.st_blksize >= 512); show(st.st_mtime > 1700000000);
	show(stat(".", &st)); printf("%o\n", st.st_mode & S_IFMT);
	show(stat("/dev/null", &st)); printf("%o %d %d\n", st.st_mode, major(st.st_rdev), minor(st.st_rdev));
	show(chmod("f", 0)); stat("f", &st); printf("%o\n", st.st_mode); show(chmod("f", 0755)); stat("f", &st); printf("%o\n", st.st_mode); show(chmod("none", 0)); 
	int fd = open("f", O_RDONLY); show(fchmod(fd, 0600)); show(fstat(fd, &st)); printf("%o\n", st.st_mode); show(fstat(99, &st));
	show(fchmodat(AT_FDCWD, "f", 0644, 0)); stat("f", &st); printf("%o\n", st.st_mode);
	struct timespec ts[2] = {{1000, 5}, {2000, 6}};
	show(utimensat(AT_FDCWD, "f", ts, 0)); times_("f");
	ts[0].tv_nsec = UTIME_OMIT; ts[1].tv_sec = 3000; show(futimens(fd, ts)); times_("f");
	ts[0].tv_nsec = 1000000000; show(futimens(fd, ts));
	struct timeval tv[2] = {{7, 8}, {9, 10}}; show(utimes("f", tv)); times_("f");
	struct utimbuf u = {11, 12}; show(utime("f", &u)); times_("f");
	show(utime("f", 0)); stat("f", &st); show(st.st_mtime > 1700000000);
	show(chown("f", -1, -1)); show(chown("f", getuid(), getgid())); show(fchown(fd, getuid(), -1)); show(chown("none", 1, 1));
	symlink("f", "s"); ts[0] = (struct timespec){1, 0}; ts[1] = (struct timespec){2, 0}; show(utimensat(AT_FDCWD, "s", ts, AT_SYMLINK_NOFOLLOW)); lstat("s", &st); show(st.st_mtime); stat("s", &st); show(st.st_mtime > 100);
	struct statvfs v; show(statvfs(".", &v)); show(v.f_namemax); show(v.f_bsize > 0); show(statvfs("none", &v)); show(fstatvfs(fd, &v));
	show(fstatat(AT_FDCWD, "", &st, AT_EMPTY_PATH)); show(fstatat(fd, "", &st, AT_EMPTY_PATH)); show(st.st_size); show(fstatat(fd, "x", &st, 0)); show(fstatat(AT_FDCWD, "f", &st, 0x8000000));
	show(stat("f", (void *)8)); show(mkfifo("f", 0600));
	return 0;
}
