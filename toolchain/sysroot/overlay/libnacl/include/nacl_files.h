/* nacl_files.h: a client of the file service (docs/imc.md): open, stat and their
 * kind, answered by whoever holds the other end of a connection. What is opened is a
 * descriptor like any other.
 *
 * The same source works in a domain and on plain Linux. All functions but
 * nacl_files_free may be called by several threads at once; with version 3 their
 * requests are under way at the same time. They return -1 or null and set errno on
 * failure: what the service said, or EIO when the connection has ended, EPROTO when an
 * answer is none, EMFILE when the process has no descriptor left for a file,
 * ENAMETOOLONG for a path of more than 4096 bytes. What a version does not know
 * is ENOSYS. */
#ifndef NACL_FILES_H
#define NACL_FILES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct nacl_files;

/* A client of the service behind a descriptor to connect to, which stays the caller's. */
struct nacl_files *nacl_files_connect(int service);

/* A client on a connection that is there already: requests go out on the one
 * descriptor, and answers come in on the other, which may be the same. Both stay the
 * caller's. Versions 1 and 2 are those of Native Client's port: they know stat and
 * open, without a number for errors (ENOENT); 1 opens for reading alone (EROFS). */
struct nacl_files *nacl_files_on(int out, int in, int version);

/* What a launcher of that port says in the environment: NACL_FILE_RPC is version 2 on
 * descriptors 6 and 7, NACL_FD version 1 on 3. Neither: null, ENOENT. */
struct nacl_files *nacl_files_environment(void);

/* No other call may be in progress. What was opened stays open. */
void nacl_files_free(struct nacl_files *files);

/* flags and mode as for open(2). Directories can't be opened. */
int nacl_files_open(struct nacl_files *files, const char *path, int flags, mode_t mode);
int nacl_files_stat(struct nacl_files *files, const char *path, struct stat *st);
int nacl_files_lstat(struct nacl_files *files, const char *path, struct stat *st);
int nacl_files_mkdir(struct nacl_files *files, const char *path, mode_t mode);
int nacl_files_unlink(struct nacl_files *files, const char *path);
int nacl_files_rmdir(struct nacl_files *files, const char *path);
int nacl_files_rename(struct nacl_files *files, const char *from, const char *to);
int nacl_files_symlink(struct nacl_files *files, const char *target, const char *path);
int nacl_files_truncate(struct nacl_files *files, const char *path, off_t size);
int nacl_files_chmod(struct nacl_files *files, const char *path, mode_t mode);
/* As readlink(2): the bytes that fit, and no NUL. */
ssize_t nacl_files_readlink(struct nacl_files *files, const char *path, char *buffer, size_t size);

struct nacl_files_entry {
	uint64_t ino;
	uint32_t type; /* the S_IFMT part of a mode */
	char name[4097];
};

/* A directory is read in pieces. readdir returns null at the end, with errno as it was,
 * and on failure, with errno set. A directory belongs to one thread. */
struct nacl_files_dir;
struct nacl_files_dir *nacl_files_opendir(struct nacl_files *files, const char *path);
const struct nacl_files_entry *nacl_files_readdir(struct nacl_files_dir *dir);
void nacl_files_closedir(struct nacl_files_dir *dir);

#ifdef __cplusplus
}
#endif
#endif
