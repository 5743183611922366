// A write to the program's code.
// stderr: (?i)sigsegv
int main(void)
{
	*(volatile int *)(void *)main = 0;
	return 0;
}
