/* What "halite run -i" gives: argv[1] is a kind, the descriptor is 10. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <nacl.h>

static char text[100];

static int put(int fd, const char *s)
{
	struct nacl_imc_iovec v = {NACL_POINTER(s), strlen(s)};
	struct nacl_imc_msghdr h = {.iov = NACL_POINTER(&v), .iov_length = 1};
	return nacl_imc_sendmsg(fd, &h, 0);
}

static int get(int fd)
{
	struct nacl_imc_iovec v = {NACL_POINTER(text), sizeof text - 1};
	struct nacl_imc_msghdr h = {.iov = NACL_POINTER(&v), .iov_length = 1};
	int n = nacl_imc_recvmsg(fd, &h, 0);
	if (n >= 0) text[n] = 0;
	return n;
}

int main(int argc, char **argv)
{
	const char *kind = argv[1];

	if (!strcmp(kind, "connect")) {
		struct nacl_imc_iovec q = {NACL_POINTER("question"), 8}, a = {NACL_POINTER(text), sizeof text - 1};
		struct nacl_imc_msghdr h = {.iov = NACL_POINTER(&q), .iov_length = 1}, r = {.iov = NACL_POINTER(&a), .iov_length = 1};
		if (nacl_imc_call(10, &h, &r) < 0) return 1;
	} else if (!strcmp(kind, "accept")) {
		int fd = nacl_imc_accept(10);
		if (fd < 0 || get(fd) < 0 || put(fd, "accepted") < 0) return 2;
	} else if (!strcmp(kind, "socket") || !strcmp(kind, "data")) {
		if (get(10) < 0 || put(10, "answer") < 0) return 3;
	} else if (!strcmp(kind, "file")) {
		int n = read(10, text, sizeof text - 1);
		if (n < 0 || write(10, "written", 7) != 7) return 4;
	} else if (!strcmp(kind, "memory")) {
		struct stat st;
		if (fstat(10, &st) || st.st_size != 0x20000) return 5;
		char *m = mmap(0, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, 10, 0);
		if (m == MAP_FAILED) return 6;
		if (ftruncate(10, 0) == 0) return 7;
		strncpy(text, m, sizeof text - 1);
		strcpy(m + 0x10000, "guest");
	} else if (!strcmp(kind, "read-only")) {
		char *m = mmap(0, 0x20000, PROT_READ, MAP_SHARED, 10, 0);
		if (m == MAP_FAILED || mmap(0, 0x20000, PROT_READ | PROT_WRITE, MAP_SHARED, 10, 0) != MAP_FAILED) return 8;
		strncpy(text, m, sizeof text - 1);
		if (mprotect(m, 0x20000, PROT_READ | PROT_EXEC) == 0) return 9;
		/* What may not be written becomes a copy, or stays as it is. */
		if (mprotect(m, 0x20000, PROT_READ | PROT_WRITE) == 0) memset(m, 'x', 0x20000);
	}
	printf("%s: %s\n", kind, text);
	return 0;
}
