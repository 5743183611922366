// Descriptors: open modes, read and write, positions, vectors, dup, truncation, holes.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#define E(x) do { errno = 0; long r_ = (x); printf("%s = %ld%s%s\n", #x, r_, r_ < 0 ? " " : "", r_ < 0 ? strerror(errno) : ""); } while (0)
int main(void)
{
	char b[100];
	int fd, f2;
	struct stat st;
	E(open("none", O_RDONLY));
	fd = open("f", O_RDWR | O_CREAT | O_EXCL, 0640);
	E(open("f", O_RDWR | O_CREAT | O_EXCL, 0640) < 0 ? -1 : 0);
	E(write(fd, "0123456789", 10));
	E(lseek(fd, 2, SEEK_SET));
	memset(b, 0, sizeof b);
	E(read(fd, b, 3));
	printf("%s\n", b);
	E(lseek(fd, -1, SEEK_CUR));
	E(lseek(fd, 0, SEEK_END));
	E(lseek(fd, -100, SEEK_CUR));
	E(read(fd, b, 10));
	E(pwrite(fd, "AB", 2, 5));
	memset(b, 0, sizeof b);
	E(pread(fd, b, 100, 3));
	printf("%s\n", b);
	f2 = dup(fd);
	E(lseek(f2, 0, SEEK_SET));
	E(lseek(fd, 0, SEEK_CUR));
	E(dup2(fd, 50));
	E(close(f2));
	E(close(f2));
	E(write(50, "zz", 2));
	struct iovec v[3] = {{"one", 3}, {"", 0}, {"three", 5}};
	E(writev(50, v, 3));
	E(lseek(fd, 0, SEEK_SET));
	char x[4] = "", y[20] = "";
	struct iovec w[2] = {{x, 3}, {y, 19}};
	E(readv(fd, w, 2));
	printf("%s|%s\n", x, y);
	E(ftruncate(fd, 5));
	E(fstat(fd, &st));
	printf("%ld %o\n", (long)st.st_size, st.st_mode);
	E(ftruncate(fd, 8));
	E(pread(fd, b, 10, 0));
	printf("%d\n", memcmp(b + 5, "\0\0\0", 3));
	E(lseek(fd, 10000, SEEK_SET));
	E(write(fd, "end", 3));
	E(fstat(fd, &st));
	printf("%ld\n", (long)st.st_size);
	E(truncate("f", 3));
	E(close(fd));
	fd = open("f", O_WRONLY | O_APPEND);
	E(lseek(fd, 0, SEEK_SET));
	E(write(fd, "+app", 4));
	E(read(fd, b, 1));
	E(fsync(fd));
	E(fcntl(fd, F_GETFL) & (O_APPEND | O_ACCMODE));
	E(fcntl(fd, F_GETFD));
	E(fcntl(fd, F_SETFD, FD_CLOEXEC));
	E(fcntl(fd, F_GETFD));
	E(fcntl(fd, F_DUPFD, 30));
	close(fd);
	fd = open("f", O_RDONLY | O_TRUNC | O_CREAT);
	fd = open("f", O_RDONLY);
	E(write(fd, "x", 1));
	E(read(fd, (char *)16, 10));
	E(read(99, b, 1));
	E(lseek(fd, 0, 99));
	E(open("f/x", O_RDONLY));
	E(open(".", O_RDWR));
	E(read(open(".", O_RDONLY), b, 10));
	E(open("", O_RDONLY));
	E(open((char *)3, O_RDONLY));
	memset(b, 'n', sizeof b);
	static char longname[5000];
	memset(longname, 'n', 4999);
	E(open(longname, O_RDONLY));
	longname[300] = 0;
	E(open(longname, O_RDONLY));
	E(posix_fallocate(open("g", O_RDWR | O_CREAT, 0600), 0, 1000));
	E(stat("g", &st));
	printf("%ld\n", (long)st.st_size);
	E(isatty(0) && 0);
	return 0;
}
