#include "t.h"
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static socklen_t named(struct sockaddr_un *a, const char *name) {
	memset(a, 0, sizeof *a);
	a->sun_family = AF_UNIX;
	if (name[0] == '@') { // abstract
		strcpy(a->sun_path + 1, name + 1);
		return offsetof(struct sockaddr_un, sun_path) + strlen(name);
	}
	strcpy(a->sun_path, name);
	return sizeof *a;
}

static void print_name(int fd, int (*get)(int, struct sockaddr *, socklen_t *)) {
	struct sockaddr_un a = {0};
	socklen_t l = sizeof a;
	show(get(fd, (void *)&a, &l));
	printf("%d %d %s\n", (int)l, a.sun_family, a.sun_path[0] ? a.sun_path : a.sun_path + 1);
}

static void *client(void *name) {
	struct sockaddr_un a;
	int c = socket(AF_UNIX, SOCK_STREAM, 0);
	socklen_t l = named(&a, name);
	while (connect(c, (void *)&a, l)) usleep(1000);
	write(c, "from the client", 15);
	char b[20];
	long n = read(c, b, sizeof b);
	close(c);
	return (void *)n;
}

// autobound is a socket that asks for any name.
static void autobound(void) {
	struct sockaddr_un a = {AF_UNIX}, b = {0};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0), g = socket(AF_UNIX, SOCK_DGRAM, 0);
	show(bind(fd, (void *)&a, sizeof a.sun_family)); show(bind(g, (void *)&a, sizeof a.sun_family));
	socklen_t l = sizeof a, m = sizeof b;
	getsockname(fd, (void *)&a, &l); getsockname(g, (void *)&b, &m);
	show(l); show(a.sun_path[0]); show(strspn(a.sun_path + 1, "0123456789abcdef")); show(memcmp(&a, &b, l) != 0);
	show(sendto(g, "hi", 2, 0, (void *)&a, l));
	char c[10]; struct sockaddr_un from; m = sizeof from;
	show(recvfrom(fd, c, sizeof c, 0, (void *)&from, &m)); show(memcmp(&from, &b, m));
	show(bind(fd, (void *)&a, sizeof a.sun_family));
	close(fd); close(g);
}

static void stream(const char *name) {
	struct sockaddr_un a;
	socklen_t l = named(&a, name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), v;
	struct pollfd p = {fd, POLLIN | POLLOUT};
	show(listen(fd, 1)); show(poll(&p, 1, 0)); show(p.revents);
	show(bind(fd, (void *)&a, l)); show(bind(fd, (void *)&a, l));
	int g = socket(AF_UNIX, SOCK_STREAM, 0);
	show(bind(g, (void *)&a, l)); show(connect(g, (void *)&a, l)); show(send(g, "x", 1, MSG_NOSIGNAL));
	show(listen(fd, 5)); l = sizeof v; show(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &v, &l)); show(v);
	print_name(fd, getsockname); print_name(g, getsockname); show(getpeername(g, (void *)&a, &l));
	fcntl(fd, F_SETFL, O_NONBLOCK); show(accept(fd, 0, 0)); fcntl(fd, F_SETFL, 0);
	pthread_t t;
	pthread_create(&t, 0, client, (void *)name);
	struct sockaddr_un from = {0};
	l = sizeof from;
	int c = accept4(fd, (void *)&from, &l, SOCK_CLOEXEC);
	show(c >= 0); show(from.sun_family); show(l);
	char b[100] = {0};
	show(read(c, b, sizeof b)); puts(b);
	print_name(c, getsockname); show(send(c, "back", 4, 0)); show(read(c, b, 1));
	void *r; pthread_join(t, &r); show((long)r);
	l = named(&a, name);
	show(connect(g, (void *)&a, l)); show(connect(g, (void *)&a, l)); print_name(g, getpeername);
	show(write(g, "early", 5)); p = (struct pollfd){fd, POLLIN}; show(poll(&p, 1, 1000)); show(p.revents);
	close(c); c = accept(fd, 0, 0); show(read(c, b, 5)); show(shutdown(g, SHUT_WR)); show(read(c, b, 5));
	if (name[0] != '@') {
		struct stat st;
		show(stat(name, &st)); show(S_ISSOCK(st.st_mode)); show(unlink(name)); show(stat(name, &st));
		show(connect(g, (void *)&a, l) < 0);
	}
	close(c); close(g); close(fd);
	if (name[0] != '@') {
		// The node outlives its socket.
		fd = socket(AF_UNIX, SOCK_STREAM, 0); show(bind(fd, (void *)&a, l)); close(fd);
		struct stat st;
		show(stat(name, &st)); show(S_ISSOCK(st.st_mode)); fd = socket(AF_UNIX, SOCK_STREAM, 0);
		show(bind(fd, (void *)&a, l)); show(unlink(name)); show(bind(fd, (void *)&a, l)); close(fd); unlink(name);
	}
	g = socket(AF_UNIX, SOCK_STREAM, 0);
	show(connect(g, (void *)&a, l) < 0);
	close(g);
}

static void datagram(void) {
	struct sockaddr_un a, from;
	int s = socket(AF_UNIX, SOCK_DGRAM, 0), c = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0), p[2];
	socklen_t l = named(&a, "dgram-s");
	show(bind(s, (void *)&a, l));
	show(sendto(c, "one", 3, 0, (void *)&a, l));
	char b[100] = {0};
	l = sizeof from; show(recvfrom(s, b, 2, MSG_TRUNC, (void *)&from, &l)); show(l); puts(b);
	l = named(&from, "dgram-c"); show(bind(c, (void *)&from, l));
	show(connect(c, (void *)&a, sizeof a)); show(write(c, "two", 3)); show(recv(c, b, 1, 0));
	l = sizeof from; show(recvfrom(s, b, 100, 0, (void *)&from, &l)); puts(from.sun_path);
	show(sendto(s, "back", 4, 0, (void *)&from, l)); show(read(c, b, 100)); print_name(c, getpeername);
	show(listen(s, 1)); show(unlink("dgram-s")); show(unlink("dgram-c")); close(s); show(write(c, "x", 1));
	close(c);
	show(socketpair(AF_UNIX, SOCK_DGRAM, 0, p)); show(write(p[0], "ab", 2)); show(write(p[0], "cd", 2)); show(read(p[1], b, 100)); show(recv(p[1], b, 100, MSG_PEEK)); show(recv(p[1], b, 100, 0));
	show(socket(AF_UNIX, 99, 0)); show(connect(p[0], (void *)8, 10));
}

int main(void) {
	autobound();
	setvbuf(stdout, 0, _IONBF, 0);
	signal(SIGPIPE, SIG_IGN);
	stream("sock");
	stream("@halite-test-x");
	datagram();
	return 0;
}
