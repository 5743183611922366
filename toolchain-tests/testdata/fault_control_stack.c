// Recursion without end and almost without data overflows the stack of return addresses, or that of data.
// opt: -O1
// stderr: (?i)sigsegv
__attribute__((noinline, noclone)) static long down(long n)
{
	__asm__ volatile("" : "+r"(n));
	return down(n + 1) + 1;
}
int main(void) { return (int)down(0); }
