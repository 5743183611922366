/* The file service's client: argv[1] is a scene, argv[2] the descriptor that it uses. The
 * same program runs in a domain and outside. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nacl_files.h"

#define want(e, v) do { long long g_ = (e), w_ = (v); if (g_ != w_) { printf("line %d: %s = %lld, not %lld (%s)\n", __LINE__, #e, g_, w_, strerror(errno)); exit(1); } } while (0)
#define fails(e, n) do { errno = 0; want(e, -1); want(errno, n); } while (0)

static struct nacl_files *f;

static void *worker(void *arg)
{
	char path[64], text[64];
	int id = *(int *)arg;

	for (int i = 0; i < 50; i++) {
		snprintf(path, sizeof path, "d/t%d-%d", id, i);
		int fd = nacl_files_open(f, path, O_RDWR | O_CREAT | O_EXCL, 0600), n = snprintf(text, sizeof text, "%d %d", id, i);
		want(fd >= 0, 1);
		want(write(fd, text, n), n);
		close(fd);
		struct stat st;
		want(nacl_files_stat(f, path, &st), 0);
		want(st.st_size, n);
		want(nacl_files_unlink(f, path), 0);
	}
	return 0;
}

/* The tree has a directory "many" with 1000 files of long names. */
static void all(int service)
{
	struct stat a, b;
	char text[100], *longest = malloc(5000);

	f = nacl_files_connect(service);
	want(f != 0, 1);
	want(nacl_files_mkdir(f, "d", 0755), 0);
	fails(nacl_files_mkdir(f, "/d", 0755), EEXIST);
	int fd = nacl_files_open(f, "d/a", O_RDWR | O_CREAT, 0640);
	want(fd >= 0, 1);
	want(write(fd, "0123456789", 10), 10);
	int again = nacl_files_open(f, "/d/../d/a", O_RDONLY | O_CLOEXEC, 0);
	want(again >= 0, 1);
	want(read(again, text, sizeof text), 10);
	want(write(again, "x", 1), -1);
	want(fcntl(again, F_GETFD), FD_CLOEXEC);
	want(fcntl(fd, F_GETFD), 0);
	close(again);
	close(fd);
	/* Two files are told apart, one is itself: importers rely on it. */
	want(close(nacl_files_open(f, "d/b", O_WRONLY | O_CREAT, 0600)), 0);
	want(nacl_files_stat(f, "d/a", &a), 0);
	want(nacl_files_stat(f, "d/b", &b), 0);
	want(a.st_ino != b.st_ino || a.st_dev != b.st_dev, 1);
	want(a.st_size, 10);
	want(S_ISREG(a.st_mode), 1);
	want(a.st_mode & 0777, 0640);
	want(a.st_mtim.tv_sec > 1000000000, 1);
	want(nacl_files_stat(f, "d", &b), 0);
	want(S_ISDIR(b.st_mode), 1);
	want(nacl_files_truncate(f, "d/a", 3), 0);
	want(nacl_files_chmod(f, "d/a", 0600), 0);
	want(nacl_files_symlink(f, "a", "d/link"), 0);
	want(nacl_files_readlink(f, "d/link", text, sizeof text), 1);
	want(text[0], 'a');
	want(nacl_files_lstat(f, "d/link", &b), 0);
	want(S_ISLNK(b.st_mode), 1);
	want(nacl_files_stat(f, "d/link", &b), 0);
	want(b.st_ino, a.st_ino);
	want(b.st_size, 3);
	want(nacl_files_rename(f, "d/b", "d/c"), 0);
	fails(nacl_files_unlink(f, "d/b"), ENOENT);
	fails(nacl_files_rmdir(f, "d"), ENOTEMPTY);
	/* Errors have their numbers. */
	fails(nacl_files_open(f, "nothing", O_RDONLY, 0), ENOENT);
	fails(nacl_files_open(f, "d", O_RDONLY, 0), EISDIR);
	fails(nacl_files_open(f, "d/a", O_CREAT | O_EXCL | O_WRONLY, 0600), EEXIST);
	fails(nacl_files_open(f, "../../../../../../etc/passwd", O_RDONLY, 0), ENOENT);
	fails(nacl_files_truncate(f, "d/a", -1), EINVAL);
	memset(longest, 'x', 4999);
	longest[4999] = 0;
	fails(nacl_files_stat(f, longest, &a), ENAMETOOLONG);
	fails(nacl_files_rename(f, "d/a", longest), ENAMETOOLONG);
	want(nacl_files_opendir(f, longest) == 0, 1);
	want(nacl_files_opendir(f, "nothing") == 0, 1);
	want(errno, ENOENT);
	/* A directory whose list takes several messages. */
	struct nacl_files_dir *d = nacl_files_opendir(f, "many");
	want(d != 0, 1);
	const struct nacl_files_entry *e;
	int n = 0, sum = 0;
	errno = 0;
	while ((e = nacl_files_readdir(d))) {
		n++;
		sum += atoi(e->name);
		want(S_ISREG(e->type), 1);
		want(strlen(e->name), 204);
	}
	want(errno, 0);
	want(nacl_files_readdir(d) == 0, 1);
	want(n, 1000);
	want(sum, 999 * 1000 / 2);
	nacl_files_closedir(d);
	/* Many at once, on one connection. */
	pthread_t t[8];
	int id[8];
	for (int i = 0; i < 8; i++) {
		id[i] = i;
		want(pthread_create(&t[i], 0, worker, &id[i]), 0);
	}
	for (int i = 0; i < 8; i++) pthread_join(t[i], 0);
	want(nacl_files_unlink(f, "d/a") | nacl_files_unlink(f, "d/c") | nacl_files_unlink(f, "d/link") | nacl_files_rmdir(f, "d"), 0);
	nacl_files_free(f);
	want(fcntl(service, F_GETFD) >= 0, 1);
}

