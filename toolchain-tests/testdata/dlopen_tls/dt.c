__thread int counter = 1000;
static __thread int zero[600];
static __thread long local __attribute__((aligned(64))) = 5;
int bump(int k)
{
	zero[599] += k;
	local++;
	counter += k + 1;
	return counter + zero[599] + (int)local + (((unsigned long)&local & 63) != 0) * 77777;
}
int *where(void) { return &counter; }
