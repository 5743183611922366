/* The assembly pass turns this load into the one thread pointer load that the
 * ABI has. */
static inline uintptr_t __get_tp()
{
	uintptr_t tp;
	__asm__ ("movq %%fs:0,%0" : "=r"(tp));
	return tp;
}

#define MC_PC gregs[REG_RIP]
