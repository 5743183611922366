/* The calls that only NaCl has: each goes to its trampoline slot, which has
 * the classic number of the call, with the arguments where System V's calling
 * convention has put them already but for the fourth, which is in rcx on both
 * sides. A slot keeps the registers that a function must keep, and more; so
 * it can be called like a function.
 *
 * A slot returns what the host returns: a negative error number on failure,
 * in 32 bits. */
#include <errno.h>
#include <stdint.h>

#include "nacl.h"

#define SLOT(n) (0x10000 + 32 * (n))
#define CALL(n, ...) ((int (*)())SLOT(n))(__VA_ARGS__)

static int result(int r)
{
	if (r < 0 && r > -4096) {
		errno = -r;
		return -1;
	}
	return r;
}

int nacl_null(void)
{
	return result(CALL(1));
}

int nacl_isatty(int fd)
{
	int r = CALL(19, fd);

	return r == 1 ? 1 : result(r);
}

int nacl_list_mappings(struct nacl_mapping *regions, size_t count)
{
	return result(CALL(25, regions, (unsigned)count));
}

int nacl_sysconf(int name, int *value)
{
	return result(CALL(33, name, value));
}

int nacl_imc_makeboundsock(int pair[2])
{
	return result(CALL(60, pair));
}

int nacl_imc_accept(int fd)
{
	return result(CALL(61, fd));
}

int nacl_imc_connect(int fd)
{
	return result(CALL(62, fd));
}

int nacl_imc_sendmsg(int fd, const struct nacl_imc_msghdr *message, int flags)
{
	return result(CALL(63, fd, message, flags));
}

int nacl_imc_recvmsg(int fd, struct nacl_imc_msghdr *message, int flags)
{
	return result(CALL(64, fd, message, flags));
}

int nacl_imc_mem_obj_create(size_t size)
{
	return result(CALL(65, (unsigned)size));
}

int nacl_imc_socketpair(int pair[2])
{
	return result(CALL(66, pair));
}

int nacl_imc_connect_wait(int fd, int flags)
{
	return result(CALL(161, fd, flags));
}

int nacl_imc_call(int fd, const struct nacl_imc_msghdr *request, struct nacl_imc_msghdr *reply)
{
	return result(CALL(162, fd, request, reply));
}

int nacl_imc_declare(int fd, enum nacl_imc_kind kind)
{
	(void)fd;
	(void)kind;
	return 0;
}

int nacl_mutex_create(void)
{
	return result(CALL(70));
}

int nacl_mutex_lock(int mutex)
{
	return result(CALL(71, mutex));
}

int nacl_mutex_trylock(int mutex)
{
	return result(CALL(72, mutex));
}

int nacl_mutex_unlock(int mutex)
{
	return result(CALL(73, mutex));
}

int nacl_cond_create(void)
{
	return result(CALL(74));
}

int nacl_cond_wait(int cond, int mutex)
{
	return result(CALL(75, cond, mutex));
}

int nacl_cond_signal(int cond)
{
	return result(CALL(76, cond));
}

int nacl_cond_broadcast(int cond)
{
	return result(CALL(77, cond));
}

int nacl_cond_timed_wait_abs(int cond, int mutex, const struct nacl_timespec *deadline)
{
	return result(CALL(79, cond, mutex, deadline));
}

int nacl_tls_init(void *thread_pointer)
{
	return result(CALL(82, thread_pointer));
}

int nacl_thread_nice(int nice)
{
	return result(CALL(83, nice));
}

void *nacl_tls_get(void)
{
	return (void *)(uintptr_t)(unsigned)CALL(84);
}

int nacl_second_tls_set(void *value)
{
	return result(CALL(85, value));
}

void *nacl_second_tls_get(void)
{
	return (void *)(uintptr_t)(unsigned)CALL(86);
}

int nacl_exception_handler(nacl_exception_handler_t handler, nacl_exception_handler_t *old)
{
	uint32_t before = 0;
	int r = result(CALL(87, handler, old ? &before : 0));

	if (!r && old) *old = (nacl_exception_handler_t)(uintptr_t)before;
	return r;
}

int nacl_exception_stack(void *stack, size_t size)
{
	return result(CALL(88, stack, (unsigned)size));
}

int nacl_exception_clear_flag(void)
{
	return result(CALL(89));
}

int nacl_sem_create(int value)
{
	return result(CALL(100, value));
}

int nacl_sem_wait(int sem)
{
	return result(CALL(101, sem));
}

int nacl_sem_post(int sem)
{
	return result(CALL(102, sem));
}

int nacl_dyncode_create(void *dest, const void *src, size_t size)
{
	return result(CALL(104, dest, src, (unsigned)size));
}

int nacl_dyncode_modify(void *dest, const void *src, size_t size)
{
	return result(CALL(105, dest, src, (unsigned)size));
}

int nacl_dyncode_delete(void *dest, size_t size)
{
	return result(CALL(106, dest, (unsigned)size));
}

int nacl_futex_wait_abs(volatile int *address, int value, const struct nacl_timespec *deadline)
{
	return result(CALL(120, address, value, deadline));
}

int nacl_futex_wake(volatile int *address, int count)
{
	return result(CALL(121, address, count));
}

int nacl_get_random_bytes(void *buffer, size_t size)
{
	return result(CALL(150, buffer, (unsigned)size));
}

int nacl_return_and_wait(const struct nacl_imc_msghdr *reply, struct nacl_imc_msghdr *request)
{
	return result(CALL(160, reply, request));
}
