/* The entry point. The host starts a program with the data stack pointer at
 * the argument count and nothing else on the data stack, which is where a
 * function's canonical frame address is when it has been called without stack
 * arguments: so the entry point is an ordinary C function, and the address of
 * the argument count is its frame address. */
#include <features.h>
#include <stddef.h>

extern weak hidden const size_t _DYNAMIC[];

void __halite_start(void) __asm__(START);
void __halite_start_c(void *, const size_t *) __asm__(START "_c");

_Noreturn void __halite_start(void)
{
	__halite_start_c(__builtin_dwarf_cfa(), _DYNAMIC);
	for (;;) __asm__ __volatile__ ("hlt");
}
