/* Linked by -ffast-math and its kind: results too small for a normal number
   become zero (bit 15 of MXCSR), and operands that small count as zero (bit 6).
   Threads inherit it; x87 has no such mode. */
__attribute__((constructor)) static void fast(void)
{
	__builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040);
}
