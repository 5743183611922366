// The smallest program, linked in each way there is.
// link: dynamic static static-pie
// short
#include <stdio.h>
int main(void)
{
	puts("hello, world");
	return 0;
}
