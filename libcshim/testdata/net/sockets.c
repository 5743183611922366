#include "../t.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static int family;

// local is the loopback address with a port.
static socklen_t local(struct sockaddr_storage *s, int port) {
	memset(s, 0, sizeof *s);
	if (family == AF_INET) {
		struct sockaddr_in *a = (void *)s;
		a->sin_family = AF_INET, a->sin_port = htons(port), a->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return sizeof *a;
	}
	struct sockaddr_in6 *a = (void *)s;
	a->sin6_family = AF_INET6, a->sin6_port = htons(port), a->sin6_addr = in6addr_loopback;
	return sizeof *a;
}

static int port_of(int fd) {
	struct sockaddr_storage s;
	socklen_t l = sizeof s;
	if (getsockname(fd, (void *)&s, &l)) return -1;
	return ntohs(family == AF_INET ? ((struct sockaddr_in *)&s)->sin_port : ((struct sockaddr_in6 *)&s)->sin6_port);
}

// ancillary is what datagrams say of themselves.
static void ancillary(void) {
	int v6 = family == AF_INET6, level = v6 ? IPPROTO_IPV6 : IPPROTO_IP, on = 1;
	int fd = socket(family, SOCK_DGRAM, 0), c = socket(family, SOCK_DGRAM, 0);
	struct sockaddr_storage s;
	socklen_t l = local(&s, 0);
	bind(fd, (void *)&s, l);
	l = local(&s, port_of(fd));
	show(setsockopt(fd, level, v6 ? IPV6_RECVHOPLIMIT : IP_RECVTTL, &on, sizeof on));
	show(setsockopt(fd, level, v6 ? IPV6_RECVTCLASS : IP_RECVTOS, &on, sizeof on));
	union { struct cmsghdr h; char b[CMSG_SPACE(sizeof(int))]; } u = {{CMSG_LEN(sizeof(int)), 0, level, v6 ? IPV6_HOPLIMIT : IP_TTL}};
	memcpy(CMSG_DATA(&u.h), &(int){33}, sizeof(int));
	struct iovec iv = {"hello", 5};
	struct msghdr m = {.msg_name = &s, .msg_namelen = l, .msg_iov = &iv, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = sizeof u};
	for (int i = 0; i < 5; i++) show(sendmsg(c, &m, 0));
	u.h.cmsg_len = 3;
	show(sendmsg(c, &m, 0));
	static const size_t rooms[] = {200, CMSG_SPACE(sizeof(int)), CMSG_LEN(1), 8, 0};
	for (int i = 0; i < 5; i++) {
		char b[10], ctl[200];
		iv = (struct iovec){b, sizeof b};
		m = (struct msghdr){.msg_iov = &iv, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = rooms[i]};
		show(recvmsg(fd, &m, 0)); show(m.msg_flags); show(m.msg_controllen);
		for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h))
			printf("%d %d %d %d\n", h->cmsg_level, h->cmsg_type, (int)h->cmsg_len, h->cmsg_len > CMSG_LEN(0) ? *CMSG_DATA(h) : -1);
	}
	// No bytes at all, but ancillary data.
	u.h.cmsg_len = CMSG_LEN(sizeof(int));
	m = (struct msghdr){.msg_name = &s, .msg_namelen = l, .msg_control = &u, .msg_controllen = sizeof u};
	show(sendmsg(c, &m, 0));
	char b[10]; show(recv(fd, b, sizeof b, 0));
	close(fd); close(c);
}

static void *server(void *arg) {
	int fd = *(int *)arg;
	char b[70000];
	struct sockaddr_storage s;
	socklen_t l = sizeof s;
	int c = accept4(fd, (void *)&s, &l, SOCK_CLOEXEC);
	long total = 0, n;
	while ((n = recv(c, b, sizeof b, 0)) > 0) total += n;
	snprintf(b, sizeof b, "got %ld, family %d", total, s.ss_family == family);
	send(c, b, strlen(b), 0);
	close(c);
	return 0;
}

static void on_signal(int n) {}

