// What a sandbox cannot have fails with an error number and nothing else.
// native: skip
// stdout: "fork 1, exec 1, popen 1, socket 1\n"
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void)
{
	pid_t p = fork();
	if (p == 0)
		_exit(1);
	printf("fork %d, ", p == -1);
	char *a[] = {"/bin/sh", 0};
	printf("exec %d, ", execv("/bin/sh", a) == -1);
	printf("popen %d, ", popen("ls", "r") == 0);
	printf("socket %d\n", socket(AF_INET, SOCK_STREAM, 0) == -1);
	return 0;
}
