// The value of main is the exit status, cut to eight bits.
#include <stdio.h>
int main(void)
{
	printf("leaving with 0x12a\n");
	return 0x12a;
}
