// Pipes: order, end of file, broken pipe, non-blocking, poll and select.
// cc: -pthread
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>
static int p[2];
static void *writer(void *a)
{
	for (int i = 0; i < 1000; i++) {
		char b[300];
		memset(b, i, sizeof b);
		write(p[1], b, sizeof b);
	}
	close(p[1]);
	return 0;
}
static void *late(void *a)
{
	usleep(20000);
	write(p[1], "x", 1);
	return 0;
}
int main(void)
{
	pthread_t t;
	pipe(p);
	pthread_create(&t, 0, writer, 0);
	long n = 0, sum = 0;
	unsigned char b[1000];
	int r;
	while ((r = read(p[0], b, sizeof b)) > 0) {
		for (int i = 0; i < r; i++)
			sum = (sum * 31 + b[i]) % 1000003;
		n += r;
	}
	pthread_join(t, 0);
	printf("%ld %ld %d\n", n, sum, r);
	close(p[0]);
	pipe2(p, O_NONBLOCK | O_CLOEXEC);
	r = read(p[0], b, 1);
	printf("%d %d\n", r, errno == EAGAIN);
	struct pollfd f[2] = {{p[0], POLLIN}, {p[1], POLLOUT}};
	r = poll(f, 2, 0);
	printf("%d %x %x\n", r, f[0].revents, f[1].revents);
	write(p[1], "ab", 2);
	r = poll(f, 1, 1000);
	printf("%d %x\n", r, f[0].revents);
	read(p[0], b, 10);
	r = poll(f, 1, 10);
	printf("%d\n", r);
	pthread_create(&t, 0, late, 0);
	fd_set s;
	FD_ZERO(&s);
	FD_SET(p[0], &s);
	struct timeval tv = {5, 0};
	r = select(p[0] + 1, &s, 0, 0, &tv);
	printf("%d %d\n", r, FD_ISSET(p[0], &s) != 0);
	pthread_join(t, 0);
	long filled = 0;
	while ((r = write(p[1], b, 1000)) > 0)
		filled += r;
	printf("full %d %d\n", filled > 4000, errno == EAGAIN);
	close(p[1]);
	f[0].events = POLLIN;
	poll(f, 1, 0);
	printf("%d\n", (f[0].revents & POLLHUP) != 0);
	close(p[0]);
	pipe(p);
	signal(SIGPIPE, SIG_IGN);
	close(p[0]);
	r = write(p[1], "x", 1);
	printf("%d %d\n", r, errno == EPIPE);
	signal(SIGPIPE, SIG_DFL);
	fflush(stdout);
	write(p[1], "x", 1);
	printf("not reached\n");
	return 0;
}
