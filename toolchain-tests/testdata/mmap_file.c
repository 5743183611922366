// File mappings: private copies, shared writes, offsets, beyond the end, unlinked files.
#define _GNU_SOURCE
#include "check.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
int main(void)
{
	int fd = open("m", O_RDWR | O_CREAT | O_TRUNC, 0600);
	static char page[4096];
	for (int i = 0; i < 3; i++) {
		memset(page, 'a' + i, sizeof page);
		write(fd, page, i == 2 ? 100 : 4096);
	}
	char *p = mmap(0, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(p != MAP_FAILED && p[0] == 'a' && p[4096] == 'b' && p[8192 + 99] == 'c' && p[8192 + 100] == 0);
	p[0] = 'X';
	char c;
	pread(fd, &c, 1, 0);
	CHECK(c == 'a');
	char *s = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4096);
	CHECK(s != MAP_FAILED && s[0] == 'b');
	s[5] = 'S';
	pread(fd, &c, 1, 4101);
	CHECK(c == 'S');
	pwrite(fd, "W", 1, 4102);
	CHECK(s[6] == 'W');
	char *s2 = mmap(0, 8192, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(s2[4096 + 5] == 'S');
	CHECK(msync(s, 4096, MS_SYNC) == 0);
	CHECK(mmap(0, 4096, PROT_READ, MAP_PRIVATE, fd, 100) == MAP_FAILED && errno == EINVAL);
	int ro = open("m", O_RDONLY);
	CHECK(mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ro, 0) == MAP_FAILED && errno == EACCES);
	CHECK(mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, ro, 0) != MAP_FAILED);
	close(fd);
	unlink("m");
	CHECK(s[6] == 'W' && p[4096 + 7] == 'b');
	CHECK(munmap(p, 3 * 4096) == 0 && munmap(s, 4096) == 0);
	printf("%d failures\n", failures);
	return failures != 0;
}