/* Versions 1 and 2 on connections that are there; file "hello" exists. */
static void old(int version)
{
	struct stat st;
	char text[100];

	f = nacl_files_environment();
	want(f != 0, 1);
	int fd = nacl_files_open(f, "hello", O_RDONLY, 0);
	want(fd >= 0, 1);
	want(read(fd, text, sizeof text), 5);
	close(fd);
	want(nacl_files_stat(f, "hello", &st), 0);
	want(st.st_size, 5);
	want(S_ISREG(st.st_mode), 1);
	fails(nacl_files_open(f, "nothing", O_RDONLY, 0), ENOENT);
	fails(nacl_files_stat(f, "nothing", &st), ENOENT);
	fails(nacl_files_lstat(f, "hello", &st), ENOSYS);
	fails(nacl_files_mkdir(f, "d", 0700), ENOSYS);
	want(nacl_files_opendir(f, "/") == 0, 1);
	if (version == 1) {
		fails(nacl_files_open(f, "new", O_WRONLY | O_CREAT, 0600), EROFS);
	} else {
		fd = nacl_files_open(f, "new", O_WRONLY | O_CREAT, 0600);
		want(fd >= 0, 1);
		want(write(fd, "text", 4), 4);
		close(fd);
	}
	nacl_files_free(f);
}

/* A service that answers nonsense. */
static void hostile(int fd)
{
	struct stat st;
	char text[10];

	f = nacl_files_on(fd, fd, 3);
	want(f != 0, 1);
	int before = dup(0);
	close(before);
	fails(nacl_files_open(f, "no descriptor", O_RDONLY, 0), EPROTO);
	fails(nacl_files_open(f, "two descriptors", O_RDONLY, 0), EPROTO);
	fails(nacl_files_stat(f, "short", &st), EPROTO);
	fails(nacl_files_stat(f, "others first, and no number", &st), EPROTO);
	fails(nacl_files_mkdir(f, "a descriptor", 0), EPROTO);
	want(nacl_files_readlink(f, "long", text, sizeof text), sizeof text);
	want(nacl_files_opendir(f, "nothing, and it goes on") == 0, 1);
	want(errno, EPROTO);
	for (int i = 0; i < 5; i++) {
		struct nacl_files_dir *d = nacl_files_opendir(f, "bad entries");
		want(d != 0, 1);
		errno = 0;
		want(nacl_files_readdir(d) == 0, 1);
		want(errno, EPROTO);
		want(nacl_files_readdir(d) == 0, 1);
		nacl_files_closedir(d);
	}
	fails(nacl_files_open(f, "an error, and a descriptor", O_RDONLY, 0), EXDEV);
	int after = dup(0);
	close(after);
	want(after, before);
	fails(nacl_files_stat(f, "the end", &st), EIO);
	fails(nacl_files_stat(f, "after it", &st), EIO);
	nacl_files_free(f);
}

/* A service that does what it is asked three times and goes, while others wait. */
static void *one(void *arg)
{
	(void)arg;
	return (void *)(long)(nacl_files_unlink(f, "x") ? errno : 0);
}

static void gone(int fd)
{
	pthread_t t[6];
	int done = 0, failed = 0;

	f = nacl_files_on(fd, fd, 3);
	want(f != 0, 1);
	for (int i = 0; i < 6; i++) want(pthread_create(&t[i], 0, one, 0), 0);
	for (int i = 0; i < 6; i++) {
		void *r;
		pthread_join(t[i], &r);
		if (r) {
			want((long)r, EIO);
			failed++;
		} else {
			done++;
		}
	}
	want(done, 3);
	want(failed, 3);
	nacl_files_free(f);
}

int main(int argc, char **argv)
{
	int n = argc > 2 ? atoi(argv[2]) : -1;

	if (!strcmp(argv[1], "all")) all(n);
	if (!strcmp(argv[1], "old")) old(n);
	if (!strcmp(argv[1], "hostile")) hostile(n);
	if (!strcmp(argv[1], "gone")) gone(n);
	puts("ok");
	return 0;
}
