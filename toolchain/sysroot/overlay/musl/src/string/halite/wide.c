#include "vector.h"

/* Asked at the first long copy, not at start: cpuid is slow in a virtual
 * machine, and most programs that copy little never need the answer. */
hidden volatile char __halite_wide;

hidden int __halite_ask_wide(void)
{
	unsigned a = 1, b, c, d;

	__asm__ ("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
	/* OSXSAVE says that the system keeps extended registers at all; one that
	 * does keeps these. */
	int yes = (c >> 27 & 1) && (c >> 28 & 1);
	__halite_wide = 1 + yes;
	return yes;
}