static void stream(void) {
	struct sockaddr_storage s;
	socklen_t l = local(&s, 0);
	int fd = socket(family, SOCK_STREAM, 0), on = 1, v;
	show(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
	show(bind(fd, (void *)&s, l));
	show(listen(fd, 5));
	show(port_of(fd) > 0);
	l = sizeof v;
	show(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &v, &l)); show(v); show(l);
	show(fcntl(fd, F_SETFL, O_NONBLOCK)); show(accept(fd, 0, 0)); show(fcntl(fd, F_SETFL, 0));
	pthread_t t;
	pthread_create(&t, 0, server, &fd);
	int c = socket(family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	l = local(&s, port_of(fd));
	show(send(c, "x", 1, MSG_NOSIGNAL));
	show(connect(c, (void *)&s, l)); show(connect(c, (void *)&s, l));
	show(setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
	struct linger lg = {1, 7};
	show(setsockopt(c, SOL_SOCKET, SO_LINGER, &lg, sizeof lg));
	lg = (struct linger){0}; l = sizeof lg;
	show(getsockopt(c, SOL_SOCKET, SO_LINGER, &lg, &l)); show(lg.l_onoff); show(lg.l_linger); show(l);
	static char big[1 << 20];
	show(send(c, big, sizeof big, 0));
	struct iovec iv[2] = {{"abc", 3}, {"defg", 4}};
	show(writev(c, iv, 2));
	struct msghdr m = {.msg_iov = iv, .msg_iovlen = 2};
	show(sendmsg(c, &m, 0));
	show(shutdown(c, SHUT_WR)); show(shutdown(c, 9));
	char b[100];
	struct pollfd p = {c, POLLIN};
	show(poll(&p, 1, 10000)); show(p.revents & POLLIN);
	struct msghdr none = {0};
	show(recvmsg(c, &none, 0)); show(recv(c, b, 0, 0)); // takes nothing
	char room[100];
	none = (struct msghdr){.msg_control = room, .msg_controllen = sizeof room};
	show(recvmsg(c, &none, 0)); show(none.msg_controllen);
	show(recv(c, b, 3, MSG_PEEK));
	long n = recv(c, b, sizeof b, MSG_WAITALL);
	printf("%.*s\n", (int)n, b);
	show(recv(c, b, 10, 0)); show(recv(c, b, 10, MSG_DONTWAIT));
	pthread_join(t, 0);
	signal(SIGPIPE, SIG_IGN);
	send(c, "x", 1, 0); usleep(20000); show(send(c, "x", 1, 0) < 1);
	close(c); close(fd);

	// Nobody listens.
	fd = socket(family, SOCK_STREAM, 0); l = local(&s, 0); bind(fd, (void *)&s, l);
	c = socket(family, SOCK_STREAM, 0); l = local(&s, port_of(fd));
	show(connect(c, (void *)&s, l));
	close(c);
	c = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	show(connect(c, (void *)&s, l));
	p = (struct pollfd){c, POLLOUT}; show(poll(&p, 1, 10000));
	l = sizeof v; show(getsockopt(c, SOL_SOCKET, SO_ERROR, &v, &l)); puts(strerror(v));
	close(c); close(fd);

	// A signal cuts an accept short.
	fd = socket(family, SOCK_STREAM, 0); l = local(&s, 0); bind(fd, (void *)&s, l); listen(fd, 1);
	struct sigaction sa = {.sa_handler = on_signal};
	sigaction(SIGALRM, &sa, 0);
	ualarm(50000, 0);
	show(accept(fd, 0, 0));
	int e = epoll_create1(0);
	struct epoll_event ev = {EPOLLIN};
	show(epoll_ctl(e, EPOLL_CTL_ADD, fd, &ev)); show(epoll_wait(e, &ev, 1, 0));
	close(e); close(fd);
}

static void datagram(void) {
	struct sockaddr_storage s, from;
	socklen_t l = local(&s, 0), fl = sizeof from;
	int a = socket(family, SOCK_DGRAM, 0), c = socket(family, SOCK_DGRAM, 0);
	show(bind(a, (void *)&s, l)); show(bind(c, (void *)&s, l));
	l = local(&s, port_of(a));
	show(sendto(c, "datagram", 8, 0, (void *)&s, l)); show(sendto(c, "", 0, 0, (void *)&s, l));
	char b[100] = {0};
	show(recvfrom(a, b, 4, MSG_TRUNC, (void *)&from, &fl)); puts(b); show(fl);
	show(ntohs(((struct sockaddr_in *)&from)->sin_port) == port_of(c));
	show(recv(a, b, 100, 0)); show(recv(a, b, 100, MSG_DONTWAIT));
	show(send(c, "x", 1, 0)); show(connect(c, (void *)&s, l)); show(send(c, "xyz", 3, 0));
	struct iovec iv = {b, 2};
	struct msghdr m = {.msg_iov = &iv, .msg_iovlen = 1, .msg_name = &from, .msg_namelen = sizeof from};
	show(recvmsg(a, &m, 0)); show(m.msg_flags & MSG_TRUNC); show(m.msg_namelen);
	l = sizeof s; show(getpeername(c, (void *)&s, &l)); show(l); show(getpeername(a, (void *)&s, &l));
	struct pollfd p = {a, POLLIN | POLLOUT}; show(poll(&p, 1, 0)); show(p.revents);
	close(a); close(c);
}

static void wrong(void) {
	struct sockaddr_storage s;
	socklen_t l = local(&s, 1);
	int fd = socket(family, SOCK_STREAM, 0);
	show(bind(fd, (void *)&s, 2)); show(bind(fd, (void *)8, l)); show(bind(0, (void *)&s, l)); show(bind(99, (void *)&s, l));
	show(accept(fd, 0, 0)); show(getsockopt(fd, SOL_SOCKET, SO_TYPE, (void *)8, &l)); show(send(fd, (void *)8, 10, 0) < 0);
	show(socket(family, SOCK_STREAM, IPPROTO_UDP)); show(socket(family, SOCK_DGRAM, IPPROTO_TCP));
	close(fd);
}

int main(void) {
	setvbuf(stdout, 0, _IONBF, 0);
	int families[] = {AF_INET, AF_INET6};
	for (int i = 0; i < 2; i++) {
		family = families[i];
		stream();
		datagram();
		wrong();
		ancillary();
	}
	return 0;
}
