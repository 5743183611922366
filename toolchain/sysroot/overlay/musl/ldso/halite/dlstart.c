#include "syscall.h"

/* libc.so is no program in a domain: the host links. This is here for the
 * entry point that the C library's build asks for. */
hidden _Noreturn void _dlstart(void)
{
	static const char text[] = "libc.so is a library; run a program with it\n";

	__syscall(SYS_write, 2, text, sizeof text - 1);
	for (;;) __syscall(SYS_exit_group, 127);
}
