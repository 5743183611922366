/* nacl.h: the system calls that only Native Client has, for programs of the
 * halite ABI. Everything that POSIX has too is in the C library.
 *
 * A function returns -1 and sets errno on failure. Structures that the host
 * reads are those of the classic interface: pointers and sizes are 32 bits,
 * which is all that an address has in a domain.
 *
 * The part about messages and descriptors exists for plain Linux too, in the
 * sysroot's native/libnacl.a: the same source then talks with other processes over
 * Unix sockets, sandboxed or not. Pointers are as wide as the machine's there. */
#ifndef NACL_H
#define NACL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A pointer as the host reads it. */
#ifdef __halite__
typedef uint32_t nacl_pointer_t;
#else
typedef uintptr_t nacl_pointer_t;
#endif
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

/* connect that waits until the connection is accepted: ECONNREFUSED when nobody
 * can ever accept, or when it was refused. With NACL_IMC_NONBLOCK it neither waits
 * for that nor for room in the line: EAGAIN. */
int nacl_imc_connect_wait(int fd, int flags);

/* A method call on an object, which is a descriptor to connect to: connect, send
 * request, receive reply, close, as one. Messages of any size are split and
 * joined. The result is the number of bytes received; what has no room in reply
 * is dropped, and its flags say so. If the object failed, errno is what it
 * gave, or EIO. Either header may be null. */
int nacl_imc_call(int fd, const struct nacl_imc_msghdr *request, struct nacl_imc_msghdr *reply);

/* A question or an answer of any size. */
struct nacl_imc_message {
	void *data;
	size_t size;
	int *descs;
	size_t desc_count;
};

/* Answers one call: fills reply, whose data and descs it allocates with malloc,
 * and returns 0, or an error number that the caller gets. The request's memory
 * and descriptors are the server's, and go after the handler; a descriptor that
 * the handler keeps it replaces by -1. Those of the reply are closed when they
 * have been sent. */
typedef int nacl_imc_handler(void *context, const struct nacl_imc_message *request, struct nacl_imc_message *reply);

/* Serves an object: accepts on the bound socket, one call after another, until
 * nobody can connect any more (0). Several threads may serve one socket. -1: it
 * is no bound socket, or the process has too many descriptors. */
int nacl_imc_serve(int bound, nacl_imc_handler *handler, void *context);

/* What a descriptor that the process was started with is. In a domain the host
 * knows, and this does nothing; on plain Linux sockets must be declared. */
enum nacl_imc_kind {
	NACL_IMC_FILE = 2,
	NACL_IMC_CONNECT = 4,
	NACL_IMC_BOUND = 5,
	NACL_IMC_SHARED_MEMORY = 7,
	NACL_IMC_DATA_SOCKET = 13,
	NACL_IMC_SOCKET = 14,
};
int nacl_imc_declare(int fd, enum nacl_imc_kind kind);

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
