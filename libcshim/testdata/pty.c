/* Pseudo terminals. */
#include "t.h"
#include <pty.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <sys/wait.h>

static void say(const char *what, long v)
{
	printf("%s: %ld%s%s\n", what, v, v < 0 ? " " : "", v < 0 ? strerror(errno) : "");
}

static int events(int fd, int want)
{
	struct pollfd p = { fd, want };
	poll(&p, 1, 0);
	return p.revents;
}

static void visible(const char *b, long n)
{
	for (long i = 0; i < n; i++)
		if (b[i] >= ' ' && b[i] < 0x7f)
			putchar(b[i]);
		else
			printf("<%02x>", (unsigned char)b[i]);
}

/* What can be read now, read by read, with the characters that can't be seen. */
static void show_input(const char *what, int fd)
{
	char b[200];
	printf("%s:", what);
	while (events(fd, POLLIN) & (POLLIN | POLLHUP)) {
		long n = read(fd, b, sizeof b);
		if (n < 0) {
			printf(" %s", strerror(errno));
			break;
		}
		printf(" \"");
		visible(b, n);
		putchar('"');
		if (n == 0)
			break;
	}
	printf("\n");
}

/* What a terminal has written. The kernel's hand it over piece by piece. */
static void show_output(const char *what, int m)
{
	char b[200];
	struct pollfd p = { m, POLLIN };
	printf("%s: \"", what);
	while (poll(&p, 1, 60) > 0) {
		long n = read(m, b, sizeof b);
		if (n <= 0)
			break;
		visible(b, n);
	}
	printf("\"\n");
}

static void type(int m, const char *text)
{
	write(m, text, strlen(text));
	usleep(60000); /* the kernel's terminals pass things on in their own time */
}

static volatile int got;
static void handler(int s) { got = s; }

static void set(int fd, int lflag, int on)
{
	struct termios t;
	tcgetattr(fd, &t);
	t.c_lflag = on ? t.c_lflag | lflag : t.c_lflag & ~lflag;
	tcsetattr(fd, TCSANOW, &t);
}

int main(void)
{
	int m, s, status;
	char b[100], name[100];
	struct termios t;
	struct winsize w = { 25, 80, 1, 2 };
	struct stat st, st2;

	say("openpty", openpty(&m, &s, 0, 0, &w));
	printf("%d %d\n", isatty(m), isatty(s));
	strcpy(name, ttyname(s));
	printf("%d %d\n", !strncmp(name, "/dev/pts/", 9), !strcmp(name, ptsname(m)));
	fstat(s, &st), stat(name, &st2);
	printf("%o %d %d %d\n", st.st_mode & S_IFMT, st.st_rdev == st2.st_rdev, st.st_ino == st2.st_ino, major(st.st_rdev));
	tcgetattr(s, &t);
	printf("%x %x %x %x\n", t.c_iflag, t.c_oflag, t.c_lflag, t.c_cflag & CSIZE);
	for (int i = 0; i < 17; i++)
		printf(" %d", t.c_cc[i]);
	memset(&w, 0, sizeof w);
	ioctl(m, TIOCGWINSZ, &w);
	printf("\n%d %d\n", w.ws_row, w.ws_col);

	/* Lines. */
	printf("%x %x\n", events(m, POLLIN | POLLOUT), events(s, POLLIN | POLLOUT));
	type(m, "hel");
	printf("%x\n", events(s, POLLIN));
	type(m, "p\177lo\rnext\n");
	show_output("echo", m);
	say("read", read(s, b, 3));
	show_input("lines", s);
	type(m, "abc def  \027x\nall of it\025y\n\002\n");
	show_output("echo", m);
	show_input("lines", s);
	type(m, "no end\004more\n\004");
	show_output("echo", m);
	show_input("lines", s);
	write(s, "one\ntwo\n", 8);
	show_output("output", m);
	set(s, ECHO, 0);
	type(m, "secret\n");
	show_output("echo", m);
	show_input("lines", s);
	t.c_oflag &= ~OPOST, t.c_iflag &= ~ICRNL;
	tcsetattr(s, TCSANOW, &t);
	write(s, "raw\n", 4);
	type(m, "x\ry\n");
	show_output("output", m);
	show_input("lines", s);
	cfmakeraw(&t);
	tcsetattr(s, TCSANOW, &t);
	type(m, "a\003\177\r");
	show_input("raw", s);
	show_output("echo", m);
	t.c_cc[VMIN] = 0;
	tcsetattr(s, TCSANOW, &t);
	say("nothing", read(s, b, 1));
	type(m, "lost");
	tcflush(s, TCIFLUSH);
	printf("%x\n", events(s, POLLIN));
	say("seek", lseek(s, 0, SEEK_SET));
	say("terminal of nobody", tcgetpgrp(s));
	close(s);
	printf("%x\n", events(m, POLLIN));
	say("read", read(m, b, 1));
	say("open again", (s = open(name, O_RDWR | O_NOCTTY)) >= 0);
	close(m);
	printf("%x\n", events(s, POLLIN));
	say("read", read(s, b, 1));
	say("write", write(s, "x", 1));
	close(s);

	/* A session on it. */
	fflush(stdout);
	int c = forkpty(&m, 0, 0, 0);
	if (c == 0) {
		char line[100];
		signal(SIGINT, handler);
		signal(SIGWINCH, handler);
		printf("%d %d %d\n", getsid(0) == getpid(), tcgetpgrp(0) == getpgrp(), tcgetsid(0) == getsid(0));
		int tty = open("/dev/tty", O_RDWR);
		write(tty, "by name\n", 8);
		close(tty);
		printf("ready\n");
		fflush(stdout);
		while (!got)
			usleep(1000);
		int first = got;
		got = 0; /* before the other side can send the next */
		printf("signal %d\n", first);
		fflush(stdout);
		while (!got)
			usleep(1000);
		ioctl(0, TIOCGWINSZ, &w);
		printf("signal %d, %d lines\n", got, w.ws_row);
		fflush(stdout);
		fgets(line, sizeof line, stdin);
		printf("line %s", line);
		fflush(stdout);
		signal(SIGHUP, SIG_DFL);
		for (;;)
			pause();
	}
	static char all[1000];
	int n = 0, typed = 0;
	while (!strstr(all, "line hello\r\n")) {
		long k = read(m, all + n, sizeof all - 1 - n);
		if (k <= 0)
			break;
		n += k;
		if (typed == 0 && strstr(all, "ready"))
			typed++, write(m, "\003", 1);
		if (typed == 1 && strstr(all, "signal 2"))
			typed++, w.ws_row = 50, ioctl(m, TIOCSWINSZ, &w);
		if (typed == 2 && strstr(all, "50 lines"))
			typed++, write(m, "hello\n", 6);
	}
	for (char *p = all; *p; p++)
		if (*p != '\r')
			putchar(*p);
	close(m); /* it hangs up */
	waitpid(c, &status, 0);
	printf("signaled %d %d\n", WIFSIGNALED(status), WTERMSIG(status));
	say("no such terminal", open("/dev/pts/9999", O_RDWR));
	return 0;
}
