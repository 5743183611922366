// Processes that a program starts are copies of its sandbox; what is not there can't be executed.
// native: skip
// stdout: "fork 7, exec 1, spawn 7, popen 127, system 1, socket 1\n"
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	int st;
	if (argc > 1) return 7;
	pid_t p = fork();
	if (p == 0) _exit(7);
	waitpid(p, &st, 0);
	printf("fork %d, ", WEXITSTATUS(st));
	char *a[] = {"ls", 0}, *self[] = {"self", "x", 0}, *env[] = {0};
	printf("exec %d, ", execv("/bin/ls", a) == -1);
	posix_spawn(&p, "/proc/self/exe", 0, 0, self, env);
	waitpid(p, &st, 0);
	printf("spawn %d, ", WEXITSTATUS(st));
	// With a shell or without one, there is no ls.
	fflush(stdout);
	FILE *f = popen("ls 2>/dev/null", "r");
	printf("popen %d, ", f ? WEXITSTATUS(pclose(f)) : 127);
	fflush(stdout);
	printf("system %d, ", system("ls 2>/dev/null") != 0); // -1 without a shell, which is musl's way
	printf("socket %d\n", socket(AF_INET, SOCK_STREAM, 0) == -1);
	return 0;
}
