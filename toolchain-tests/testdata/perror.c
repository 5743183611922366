// Error numbers have names and are per call.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(void)
{
	for (int i = 0; i < 134; i++)
		printf("%d %s\n", i, strerror(i));
	errno = 0;
	printf("%d %d\n", close(77), errno);
	printf("%d %d\n", open("no/such", O_RDONLY), errno);
	errno = ENOSPC;
	perror("prefix");
	errno = EAGAIN;
	perror(0);
	printf("%m\n");
	char b[64];
	printf("%d %s\n", strerror_r(EPERM, b, sizeof b), b);
	printf("%d\n", strerror_r(EPERM, b, 4) == ERANGE);
	return 0;
}
