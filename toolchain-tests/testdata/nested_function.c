// Functions in functions that see their parent's variables, called directly (no trampoline on the stack).
// opt: -O0 -O2
#include <stdio.h>
int main(void)
{
	int total = 0, calls = 0;
	auto __attribute__((noinline)) int add(int n);
	int add(int n)
	{
		calls++;
		auto __attribute__((noinline)) void inner(int k);
		void inner(int k) { total += k * n; }
		for (int i = 0; i < n; i++)
			inner(i);
		return total;
	}
	int r = 0;
	for (int i = 0; i < 20; i++)
		r = r * 3 + add(i);
	printf("%d %d %d\n", r, total, calls);
	return 0;
}
