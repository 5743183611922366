#include "t.h"
static sigjmp_buf jb; static volatile int sig, code;
static void h(int s, siginfo_t *i, void *u) { sig = s; code = i->si_code; siglongjmp(jb, 1); }
static const char *try_(volatile char *p, int w) { if (sigsetjmp(jb, 1)) { static char b[50]; sprintf(b, "signal %d code %d", sig, code); return b; } if (w) *p = 1; else (void)*p; return "fine"; }
int main(void) {
	struct sigaction sa = {.sa_sigaction = h, .sa_flags = SA_SIGINFO}; sigaction(SIGSEGV, &sa, 0); sigaction(SIGBUS, &sa, 0);
	long pg = sysconf(_SC_PAGESIZE); show(pg);
	char *m = mmap(0, 4 * pg, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); show(m != MAP_FAILED); show(m[0] + m[4 * pg - 1]);
	memset(m, 1, 4 * pg); puts(try_(m, 1)); show(mprotect(m + pg, pg, PROT_READ)); puts(try_(m + pg, 0)); puts(try_(m + pg, 1)); show(mprotect(m + pg, pg, PROT_NONE)); puts(try_(m + pg, 0)); show(mprotect(m + pg, pg, PROT_READ | PROT_WRITE)); puts(try_(m + pg, 1));
	show(munmap(m + 2 * pg, pg)); puts(try_(m + 2 * pg, 0)); puts(try_(m + 3 * pg, 1)); show(munmap(m + 2 * pg, pg)); show(munmap(m + 1, pg)); show(munmap(m, 0)); show(mprotect(m + 1, pg, PROT_READ)); show(mprotect(m, 4 * pg, PROT_READ));
	char *x = mmap(m + 2 * pg, pg, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0); show(x == m + 2 * pg); show(*x);
	show((long)mmap(m, pg, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == -1); show(errno == EEXIST);
	show(mmap(0, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED); show(errno == EINVAL); show(mmap(0, pg, PROT_READ, MAP_ANONYMOUS, -1, 0) == MAP_FAILED); show(errno == EINVAL); show(mmap(0, pg, PROT_READ, MAP_PRIVATE, 77, 0) == MAP_FAILED); show(errno == EBADF);
	int fd = open("f", O_RDWR | O_CREAT, 0644); char b[10000]; for (int i = 0; i < 10000; i++) b[i] = 'a' + i % 26; write(fd, b, 10000);
	char *p = mmap(0, 3 * pg, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0); show(memcmp(p, b, 10000)); show(p[10000]); p[0] = 'P'; char *s = mmap(0, 3 * pg, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0); show(s[0]); s[1] = 'S'; show(p[1]); show(msync(s, 3 * pg, MS_SYNC)); pread(fd, b, 3, 0); printf("%.3s\n", b);
	char *o = mmap(0, pg, PROT_READ, MAP_PRIVATE, fd, pg); show(o[0] == 'a' + pg % 26); show(mmap(0, pg, PROT_READ, MAP_PRIVATE, fd, 1) == MAP_FAILED); show(errno == EINVAL);
	ftruncate(fd, pg); puts(try_(s + 2 * pg, 0)); int ro = open("f", O_RDONLY); show(mmap(0, pg, PROT_READ | PROT_WRITE, MAP_SHARED, ro, 0) == MAP_FAILED); show(errno == EACCES); show(mmap(0, pg, PROT_READ | PROT_WRITE, MAP_PRIVATE, ro, 0) != MAP_FAILED); char *rs = mmap(0, pg, PROT_READ, MAP_SHARED, ro, 0); show(mprotect(rs, pg, PROT_READ | PROT_WRITE)); show(errno == EACCES); show(mprotect(rs, pg, PROT_NONE)); show(mprotect(rs, pg, PROT_READ)); show(rs[0]); puts(try_(rs, 1)); pread(fd, b, 1, 0); show(b[0]); int wo = open("f", O_WRONLY); show(mmap(0, pg, PROT_READ, MAP_PRIVATE, wo, 0) == MAP_FAILED); show(errno == EACCES); close(fd); show(s[1]);
	char *g = mmap(0, pg, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); strcpy(g, "moved"); char *g2 = mremap(g, pg, 100 * pg, MREMAP_MAYMOVE); show(strcmp(g2, "moved")); g2[99 * pg] = 1; show(g2[50 * pg]); char *g3 = mremap(g2, 100 * pg, 2 * pg, 0); show(g3 == g2); puts(try_(g2 + 2 * pg, 0)); show(mremap(g2, 0, pg, 0) == MAP_FAILED);
	show(madvise(g2, pg, MADV_DONTNEED)); show(g2[0]); show(madvise(g2, pg, 12345)); unsigned char vec[2]; show(mincore(g2, 2 * pg, vec)); show(mlock(g2, pg)); show(munlock(g2, pg));
	puts(try_((char *)16, 0)); puts(try_((char *)16, 1));
	char *a = malloc(10), *c = malloc(1 << 20), *e = malloc(100 << 20); show(a && c && e); memset(e, 1, 100 << 20); c = realloc(c, 50 << 20); show(c != 0); free(a); free(c); free(e); show(malloc((size_t)1 << 45) == 0); show(errno == ENOMEM); show(calloc(1 << 30, 1 << 30) == 0);
	char *z = mmap(0, pg, PROT_READ | PROT_WRITE, MAP_SHARED, open("/dev/zero", O_RDWR), 0); show(z != MAP_FAILED); show(z[5]);
	return 0;
}
