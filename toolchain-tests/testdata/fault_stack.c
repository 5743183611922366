// The data stack overflows in large steps.
// stderr: (?i)sigsegv
__attribute__((noinline)) static int down(int n)
{
	volatile char b[60000];
	b[0] = n;
	b[59999] = n;
	return down(n + 1) + b[n & 1023];
}
int main(void) { return down(0); }
