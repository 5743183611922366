/* nacl.h: the system calls that only Native Client has, for programs of the
 * halite ABI. Everything that POSIX has too is in the C library.
 *
 * A function returns -1 and sets errno on failure. Structures that the host
 * reads are those of the classic interface: pointers and sizes are 32 bits,
 * which is all that an address has in a domain. */
#ifndef NACL_H
#define NACL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A pointer as the host reads it. */
typedef uint32_t nacl_pointer_t;
#define NACL_POINTER(p) ((nacl_pointer_t)(uintptr_t)(p))

struct nacl_timespec {
	int64_t tv_sec;
	int32_t tv_nsec;
	int32_t reserved;
};

/* ---- messages and descriptors (IMC) ---- */

struct nacl_imc_iovec {
	nacl_pointer_t base;
	uint32_t length;
};

struct nacl_imc_msghdr {
	nacl_pointer_t iov; /* struct nacl_imc_iovec [iov_length] */
	uint32_t iov_length;
	nacl_pointer_t descv; /* int [desc_length] */
	uint32_t desc_length;
	int32_t flags; /* what happened, after receiving */
};

#define NACL_IMC_IOVEC_MAX 256
#define NACL_IMC_DESC_MAX 8
#define NACL_IMC_BYTES_MAX (128 * 1024)
#define NACL_IMC_NO_DESC (-1)

#define NACL_IMC_NONBLOCK 1 /* argument flags */
#define NACL_IMC_DATA_TRUNCATED 1 /* message flags */
#define NACL_IMC_DESC_TRUNCATED 2

int nacl_imc_makeboundsock(int pair[2]);
int nacl_imc_accept(int fd);
int nacl_imc_connect(int fd);
int nacl_imc_sendmsg(int fd, const struct nacl_imc_msghdr *message, int flags);
int nacl_imc_recvmsg(int fd, struct nacl_imc_msghdr *message, int flags);
int nacl_imc_mem_obj_create(size_t size);
int nacl_imc_socketpair(int pair[2]);

/* ---- invocation ----
 *
 * "This is the answer; wait for the next question": one call that hands reply to
 * the host (the result of its Invoke) and returns when the host invokes again,
 * with its message in request, as sendmsg and recvmsg in one. Either may be null:
 * no data. The result is the number of bytes received; the fields of request
 * that nacl_imc_recvmsg fills are filled.
 *
 * It is made from a thread's own outermost function, not from one that the
 * host called, and not from a signal handler: EBUSY. If reply is refused (EFAULT,
 * EINVAL, EBADF), nothing was sent and the call returns at once. ENOSYS: the
 * host does not invoke this program. */
int nacl_return_and_wait(const struct nacl_imc_msghdr *reply, struct nacl_imc_msghdr *request);

/* ---- code at run time ---- */

int nacl_dyncode_create(void *dest, const void *src, size_t size);
int nacl_dyncode_modify(void *dest, const void *src, size_t size);
int nacl_dyncode_delete(void *dest, size_t size);

/* ---- faults ---- */

typedef void (*nacl_exception_handler_t)(void *context);

int nacl_exception_handler(nacl_exception_handler_t handler, nacl_exception_handler_t *old);
int nacl_exception_stack(void *stack, size_t size);
int nacl_exception_clear_flag(void);

/* ---- locks that are descriptors, futexes, threads ---- */

int nacl_mutex_create(void);
int nacl_mutex_lock(int mutex);
int nacl_mutex_trylock(int mutex);
int nacl_mutex_unlock(int mutex);
int nacl_cond_create(void);
int nacl_cond_wait(int cond, int mutex);
int nacl_cond_signal(int cond);
int nacl_cond_broadcast(int cond);
int nacl_cond_timed_wait_abs(int cond, int mutex, const struct nacl_timespec *deadline);
int nacl_sem_create(int value);
int nacl_sem_wait(int sem);
int nacl_sem_post(int sem);
int nacl_futex_wait_abs(volatile int *address, int value, const struct nacl_timespec *deadline);
int nacl_futex_wake(volatile int *address, int count);

/* The C library owns the thread pointer; these are for runtimes of their own. */
int nacl_tls_init(void *thread_pointer);
void *nacl_tls_get(void);
int nacl_second_tls_set(void *value);
void *nacl_second_tls_get(void);

#define NACL_NICE_REALTIME (-5)
#define NACL_NICE_NORMAL 0
#define NACL_NICE_BACKGROUND 5
int nacl_thread_nice(int nice);

/* ---- the rest ---- */

struct nacl_mapping {
	uint32_t start, size, prot, max_prot, type;
};

int nacl_null(void);
int nacl_isatty(int fd);
int nacl_list_mappings(struct nacl_mapping *regions, size_t count);
int nacl_get_random_bytes(void *buffer, size_t size);

#define NACL_SC_NPROCESSORS_ONLN 1
#define NACL_SC_PAGESIZE 2
int nacl_sysconf(int name, int *value);

#ifdef __cplusplus
}
#endif
#endif
