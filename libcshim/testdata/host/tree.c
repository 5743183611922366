// One program for the tests of tree_test.go: the first argument says what it does.
#include "../t.h"
#include <dlfcn.h>
#include <sys/socket.h>
#include <sys/wait.h>
static sigjmp_buf env;
static int forked;
static void forks(int s) { pid_t c = fork(); forked = c < 0 ? -errno : 1; if (!c) _exit(0); }
static int count(void) { int n = 0; pid_t c; while ((c = fork()) > 0) n++; if (!c) for (;;) pause(); return n; }
__attribute__((noinline)) static long deep(int n) { long r; if (n) r = deep(n - 1) + 1; else r = fork() ? 1000000 : 2000000; __asm__ volatile ("" ::: "memory"); return r; }
static int status(pid_t c) { int st = -1; while (waitpid(c, &st, 0) < 0 && errno == EINTR) ; return st; }
static _Thread_local int tls = 5;
int main(int argc, char **argv) {
	int n = argc > 2 ? atoi(argv[2]) : 0, st, p[2];
	pid_t c;
	switch (argv[1][0]) {
	case 'l': n = count(); printf("%d %s\n", n, strerror(errno)); return 0; // its children run on
	case 'b': write(1, "up\n", 3); for (;;) if (fork() < 0) usleep(1000);
	case 'v': write(1, "up\n", 3); for (;;) { c = fork(); if (!c) { execl("/proc/self/exe", "x", "q", NULL); _exit(1); } if (c > 0) status(c); }
	case 'q': return 0;
	case 'm': { char *b = malloc(20 << 20); memset(b, 1, 20 << 20); n = count(); printf("%d %s\n", n, strerror(errno)); return 0; }
	case 'g': { // children that take all there is, once all are there
		int go[2]; char b; pipe(go); pipe(p);
		for (int i = 0; i < 3; i++) if (!fork()) { close(go[1]); read(go[0], &b, 1); while (mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED) ; write(p[1], "x", 1); for (;;) pause(); }
		close(go[1]); for (int i = 0; i < 3; i++) read(p[0], &b, 1);
		printf("%d\n", mmap(0, 8 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED); return 0; }
	case 'a': { // shared memory without end, which may be read, or written too
		int i = 0; while (i < 10000 && mmap(0, 1 << 20, n ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED) i++;
		printf("%d %s\n", i > 10 && i < 40, strerror(errno)); return 0; }
	case 'f': { // they wait for each other
		sem_t *s = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0); sem_init(s, 1, 0);
		fork(); fork(); write(1, "up\n", 3); for (;;) sem_wait(s); }
	case 'c': { // sockets that carry themselves and a file, and whose numbers are closed
		for (n = 0;; n++) {
			int s[2], fd = open("/w/f", O_RDWR | O_CREAT, 0600); socketpair(AF_UNIX, SOCK_STREAM, 0, s);
			union { struct cmsghdr h; char b[CMSG_SPACE(12)]; } u = {{CMSG_LEN(12), 0, SOL_SOCKET, SCM_RIGHTS}};
			memcpy(CMSG_DATA(&u.h), (int[]){s[1], s[0], fd}, 12);
			struct iovec v = {"x", 1}; struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = sizeof u};
			long r = sendmsg(s[0], &m, 0); int e = errno;
			close(s[0]); close(s[1]); close(fd);
			if (r < 0 || n == 1000) { printf("%d %d\n", n, e); return 0; } } }
	case 'n': for (int i = 0; i < n; i++) { c = fork(); if (!c) { if (i % 8 == 0) execl("/proc/self/exe", "x", "q", NULL); _exit(0); } if (c < 0 || status(c)) { perror("fork"); return 1; } } return 0;
	case 'o': { pipe(p); if (!fork()) { if (!fork()) { while (getppid() != 1) usleep(1000); char b[20]; write(p[1], b, sprintf(b, "orphan of %d", getppid())); _exit(0); } _exit(0); } close(p[1]); wait(&st); char b[20] = {0}; read(p[0], b, 20); printf("%s, %d\n", b, wait(&st)); return 0; }
	case 'h': { signal(SIGALRM, forks); raise(SIGALRM); printf("%d\n", forked); if (!sigsetjmp(env, 1)) { alarm(0); } c = fork(); if (!c) _exit(3); printf("%d\n", status(c)); return 0; }
	case 'd': { long r = deep(5000); if (r == 2005000) { if (!sigsetjmp(env, 1)) siglongjmp(env, 1); tls++; _exit(tls); } c = wait(&st); printf("%ld %d %d\n", r, c > 0, WEXITSTATUS(st)); return 0; }
	case 'D': { int own = 0; c = fork(); if (!c) { void *h = dlopen("libnacl.so", RTLD_NOW); _exit(h && dlsym(h, "nacl_cond_create") ? 7 : 8); } st = status(c); void *h = dlopen("libnacl.so", RTLD_NOW); own = h && dlsym(h, "nacl_cond_create"); c = fork(); if (!c) _exit(dlclose(h) == 0 && dlopen("libnacl.so", RTLD_NOW) ? 9 : 8); printf("%d %d %d\n", WEXITSTATUS(st), own, WEXITSTATUS(status(c))); return 0; }
	case 'e': if (n) execl("/proc/self/exe", "x", "e", (char[]){'0' + n - 1, 0}, NULL); return 40 + getpid() % 10;
	case 's': { // who types Ctrl-C stops the whole group, but for those in another
		c = fork(); if (!c) { write(1, "u", 1); for (;;) pause(); }
		pid_t d = fork(); if (!d) { setpgid(0, 0); write(1, "u", 1); sleep(100); _exit(0); }
		signal(SIGINT, SIG_IGN); write(1, "u", 1); printf(" %d", status(c)); printf(" %d", waitpid(d, &st, WNOHANG)); kill(d, SIGTERM); printf(" %d\n", status(d)); return 0; }
	}
	return 99;
}
