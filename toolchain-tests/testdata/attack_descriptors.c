// Attack: descriptors that were passed on. Directories and paths give no more than they gave before, and what could not be received is not left open.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int lowest(void)
{
	int fd = dup(0);
	close(fd);
	return fd;
}

/* pass sends n descriptors, the first one n times; take receives as many as there is room for. */
static int pass(int s, int fd, int n)
{
	_Alignas(struct cmsghdr) char c[CMSG_SPACE(300 * sizeof(int))];
	struct iovec v = { "x", 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = CMSG_SPACE(n * sizeof(int)) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	h->cmsg_level = SOL_SOCKET, h->cmsg_type = SCM_RIGHTS, h->cmsg_len = CMSG_LEN(n * sizeof(int));
	for (int i = 0; i < n; i++) memcpy(CMSG_DATA(h) + i * sizeof fd, &fd, sizeof fd);
	return sendmsg(s, &m, 0);
}

static int take(int s, int room, void *data)
{
	_Alignas(struct cmsghdr) char c[CMSG_SPACE(300 * sizeof(int))];
	struct iovec v = { data, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = room ? CMSG_SPACE(room * sizeof(int)) : 0 };
	int fd = -1;
	if (recvmsg(s, &m, MSG_DONTWAIT) < 0) return -2;
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	if (h && h->cmsg_type == SCM_RIGHTS) memcpy(&fd, CMSG_DATA(h), sizeof fd);
	return fd;
}

int main(void)
{
	int s[2];
	char b[1];
	socketpair(AF_UNIX, SOCK_STREAM, 0, s);
	mkdir("inner", 0700);
	close(open("inner/file", O_WRONLY | O_CREAT, 0600));

	/* A directory: what lies in it can be opened; above the root there is the root. */
	int d = open("inner", O_RDONLY | O_DIRECTORY);
	pass(s[0], d, 1);
	close(d);
	d = take(s[1], 1, b);
	int f = openat(d, "file", O_RDONLY);
	printf("in the directory %d\n", f >= 0);
	struct stat root, up;
	stat("/", &root);
	fstatat(d, "../../../../../../../../../../../../../..", &up, 0);
	printf("above everything is the root %d\n", root.st_ino == up.st_ino && root.st_dev == up.st_dev);
	printf("not writable %d\n", write(d, "x", 1) < 0 && write(f, "x", 1) < 0);
	close(f);

	/* A path without access stays one. */
	int p = open("inner/file", O_PATH);
	pass(s[0], p, 1);
	close(p);
	p = take(s[1], 1, b);
	printf("path only %d %d\n", read(p, b, 1) < 0 && errno == EBADF, write(p, "x", 1) < 0 && errno == EBADF);
	close(p);
	close(d);

	/* What is not received, or not all, or into no memory, leaves nothing open. */
	int before = lowest();
	pass(s[0], 0, 1);
	take(s[1], 0, b);
	pass(s[0], 0, 100);
	close(take(s[1], 1, b));
	pass(s[0], 0, 1);
	printf("bad memory %d\n", take(s[1], 1, (void *)8) == -2);
	f = take(s[1], 1, b); /* Linux keeps the message, the sandbox does not */
	if (f >= 0) close(f);
	printf("nothing left open %d\n", lowest() == before);
	printf("too many %d\n", pass(s[0], 0, 254) < 0);

	/* Sockets that carry themselves, and are closed on the way. */
	for (int i = 0; i < 20; i++) {
		int c[2];
		socketpair(AF_UNIX, SOCK_STREAM, 0, c);
		pass(c[0], c[1], 1);
		pass(c[1], c[0], 1);
		close(c[0]);
		close(c[1]);
	}
	printf("circles are closed %d\n", lowest() == before);
	unlink("inner/file");
	rmdir("inner");
	return 0;
}
