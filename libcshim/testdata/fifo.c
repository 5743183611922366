/* Named pipes. */
#include "t.h"
#include <sys/time.h>
#include <sys/wait.h>

static void say(const char *what, long v)
{
	printf("%s: %ld%s%s\n", what, v, v < 0 ? " " : "", v < 0 ? strerror(errno) : "");
}

static void *opener(void *flags)
{
	return (void *)(long)open("fifo", (int)(long)flags);
}

static void late(int s) { (void)s; }

static int events(int fd, int want)
{
	struct pollfd p = { fd, want };
	poll(&p, 1, 0);
	return p.revents;
}

int main(void)
{
	struct stat st;
	char b[100];
	int r, w, status;
	void *v;
	pthread_t t;

	umask(022);
	say("mkfifo", mkfifo("fifo", 0666));
	say("again", mkfifo("fifo", 0666));
	say("in a directory that is not there", mkfifo("none/fifo", 0666));
	say("mknod of a file", mknod("file", S_IFREG | 0640, 0));
	say("mkfifoat", mkfifoat(AT_FDCWD, "other", 0600));
	stat("fifo", &st);
	printf("%o %ld %d\n", st.st_mode, (long)st.st_size, (int)st.st_nlink);
	stat("file", &st);
	printf("%o\n", st.st_mode);

	/* Both sides, each waiting for the other. */
	for (int first = 0; first < 2; first++) {
		pthread_create(&t, 0, opener, (void *)(long)(first ? O_WRONLY : O_RDONLY));
		usleep(20000);
		int mine = open("fifo", first ? O_RDONLY : O_WRONLY);
		pthread_join(t, &v);
		r = first ? mine : (int)(long)v, w = first ? (int)(long)v : mine;
		fstat(r, &st);
		printf("%d %d %o\n", r >= 0, w >= 0, st.st_mode);
		say("write", write(w, "hello", 5));
		say("read", read(r, b, sizeof b));
		say("read the writer", read(w, b, 1));
		say("write the reader", write(r, b, 1));
		say("seek", lseek(r, 0, SEEK_SET));
		say("truncate", ftruncate(w, 0));
		close(w);
		say("the end", read(r, b, sizeof b));
		printf("%x\n", events(r, POLLIN));
		close(r);
	}

	/* Without waiting. */
	say("no reader", open("fifo", O_WRONLY | O_NONBLOCK));
	r = open("fifo", O_RDONLY | O_NONBLOCK);
	say("no writer", read(r, b, 1));
	printf("%x\n", events(r, POLLIN));
	w = open("fifo", O_WRONLY | O_NONBLOCK);
	say("nothing", read(r, b, 1));
	printf("%x %x\n", events(r, POLLIN), events(w, POLLOUT));
	write(w, "left", 4);
	printf("%x\n", events(r, POLLIN));
	int w2 = open("fifo", O_WRONLY);
	close(w);
	printf("%x\n", events(r, POLLIN));
	close(w2);
	printf("%x\n", events(r, POLLIN));
	say("what was left", read(r, b, sizeof b));
	w = open("fifo", O_WRONLY | O_TRUNC);
	close(r);
	signal(SIGPIPE, SIG_IGN);
	say("nobody reads", write(w, "x", 1));
	close(w);
	r = open("fifo", O_RDWR);
	write(r, "self", 4);
	say("to itself", read(r, b, sizeof b));
	write(r, "gone", 4);
	close(r);
	r = open("fifo", O_RDONLY | O_NONBLOCK);
	say("what nobody had open is gone", read(r, b, sizeof b));
	close(r);

	/* Between processes; the name goes while it is open. */
	fflush(stdout);
	if (fork() == 0) {
		w = open("fifo", O_WRONLY);
		for (int i = 0; i < 1000; i++)
			write(w, "0123456789", 10);
		_exit(0);
	}
	r = open("fifo", O_RDONLY);
	unlink("fifo");
	long n, all = 0;
	while ((n = read(r, b, sizeof b)) > 0)
		all += n;
	wait(&status);
	say("all", all);
	say("gone", open("fifo", O_RDONLY | O_NONBLOCK));
	w = open("fifo", O_RDWR | O_CREAT, 0600);
	fstat(w, &st);
	printf("%o\n", st.st_mode);
	close(r), close(w);

	/* Under another name, and a second one. */
	rename("other", "renamed");
	link("renamed", "linked");
	stat("linked", &st);
	printf("%o %d\n", st.st_mode, (int)st.st_nlink);
	unlink("renamed");
	stat("linked", &st);
	printf("%o\n", st.st_mode);

	/* A signal ends the wait. */
	struct sigaction sa = { .sa_handler = late };
	sigaction(SIGALRM, &sa, 0);
	setitimer(ITIMER_REAL, &(struct itimerval){ { 0, 200000 }, { 0, 200000 } }, 0); /* again and again: one may come too early */
	say("open", open("linked", O_RDONLY));
	say("nobody is left", open("linked", O_WRONLY | O_NONBLOCK));
	return 0;
}
