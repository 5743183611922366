/* Descriptors that go through Unix sockets. */
#include "t.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

union control {
	struct cmsghdr align;
	char bytes[900];
};

static void say(const char *what, long v)
{
	printf("%s: %ld%s%s\n", what, v, v < 0 ? " " : "", v < 0 ? strerror(errno) : "");
}

static long pass(int s, const char *text, int n, const int *fds)
{
	union control c;
	struct iovec v = { (void *)text, strlen(text) };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = c.bytes, .msg_controllen = CMSG_SPACE(n * sizeof(int)) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	memset(&c, 0, sizeof c);
	h->cmsg_level = SOL_SOCKET, h->cmsg_type = SCM_RIGHTS, h->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(h), fds, n * sizeof(int));
	return sendmsg(s, &m, MSG_NOSIGNAL);
}

/* Receives and prints; the descriptors are put into fds. */
static int take(int s, size_t room, size_t control, int flags, int *fds)
{
	union control c;
	char text[100] = "";
	struct iovec v = { text, room };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control ? c.bytes : 0, .msg_controllen = control };
	int got = 0;
	memset(&c, 0x55, sizeof c);
	long n = recvmsg(s, &m, flags);
	if (n < 0) {
		say("recvmsg", n);
		return 0;
	}
	printf("%ld \"%.*s\" control %d%s%s:", n, (int)n, text, (int)m.msg_controllen,
	       m.msg_flags & MSG_CTRUNC ? " cut" : "", m.msg_flags & MSG_TRUNC ? " short" : "");
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
		int k = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		printf(" level %d type %d with %d", h->cmsg_level, h->cmsg_type, k);
		if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS) {
			memcpy(fds + got, CMSG_DATA(h), k * sizeof(int));
			got += k;
		}
	}
	printf("\n");
	return got;
}

/* What nobody has any more is closed: the other end of the pipe tells. */
static const char *end_of(int r)
{
	struct pollfd p = { r, POLLIN };
	poll(&p, 1, 0);
	return p.revents & POLLHUP ? "closed" : "open";
}

