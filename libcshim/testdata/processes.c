// Processes: what fork, exec, wait and their kin do, without numbers that differ
// from run to run.
#include "t.h"
#include <spawn.h>
#include <sys/wait.h>
#include <sys/file.h>

extern char **environ;
static volatile sig_atomic_t chlds, terms;
static siginfo_t last;
static void onchld(int s, siginfo_t *i, void *u) { chlds++; last = *i; }
static void onterm(int s) { terms++; }

static int status(pid_t c)
{
	int st = -1;
	while (waitpid(c, &st, 0) < 0 && errno == EINTR) ;
	return st;
}

static int exits(int code)
{
	pid_t c = fork();
	if (!c) _exit(code);
	return status(c);
}

static int dies(int sig)
{
	pid_t c = fork();
	if (!c) { signal(sig, SIG_DFL); raise(sig); _exit(1); }
	return status(c) & 0x7f; // a core file or not
}

// The program itself again, as a child: argv[1] says what to do.
static int again(int argc, char **argv)
{
	if (!strcmp(argv[1], "env")) { printf("env %s %s %d\n", getenv("A"), getenv("GREETING"), argc); return 3; }
	if (!strcmp(argv[1], "fds")) { for (int fd = 3; fd < 12; fd++) printf("%d", fcntl(fd, F_GETFD) >= 0); puts(""); return 0; }
	if (!strcmp(argv[1], "sig")) {
		struct sigaction a; sigset_t m;
		sigaction(SIGUSR1, 0, &a); printf("usr1 ignored %d\n", a.sa_handler == SIG_IGN);
		sigaction(SIGUSR2, 0, &a); printf("usr2 default %d\n", a.sa_handler == SIG_DFL);
		sigprocmask(0, 0, &m); printf("hup blocked %d\n", sigismember(&m, SIGHUP));
		sigpending(&m); printf("hup pending %d\n", sigismember(&m, SIGHUP));
		return 0;
	}
	if (!strcmp(argv[1], "cat")) { char b[64]; ssize_t n; while ((n = read(0, b, sizeof b)) > 0) write(1, b, n); return 0; }
	if (!strcmp(argv[1], "up")) { int c; while ((c = getchar()) != EOF) putchar(c >= 'a' && c <= 'z' ? c - 32 : c); return 0; }
	if (!strcmp(argv[1], "chain")) {
		int n = atoi(argv[2]); char b[16];
		if (!n) { puts("end of the chain"); return 7; }
		snprintf(b, sizeof b, "%d", n - 1);
		execl("/proc/self/exe", "chain", "chain", b, NULL);
		return 99;
	}
	return 98;
}

static void *sleeper(void *a) { for (;;) pause(); }
static void *execer(void *a) { execl("/proc/self/exe", "x", "env", NULL); return 0; }

