// Data and code in sections of their own, with start and stop symbols; function and data sections collected by the linker.
// cc: -ffunction-sections -fdata-sections -Wl,--gc-sections
#include <stdio.h>
struct entry { const char *name; int (*fn)(int); };
#define REG(n, body) static int n(int x) { return body; } static struct entry e_##n __attribute__((section("table"), used)) = {#n, n}
REG(inc, x + 1);
REG(twice, x * 2);
REG(square, x * x);
extern struct entry __start_table[], __stop_table[];
__attribute__((section(".text.cold_one"), noinline)) static int cold(int x) { return x - 1; }
__attribute__((section("own_code"), noinline)) int own(int x) { return x + 1000; }
int unused(int x) { return x / 7; }
int main(void)
{
	int v = 3;
	for (struct entry *e = __start_table; e < __stop_table; e++)
		printf("%s %d\n", e->name, v = e->fn(v));
	printf("%d %d\n", cold(v), own(v));
	return 0;
}
