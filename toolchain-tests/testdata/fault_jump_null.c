// A call through a null function pointer.
// stderr: (?i)sigsegv
int main(void)
{
	void (*volatile f)(void) = 0;
	f();
	return 0;
}
