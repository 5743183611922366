// Odds and ends of the C library: byte order, ids, uname, sysconf, limits, a64l, ffs.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/utsname.h>
#include <unistd.h>
int main(void)
{
	printf("%x %x %lx %d\n", htonl(0x12345678), htons(0x1234), (long)htobe64(0x0102030405060708), ffs(0x40));
	unsigned char b[16];
	char s[64];
	int ok = inet_pton(AF_INET6, "2001:db8::1:0:0:1", b);
	printf("%d %s\n", ok, inet_ntop(AF_INET6, b, s, sizeof s));
	printf("%d %d\n", inet_pton(AF_INET, "1.2.3.256", b), inet_pton(AF_INET, "1.2.3.4", b));
	printf("%ld %s\n", a64l("zz1"), l64a(123456));
	printf("%ld %ld\n", sysconf(_SC_PAGESIZE), sysconf(_SC_CLK_TCK));
	struct utsname u;
	printf("%d %s\n", uname(&u), u.machine);
	printf("%d %d\n", getpid() > 0, getpid() == getpid());
	static char src[] = "abcdefgh", dst[8];
	swab(src, dst, 8);
	printf("%.8s\n", dst);
	char *p = 0;
	int n = asprintf(&p, "%d-%s", 5, "five");
	printf("%d %s\n", n, p);
	printf("%lu\n", (unsigned long)strtoul("ff", 0, 16));
	printf("%d %d\n", system(0), getppid() >= 0);
	char *suffix, *opt = "ro,size=10", *val;
	char *const tok[] = {"rw", "ro", "size", 0};
	char buf[20];
	strcpy(buf, opt);
	suffix = buf;
	while (*suffix)
		printf("%d ", getsubopt(&suffix, tok, &val));
	printf("%s\n", val);
	return 0;
}