int main(void)
{
	int s[2], d[2], p[2], q[2], fds[300];
	char b[100];
	for (int kind = 0; kind < 2; kind++) {
		socketpair(AF_UNIX, kind ? SOCK_DGRAM : SOCK_STREAM, 0, s);

		/* To another process, which writes to what it gets. */
		pipe(p);
		fflush(stdout);
		if (fork() == 0) {
			close(p[0]), close(p[1]), close(s[0]);
			int n = take(s[1], 50, sizeof(union control), 0, fds);
			fflush(stdout);
			write(fds[0], "from afar", 9);
			_exit(n);
		}
		pass(s[0], "one", 1, &p[1]);
		close(p[1]);
		say("read", read(p[0], b, sizeof b));
		int status;
		wait(&status);
		say("received", WEXITSTATUS(status));
		say("the end", read(p[0], b, sizeof b));

		/* Flags, offsets and close-on-exec. */
		int fd = open("rights", O_RDWR | O_CREAT | O_TRUNC, 0600);
		write(fd, "0123456789", 10);
		lseek(fd, 4, SEEK_SET);
		pass(s[0], "file", 1, &fd);
		close(fd);
		take(s[1], 50, sizeof(union control), MSG_CMSG_CLOEXEC, fds);
		b[1] = 0;
		read(fds[0], b, 1);
		printf("at %s, close-on-exec %d\n", b, fcntl(fds[0], F_GETFD));
		pass(s[0], "again", 1, fds);
		take(s[1], 50, sizeof(union control), 0, fds + 1);
		lseek(fds[0], 7, SEEK_SET);
		read(fds[1], b, 1);
		printf("at %s, close-on-exec %d\n", b, fcntl(fds[1], F_GETFD));
		close(fds[0]), close(fds[1]);

		/* What comes with descriptors, and what does not. */
		int three[3] = { 0, 1, 2 };
		write(s[0], "before", 6);
		pass(s[0], "with", 3, three);
		write(s[0], "after", 5);
		int n = 0;
		for (int left = 15; left > 0;) {
			n = take(s[1], kind ? 50 : 3, sizeof(union control), 0, fds);
			while (n > 0)
				close(fds[--n]);
			left -= kind ? 5 : 3;
		}

		/* Room for some, for a part of one, for none; and no wish at all. */
		for (int i = 0; i < 5; i++) {
			static const size_t room[] = { CMSG_SPACE(8), CMSG_LEN(4), CMSG_LEN(0), 8, 0 };
			pipe(p), pipe(q);
			int four[4] = { p[1], p[1], q[1], q[1] };
			pass(s[0], "x", 4, four);
			close(p[1]), close(q[1]);
			n = take(s[1], 50, room[i], 0, fds);
			printf("%d, %s %s\n", n, end_of(p[0]), end_of(q[0]));
			while (n > 0)
				close(fds[--n]);
			printf("%s %s\n", end_of(p[0]), end_of(q[0]));
			close(p[0]), close(q[0]);
		}
		pipe(p);
		pass(s[0], "read", 1, &p[1]);
		close(p[1]);
		printf("%s\n", end_of(p[0]));
		say("read", read(s[1], b, sizeof b));
		printf("%s\n", end_of(p[0]));
		close(p[0]);

		/* One number is left. */
		struct rlimit old, l;
		getrlimit(RLIMIT_NOFILE, &old);
		pass(s[0], "many", 3, three);
		l = old, l.rlim_cur = 100;
		setrlimit(RLIMIT_NOFILE, &l);
		static int filler[1 << 16];
		int k = 0;
		while (k < 1 << 16 && (filler[k] = dup(0)) >= 0)
			k++;
		close(filler[--k]);
		n = take(s[1], 50, sizeof(union control), 0, fds);
		setrlimit(RLIMIT_NOFILE, &old);
		while (n > 0)
			close(fds[--n]);
		while (k > 0)
			close(filler[--k]);

		/* Mistakes. */
		int bad[2] = { 0, 999 };
		say("no such descriptor", pass(s[0], "x", 2, bad));
		union control c;
		struct iovec v = { "y", 1 };
		struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = c.bytes, .msg_controllen = CMSG_SPACE(4) };
		struct cmsghdr *h = CMSG_FIRSTHDR(&m);
		static const size_t lens[] = { 0, 15, 16, 17, 25, 1000, (size_t)-1 };
		for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
			memset(&c, 0, sizeof c);
			h->cmsg_level = SOL_SOCKET, h->cmsg_type = SCM_RIGHTS, h->cmsg_len = lens[i];
			say("length", sendmsg(s[0], &m, 0));
		}
		h->cmsg_type = 77, h->cmsg_len = CMSG_LEN(4);
		say("type", sendmsg(s[0], &m, 0));
		h->cmsg_level = 77;
		say("level", sendmsg(s[0], &m, 0));
		m.msg_control = (void *)8;
		say("address", syscall(SYS_sendmsg, s[0], &m, 0));
		close(s[0]);
		if (!kind) {
			pipe(p);
			say("nobody there", pass(s[1], "x", 1, &p[1]));
			close(p[1]);
			printf("%s\n", end_of(p[0]));
			close(p[0]);
		}

		/* Closed with descriptors inside, also in each other. */
		socketpair(AF_UNIX, kind ? SOCK_DGRAM : SOCK_STREAM, 0, s);
		socketpair(AF_UNIX, kind ? SOCK_DGRAM : SOCK_STREAM, 0, d);
		pipe(p);
		pass(s[0], "in", 1, &p[1]);
		pass(d[0], "in", 1, &s[1]);
		close(p[1]), close(s[0]), close(s[1]);
		printf("%s\n", end_of(p[0]));
		close(d[0]), close(d[1]);
		printf("%s\n", end_of(p[0]));
		close(p[0]);
	}
	return 0;
}
