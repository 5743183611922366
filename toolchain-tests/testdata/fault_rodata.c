// A write to a string literal.
// stderr: (?i)sigsegv
int main(void)
{
	volatile char *volatile p = (char *)"literal";
	*p = 'L';
	return 0;
}
