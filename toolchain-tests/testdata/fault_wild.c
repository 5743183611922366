// A write through a pointer far outside of everything.
// stderr: (?i)sigsegv
int main(void)
{
	char *volatile p = (char *)0x7f00dead0000;
	*p = 1;
	return 0;
}
