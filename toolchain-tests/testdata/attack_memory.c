// Attack: growing over the edge. The break to the byte, mappings at the edges of the sandbox, growth into what is not the guest's.
// link: static
// native: skip
// stdout: "break 1 1 1 1\nbeyond the break: fault, fault\nshrunk: fault\nbreak into a mapping: stays 1\nbreak to the end: stays 1 1\nfixed at the edges: refused 8 of 8\nhints at the edges: inside 8\nremap over the edge: refused 3 of 3\ngrows down: fault\nadvice about what is not the guest's: refused 4 of 4\ncalls that are not there: refused 5 of 5\n"
#define _GNU_SOURCE
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static sigjmp_buf back;
static void caught(int sig) { siglongjmp(back, sig); }

static const char *touch(uintptr_t at)
{
	if (sigsetjmp(back, 1)) return "fault";
	*(volatile char *)at = 1;
	return "memory";
}

static uintptr_t move(uintptr_t to) { return syscall(SYS_brk, to); }

int main(void)
{
	uintptr_t at = move(0), page = (at + 4095) & -4096;

	signal(SIGSEGV, caught);
	signal(SIGBUS, caught);
	printf("break %d", move(page + 4096 - 1) == page + 4096 - 1);
	*(volatile char *)(page + 4095) = 1;
	printf(" %d", move(page + 4096) == page + 4096);
	*(volatile char *)(page + 4095) = 2;
	printf(" %d", move(page + 4097) == page + 4097);
	*(volatile char *)(page + 8191) = 3;
	printf(" %d\n", move(page + 4096) == page + 4096);
	printf("beyond the break: %s", touch(page + 4096));
	printf(", %s\n", touch(page + 8191));
	move(page);
	printf("shrunk: %s\n", touch(page));

	char *wall = mmap((void *)(page + 65536), 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (wall != (char *)page + 65536) perror("mmap");
	printf("break into a mapping: stays %d\n", move(page + 65537) == page);
	printf("break to the end: stays %d", move(0xffffffff) == page);
	printf(" %d\n", move(0xfffffffffffff000) == page);

	static const uintptr_t edges[] = { 0, 4096, 0x10000, 0x1f000, 0xfffff000, 0xffff0000, 0x100000000, 0xfffffffffffff000 };
	int refused = 0, inside = 0;
	for (int i = 0; i < 8; i++) {
		refused += mmap((void *)edges[i], 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED;
		char *p = mmap((void *)edges[i], 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		inside += (uintptr_t)p >= 0x20000 && (uintptr_t)p <= 0xffff0000 - 8192 && touch((uintptr_t)p)[0] == 'm' && touch((uintptr_t)p + 8191)[0] == 'm';
		munmap(p, 8192);
	}
	printf("fixed at the edges: refused %d of 8\nhints at the edges: inside %d\n", refused, inside);

	char *p = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	refused = mremap(p, 8192, 0xffffffff, MREMAP_MAYMOVE) == MAP_FAILED;
	refused += mremap(p, 8192, (size_t)-4096, MREMAP_MAYMOVE) == MAP_FAILED;
	refused += mremap(p, 8192, 8192, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)0x10000) == MAP_FAILED;
	printf("remap over the edge: refused %d of 3\n", refused);

	/* One page that says that it grows, with room below. */
	char *room = mmap(0, 16 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(room, 16 * 4096);
	char *g = mmap(room + 15 * 4096, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
	printf("grows down: %s\n", g == MAP_FAILED ? "fault" : touch((uintptr_t)g - 1));

	refused = madvise((void *)0x10000, 65536, MADV_DONTNEED) != 0;
	refused += madvise((void *)((uintptr_t)main & -4096), 4096, MADV_DONTNEED) != 0;
	refused += madvise((void *)0xfffff000, 4096, MADV_DONTNEED) != 0;
	refused += madvise((void *)0x7ffff0000000, 4096, MADV_DONTNEED) != 0;
	printf("advice about what is not the guest's: refused %d of 4\n", refused);

	/* Page faults for others, other processes' memory, memory by file numbers, old ways. */
	refused = syscall(323 /* userfaultfd */, 0) < 0;
	refused += syscall(311 /* process_vm_writev */, getpid(), 0, 0, 0, 0, 0) < 0;
	refused += syscall(SYS_remap_file_pages, p, 4096, 0, 1, 0) < 0;
	refused += syscall(SYS_modify_ldt, 0, 0, 0) < 0;
	refused += syscall(329 /* pkey_mprotect */, p, 4096, PROT_READ | PROT_EXEC, -1) < 0;
	printf("calls that are not there: refused %d of 5\n", refused);
	return 0;
}
