/* Linked into programs by -mpc32, -mpc64, -mpc80: the x87 rounds to fewer
 * digits. */
__attribute__((constructor)) static void set_precision(void)
{
	unsigned short cw;

	__asm__ __volatile__ ("fnstcw %0" : "=m"(cw));
	cw = (cw & ~0x300) | PRECISION;
	__asm__ __volatile__ ("fldcw %0" : : "m"(cw));
}
