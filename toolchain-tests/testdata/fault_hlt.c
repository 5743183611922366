// A privileged instruction.
// stderr: (?i)sigsegv
int main(void)
{
	__asm__ volatile("hlt");
	return 0;
}
