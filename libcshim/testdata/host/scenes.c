// One program for the tests of process_test.go: the first argument says what it
// does.
#include "../t.h"
#include <termios.h>
static void *spin(void *a) { for (;;) ; }
static void *block(void *a) { for (;;) pause(); }
static void onint(int s) { write(1, "int\n", 4); _exit(9); }
static int *volatile wild = (int *)0x5000;
__attribute__((noinline)) static void inner(void) { *wild = 1; }
__attribute__((noinline)) static void outer(void) { inner(); *wild = 2; }
int main(int argc, char **argv) {
	char b[100];
	switch (argv[1][0]) {
	case 's': for (;;) ;
	case 'r': printf("%zd\n", read(0, b, sizeof b)); return 0;
	case 'R': { ssize_t n; long sum = 0; while ((n = read(0, b, sizeof b)) > 0) sum += n; printf("%ld\n", sum); return 0; }
	case 'p': { struct pollfd f = {0, POLLIN}; printf("%d\n", poll(&f, 1, -1)); return 0; }
	case 't': { pthread_t t; for (int i = 0; i < 10; i++) pthread_create(&t, 0, i & 1 ? spin : block, 0); write(1, "up\n", 3); for (;;) pause(); }
	case 'w': for (;;) { memset(b, 'x', sizeof b); if (write(1, b, sizeof b) < 0) return 7; }
	case 'i': signal(SIGINT, onint); write(1, "up\n", 3); for (;;) pause();
	case 'I': write(1, "up\n", 3); for (;;) ;
	case 'f': outer(); return 0;
	case 'n': { struct timespec ts = {1000, 0}; nanosleep(&ts, 0); return 0; }
	case 'm': { pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER; pthread_mutex_lock(&m); pthread_mutex_lock(&m); return 0; }
	case 'T': { struct termios t; struct winsize w; show(isatty(0)); show(tcgetattr(0, &t)); show((t.c_lflag & ECHO) != 0); t.c_lflag &= ~(ECHO | ICANON); show(tcsetattr(0, TCSANOW, &t)); show(tcgetattr(0, &t)); show((t.c_lflag & ECHO) != 0); show(ioctl(0, TIOCGWINSZ, &w)); show(w.ws_row); show(w.ws_col); show(ioctl(0, TIOCSTI, "x")); int tty = open("/dev/tty", O_RDWR); show(isatty(tty)); show(strcmp(ttyname(0), "/dev/tty")); return 0; }
	case 'h': puts("hello"); return 42;
	case 'F': { int fd = open("/tmp/x", O_CREAT | O_RDWR, 0600); ftruncate(fd, 65536); char *p = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0); p[5] = 1; int q[2]; pipe(q); timer_t id; struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1}; struct itimerspec it = {{1, 0}, {1000, 0}}; timer_create(CLOCK_MONOTONIC, &ev, &id); timer_settime(id, 0, &it, 0); alarm(1000); opendir("/"); return p[5]; }
	case 'M': { size_t n = 0; while (mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED) n++; printf("%zu %s\n", n, strerror(errno)); return 0; }
	case 'd': { int n = 0; while (open("/dev/null", O_RDONLY) >= 0) n++; printf("%d %s\n", n, strerror(errno)); return 0; }
	case 'x': { // what is refused
		show(syscall(SYS_fork)); show(syscall(SYS_execve, "/bin/prog", 0, 0)); show(syscall(SYS_socket, 2, 1, 0)); show(syscall(SYS_ptrace, 0, 0, 0, 0)); show(syscall(SYS_clone, 0, 0, 0, 0, 0));
		show(mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED); show(errno == ENOMEM /* what musl makes of EPERM */);
		char *p = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); show(mprotect(p, 4096, PROT_READ | PROT_EXEC)); show(munmap((void *)((uintptr_t)main & -4096), 4096)); show(mprotect((void *)((uintptr_t)main & -4096), 4096, PROT_READ | PROT_WRITE)); show(munmap((void *)0x10000, 4096)); show(syscall(SYS_arch_prctl, 0x1001, 5)); show(syscall(SYS_arch_prctl, 0x1002, 1L << 40)); show(kill(1, 9)); show(kill(-1, 0)); show(mount("a", "b", "c", 0, 0)); show(chroot("/")); show(setuid(0)); show(mknod("/tmp/dev", S_IFCHR | 0600, 0x103));
		return 0; }
	case 'e': { FILE *f = fopen(argv[2], "r"); if (!f) { printf("%s\n", strerror(errno)); return 1; } printf("%s", fgets(b, sizeof b, f)); return 0; }
	case 'o': { long s = 0; for (long i = 0; i < atol(argv[2]); i++) s += getppid(); return s < 0; }
	}
	return 99;
}
int mount(); 
