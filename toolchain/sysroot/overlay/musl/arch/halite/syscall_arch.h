/* The assembly pass turns the instruction into a call of the trampoline that
 * carries Linux system calls; it keeps every register but rax, rcx and r11,
 * as the instruction does. There is no vDSO: a clock is one such call. */

#define __SYSCALL_LL_E(x) (x)
#define __SYSCALL_LL_O(x) (x)

static inline long __syscall0(long n)
{
	long r;
	__asm__ __volatile__ ("syscall" : "=a"(r) : "a"(n) : "rcx", "r11", "memory");
	return r;
}

static inline long __syscall1(long n, long a)
{
	long r;
	__asm__ __volatile__ ("syscall" : "=a"(r) : "a"(n), "D"(a) : "rcx", "r11", "memory");
	return r;
}

static inline long __syscall2(long n, long a, long b)
{
	long r;
	__asm__ __volatile__ ("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b) : "rcx", "r11", "memory");
	return r;
}

static inline long __syscall3(long n, long a, long b, long c)
{
	long r;
	__asm__ __volatile__ ("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return r;
}

static inline long __syscall4(long n, long a, long b, long c, long d)
{
	long r;
	register long r10 __asm__("r10") = d;
	__asm__ __volatile__ ("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
	return r;
}

static inline long __syscall5(long n, long a, long b, long c, long d, long e)
{
	long r;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	__asm__ __volatile__ ("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
	return r;
}

static inline long __syscall6(long n, long a, long b, long c, long d, long e, long f)
{
	long r;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	__asm__ __volatile__ ("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return r;
}

#define IPC_64 0

/* Calls that only a domain's host has, on the same trampoline. */
enum {
	SYS_halite_dl_tls_module = 0x4000,
	SYS_halite_dl_next_init,
	SYS_halite_dl_next_fini,
	SYS_halite_dl_open,
	SYS_halite_dl_sym,
	SYS_halite_dl_close,
	SYS_halite_dl_unload,
	SYS_halite_dl_error,
	SYS_halite_dl_addr,
	SYS_halite_dl_phdr,
	SYS_halite_dl_info,
	SYS_halite_dl_tls_start,
	SYS_halite_dl_tls_added,
	SYS_halite_dl_tls_removed,
	SYS_halite_thread_spawn = 0x4010,
	SYS_halite_unmap_exit,
};

/* Trampolines of the control stack, which only trusted code can reach. They
 * are called like functions and keep everything but rax, rcx and r11. */
#define HALITE_CTL_READ 0x18060

/* The address that the calling function returns to. The native place for it
 * is a hole that nobody writes. */
#define __halite_caller() ((void *)((unsigned long (*)(long))HALITE_CTL_READ)(0))
