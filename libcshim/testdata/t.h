// What the tests print is compared with what they print when they are built
// natively: nothing here knows a right answer.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <dirent.h>
#include <ftw.h>
#include <poll.h>
#include <sys/auxv.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <utime.h>

// show prints an expression, its value, and errno if the value is -1. It leaves
// errno as the expression left it.
#define show(e) do { long long v_ = (long long)(e); int e_ = errno; \
	printf("%s = %lld%s%s\n", #e, v_, v_ == -1 ? " " : "", v_ == -1 ? strerror(e_) : ""); errno = e_; } while (0)

// shown is show for results whose value may differ: only good or bad.
#define shown(e) do { errno = 0; long long v_ = (long long)(e); \
	printf("%s: %s\n", #e, v_ == -1 ? strerror(errno) : "ok"); } while (0)

static inline double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static inline void put(const char *name, const char *text) {
	int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0644);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) perror(name);
	close(fd);
}

static inline void cat(const char *name) {
	char b[300];
	int fd = open(name, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, b, sizeof b - 1);
	if (n < 0) { printf("%s: %s\n", name, strerror(errno)); return; }
	b[n] = 0;
	printf("%s: \"%s\"\n", name, b);
	close(fd);
}
