// A call into data.
// stderr: (?i)sigsegv
#include <string.h>
static char code[64] __attribute__((aligned(64)));
int main(void)
{
	memset(code, 0xc3, sizeof code);
	((void (*volatile)(void))(void *)code)();
	return 0;
}
