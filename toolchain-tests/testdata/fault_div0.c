// A division by zero.
// stderr: (?i)sigfpe
int main(int argc, char **argv)
{
	volatile int zero = argc - 1;
	return 1000 / zero;
}
