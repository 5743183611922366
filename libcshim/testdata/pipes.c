#include "t.h"
static int got; static void h(int s) { got = s; }
static int p[2];
static void *writer(void *a) { usleep(20000); write(p[1], "late", 4); return 0; }
static void *sink(void *a) { long n = 0; char b[1000]; ssize_t k; while ((k = read(p[0], b, 1000)) > 0) n += k; return (void *)n; }
int main(void) {
	char b[70000]; int n; pthread_t t; void *r;
	show(pipe((int *)8)); show(pipe(p)); show(write(p[1], "abc", 3)); show(ioctl(p[0], FIONREAD, &n)); show(n); show(read(p[0], b, 100)); show(write(p[0], "x", 1)); show(read(p[1], b, 1)); show(lseek(p[0], 0, SEEK_SET)); show(pread(p[0], b, 1, 0));
	struct stat st; show(fstat(p[0], &st)); show(S_ISFIFO(st.st_mode));
	pthread_create(&t, 0, writer, 0); show(read(p[0], b, 100)); pthread_join(t, 0);
	pthread_create(&t, 0, writer, 0); struct pollfd f[3] = {{p[0], POLLIN}, {p[1], POLLOUT}, {99, POLLIN}};
	show(poll(f, 1, 0)); show(poll(f, 1, 1000)); show(f[0].revents); show(poll(f, 3, -1)); printf("%d %d %d\n", f[0].revents, f[1].revents, f[2].revents); read(p[0], b, 100); pthread_join(t, 0);
	double s = now(); show(poll(f, 1, 30)); show(now() - s >= 0.03); show(poll(0, 0, 1)); 
	fd_set rs, ws; FD_ZERO(&rs); FD_ZERO(&ws); FD_SET(p[0], &rs); FD_SET(p[1], &ws); struct timeval tv = {1, 0};
	show(select(p[1] + 1, &rs, &ws, 0, &tv)); show(FD_ISSET(p[0], &rs)); show(FD_ISSET(p[1], &ws) != 0);
	FD_ZERO(&rs); FD_SET(p[0], &rs); tv = (struct timeval){0, 1000}; show(select(p[1] + 1, &rs, 0, 0, &tv));
	/* The kernel overlooks what lies beyond the table of descriptors as it happens to be; that has 64 places at the least. */
	FD_ZERO(&rs); FD_SET(60, &rs); show(select(61, &rs, 0, 0, &tv));
	fcntl(p[0], F_SETFL, O_NONBLOCK); show(read(p[0], b, 1)); show(read(p[0], b, 0)); fcntl(p[0], F_SETFL, 0);
	fcntl(p[1], F_SETFL, O_NONBLOCK); memset(b, 7, sizeof b); show(write(p[1], b, sizeof b)); show(write(p[1], b, 1)); FD_ZERO(&ws); FD_SET(p[1], &ws); tv = (struct timeval){0, 0}; show(select(p[1] + 1, 0, &ws, 0, &tv)); fcntl(p[1], F_SETFL, 0);
	pthread_create(&t, 0, sink, 0); long sent = 0; for (int i = 0; i < 50; i++) sent += write(p[1], b, sizeof b); show(sent == 50 * sizeof b); close(p[1]); pthread_join(t, &r); show((long)r == sent + 65536);
	show(read(p[0], b, 1)); show(poll(f, 1, 0)); show(f[0].revents); close(p[0]);
	pipe2(p, O_CLOEXEC | O_NONBLOCK); show(fcntl(p[0], F_GETFD)); show(fcntl(p[1], F_GETFL) & O_NONBLOCK); close(p[0]); signal(SIGPIPE, h); show(write(p[1], "x", 1)); show(got == SIGPIPE); f[0].fd = p[1]; f[0].events = POLLOUT; show(poll(f, 1, 0)); show(f[0].revents); signal(SIGPIPE, SIG_IGN); show(write(p[1], "x", 1));
	int q[2]; pipe(q); show(dup2(q[1], p[1]) == p[1]); close(q[1]); write(p[1], "dup", 3); show(read(q[0], b, 9)); close(p[1]); show(read(q[0], b, 9));
	signal(SIGPIPE, SIG_DFL); fflush(stdout); close(q[0]); pipe(p); close(p[0]); write(p[1], "x", 1); puts("not reached"); return 0;
}