int main(int argc, char **argv)
{
	int p[2], st;
	char b[64] = {0};
	pid_t c, d;
	siginfo_t si;
	if (strcmp(argv[1], "first")) { setvbuf(stdout, 0, _IOFBF, 4096); return again(argc, argv); }
	setvbuf(stdout, 0, _IONBF, 0);

	puts("== status");
	show(exits(0)); show(exits(7)); show(exits(255)); show(exits(256));
	show(dies(SIGKILL)); show(dies(SIGTERM)); show(dies(SIGSEGV)); show(dies(SIGABRT)); show(dies(SIGPIPE)); show(dies(34));
	show(wait(&st));
	show(waitpid(12345678, &st, 0)); show(waitpid(-12345678, &st, 0)); show(waitpid(-1, &st, 0x1000));
	c = fork(); if (!c) { volatile int *w = (int *)0x5000; *w = 1; } show(status(c) & 0x7f);

	puts("== memory is the child's own");
	int *heap = malloc(1 << 20), local = 1, *anon = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *none = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	strcpy(none, "kept"); mprotect(none, 8192, PROT_NONE);
	heap[1000] = 1; anon[0] = 1; int fd = open("shared", O_CREAT | O_RDWR | O_TRUNC, 0600); ftruncate(fd, 4096);
	int *file = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	c = fork();
	if (!c) {
		heap[1000]++; local++; anon[0]++; if (file != MAP_FAILED) file[0]++;
		mprotect(none, 8192, PROT_READ);
		_exit(heap[1000] * 16 + local + (strcmp(none, "kept") ? 100 : 0));
	}
	show(WEXITSTATUS(status(c))); show(heap[1000]); show(local); show(anon[0]); show(file == MAP_FAILED || file[0] == 1);

	puts("== who is who");
	pid_t me = getpid();
	c = fork();
	if (!c) _exit((getppid() == me) + 2 * (getpid() != me) + 4 * (getpgrp() == getpgid(me)) + 8 * (getsid(0) == getsid(me)) + 16 * (getpid() == syscall(SYS_gettid)));
	show(WEXITSTATUS(status(c)));
	c = fork();
	if (!c) { int r = setpgid(0, 0) == 0 && getpgrp() == getpid(); r += 2 * (setsid() < 0 && errno == EPERM); _exit(r); }
	show(WEXITSTATUS(status(c)));
	c = fork();
	if (!c) { pid_t s = setsid(); _exit((s == getpid()) + 2 * (getsid(0) == s) + 4 * (getpgrp() == s) + 8 * (setpgid(0, 0) < 0 && errno == EPERM)); }
	show(WEXITSTATUS(status(c)));
	show(setpgid(12345678, 0)); show(getpgid(12345678)); show(getsid(12345678)); show(setpgid(0, -1));

	puts("== pipes");
	pipe(p);
	c = fork();
	if (!c) { close(p[0]); write(p[1], "from the child", 14); _exit(0); }
	close(p[1]);
	show(read(p[0], b, sizeof b)); puts(b); show(read(p[0], b, sizeof b)); // the end: no writer is left
	show(status(c)); close(p[0]);
	pipe(p);
	c = fork();
	if (!c) { close(p[1]); char x; read(p[0], &x, 1); _exit(0); }
	close(p[0]); write(p[1], "x", 1); show(status(c));
	signal(SIGPIPE, SIG_IGN); show(write(p[1], "x", 1)); signal(SIGPIPE, SIG_DFL); close(p[1]);

	puts("== one position");
	fd = open("position", O_CREAT | O_RDWR | O_TRUNC, 0600);
	c = fork();
	if (!c) { write(fd, "child", 5); _exit(0); }
	show(status(c)); show(lseek(fd, 0, SEEK_CUR)); write(fd, "parent", 6); show(lseek(fd, 0, SEEK_END)); close(fd);

	puts("== SIGCHLD");
	struct sigaction a = {.sa_sigaction = onchld, .sa_flags = SA_SIGINFO | SA_RESTART};
	sigaction(SIGCHLD, &a, 0);
	c = fork(); if (!c) _exit(5);
	show(WEXITSTATUS(status(c))); show(chlds); show(last.si_pid == c); show(last.si_code == CLD_EXITED); show(last.si_status); show(last.si_uid == getuid());
	c = fork(); if (!c) { pause(); _exit(1); }
	show(kill(c, SIGTERM)); show(status(c)); show(chlds); show(last.si_code == CLD_KILLED); show(last.si_status);
	a.sa_flags = SA_NOCLDWAIT; a.sa_handler = SIG_DFL; sigaction(SIGCHLD, &a, 0);
	c = fork(); if (!c) _exit(5);
	show(waitpid(c, &st, 0)); // it waits, and then there is nobody
	a.sa_flags = 0; sigaction(SIGCHLD, &a, 0);

	puts("== waitid, WNOHANG, WNOWAIT");
	pipe(p);
	c = fork(); if (!c) { char x; close(p[1]); read(p[0], &x, 1); _exit(6); }
	show(waitpid(c, &st, WNOHANG)); memset(&si, 1, sizeof si); show(waitid(P_ALL, 0, &si, WEXITED | WNOHANG)); show(si.si_pid);
	close(p[0]); close(p[1]);
	show(waitid(P_PID, c, &si, WEXITED | WNOWAIT)); show(si.si_signo == SIGCHLD); show(si.si_status); show(si.si_pid == c);
	show(waitid(P_PID, c, &si, 0)); show(waitid(7, c, &si, WEXITED)); show(waitid(P_PID, c, &si, WEXITED)); show(waitid(P_PID, c, &si, WEXITED));

	puts("== kill");
	show(kill(12345678, 0)); show(kill(-12345678, 0)); show(kill(getpid(), 0)); show(kill(getpid(), 65));
	pipe(p);
	c = fork();
	if (!c) { // a group of three, of which all shall end
		setpgid(0, 0); signal(SIGTERM, SIG_DFL);
		for (int i = 0; i < 2; i++) if (!fork()) { write(p[1], "x", 1); pause(); _exit(0); }
		write(p[1], "x", 1); pause(); _exit(0);
	}
	close(p[1]); // the pipe ends with the last of them
	for (int i = 0; i < 3; i++) read(p[0], b, 1);
	show(kill(-c, SIGTERM)); show(read(p[0], b, 1)); show(status(c)); close(p[0]);
	signal(SIGTERM, onterm);
	c = fork(); if (!c) { kill(getppid(), SIGTERM); _exit(0); }
	show(status(c)); show(terms);

	puts("== exec");
	char *env[] = {"A=b", 0};
	c = fork(); if (!c) { execle("/proc/self/exe", "me", "env", "x", NULL, env); _exit(99); } show(status(c));
	c = fork(); if (!c) { execl("/proc/self/exe", "me", "chain", "5", NULL); _exit(99); } show(status(c));
	show(execl("/none", "x", NULL)); show(execl("/tmp", "x", NULL)); show(execl("", "x", NULL));
	fd = open("text", O_CREAT | O_WRONLY | O_TRUNC, 0600); write(fd, "no program\n", 11); close(fd);
	show(execl("./text", "x", NULL)); chmod("text", 0700); show(execl("./text", "x", NULL)); show(execl("./text/x", "x", NULL));
	fd = open("loop", O_CREAT | O_WRONLY | O_TRUNC, 0700); write(fd, "#! ./loop\n", 10); close(fd); show(execl("./loop", "x", NULL));
	fd = open("nobody", O_CREAT | O_WRONLY | O_TRUNC, 0700); write(fd, "#!/none x\n", 10); close(fd); show(execl("./nobody", "x", NULL));
	char *big = malloc(200 << 10); memset(big, 'x', 200 << 10); big[(200 << 10) - 1] = 0; show(execl("/proc/self/exe", "x", big, NULL));
	show(execve("/proc/self/exe", (char **)8, 0));
	c = fork();
	if (!c) { for (int i = 3; i < 12; i++) close(i); open("/dev/null", O_RDONLY); open("/dev/null", O_RDONLY | O_CLOEXEC); dup2(3, 8); dup3(3, 9, O_CLOEXEC); execl("/proc/self/exe", "x", "fds", NULL); _exit(99); }
	show(status(c));
	c = fork();
	if (!c) { sigset_t m; sigemptyset(&m); sigaddset(&m, SIGHUP); sigprocmask(SIG_BLOCK, &m, 0); raise(SIGHUP); signal(SIGUSR1, SIG_IGN); signal(SIGUSR2, onterm); execl("/proc/self/exe", "x", "sig", NULL); _exit(99); }
	show(status(c));
	c = fork(); // threads of the old program do not live on
	if (!c) { pthread_t t; setenv("A", "threads", 1); for (int i = 0; i < 3; i++) pthread_create(&t, 0, sleeper, 0); pthread_create(&t, 0, execer, 0); for (;;) pause(); }
	show(status(c));

	puts("== posix_spawn");
	posix_spawn_file_actions_t fa; posix_spawnattr_t at; sigset_t all; char *av[] = {"me", "cat", 0};
	pipe(p);
	posix_spawn_file_actions_init(&fa); posix_spawn_file_actions_addopen(&fa, 0, "position", O_RDONLY, 0); posix_spawn_file_actions_adddup2(&fa, p[1], 1); posix_spawn_file_actions_addclose(&fa, p[0]);
	posix_spawnattr_init(&at); sigfillset(&all); posix_spawnattr_setsigdefault(&at, &all); posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	show(posix_spawn(&c, "/proc/self/exe", &fa, &at, av, env)); close(p[1]); show(status(c)); memset(b, 0, sizeof b); show(read(p[0], b, sizeof b)); puts(b); close(p[0]);
	show(posix_spawn(&c, "/none", 0, 0, av, env)); show(posix_spawn(&c, "./text", 0, 0, av, env));

	puts("== a pipeline of three");
	int q[2]; pipe(p);
	if (!fork()) { dup2(p[1], 1); close(p[0]); close(p[1]); write(1, "through the pipes\n", 18); _exit(0); }
	close(p[1]); pipe(q);
	if (!fork()) { dup2(p[0], 0); dup2(q[1], 1); close(p[0]); close(q[0]); close(q[1]); execl("/proc/self/exe", "x", "up", NULL); _exit(99); }
	close(p[0]); close(q[1]);
	if (!(d = fork())) { dup2(q[0], 0); close(q[0]); execl("/proc/self/exe", "x", "cat", NULL); _exit(99); }
	close(q[0]); show(status(d)); show(wait(&st) > 0); show(wait(&st) > 0); show(wait(&st));

	puts("== locks");
	fd = open("lock", O_CREAT | O_RDWR, 0600); struct flock l = {F_WRLCK, SEEK_SET, 0, 10}; show(flock(fd, LOCK_EX));
	c = fork(); if (!c) { int other = open("lock", O_RDWR); _exit((flock(fd, LOCK_EX | LOCK_NB) == 0) + 2 * (flock(other, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)); }
	show(WEXITSTATUS(status(c))); show(flock(fd, LOCK_UN)); show(fcntl(fd, F_SETLK, &l));
	c = fork();
	if (!c) {
		struct flock m = {F_WRLCK, SEEK_SET, 5, 2}; int r = fcntl(fd, F_SETLK, &m) < 0 && (errno == EAGAIN || errno == EACCES);
		fcntl(fd, F_GETLK, &m); r += 2 * (m.l_type == F_WRLCK && m.l_start == 0 && m.l_len == 10 && m.l_pid == getppid());
		m = (struct flock){F_WRLCK, SEEK_SET, 10, 5}; r += 4 * (fcntl(fd, F_SETLK, &m) == 0);
		close(open("lock", O_RDONLY)); // and with it all locks of this process
		_exit(r);
	}
	show(WEXITSTATUS(status(c)));
	c = fork(); if (!c) { alarm(20); _exit(fcntl(fd, F_SETLKW, &l) == 0 ? 0 : 1); }
	usleep(20000); l.l_type = F_UNLCK; show(fcntl(fd, F_SETLK, &l)); l.l_type = F_WRLCK; show(status(c)); close(fd);

	puts("== what is inherited");
	umask(027); chdir("/"); show(nice(3) >= 0);
	c = fork(); if (!c) { char w[64]; getcwd(w, sizeof w); _exit((umask(0) == 027) + 2 * !strcmp(w, "/") + 4 * (getpriority(PRIO_PROCESS, 0) == 3)); }
	show(WEXITSTATUS(status(c)));
	alarm(100); c = fork(); if (!c) _exit(alarm(0)); show(WEXITSTATUS(status(c))); show(alarm(0) > 0);

	puts("== fork in a thread with others running");
	pthread_t t; for (int i = 0; i < 3; i++) pthread_create(&t, 0, sleeper, 0);
	for (int i = 0; i < 10; i++) { c = fork(); if (!c) { void *m = malloc(1000); free(m); _exit(i); } st = status(c); if (WEXITSTATUS(st) != i) printf("%d: %x\n", i, st); }
	return 0;
}
