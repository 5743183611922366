// Integer conversions of printf: flags, widths, sizes.
// short
#include <inttypes.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
int main(void)
{
	int v[] = {0, 1, -1, 42, -12345, INT_MAX, INT_MIN};
	for (int i = 0; i < 7; i++) {
		printf("[%d] [%5d] [%-7d] [%+d] [% d] [%08d] [%.5d] [%x] [%#X] [%o] [%#o] [%u]\n",
			v[i], v[i], v[i], v[i], v[i], v[i], v[i], v[i], v[i], v[i], v[i], v[i]);
		printf("[%hd] [%hhd] [%hhu] [%*d] [%-*d] [%.*d]\n", (short)v[i], (char)v[i], (unsigned char)v[i], 12, v[i], 12, v[i], 3, v[i]);
	}
	printf("%ld %lu %lld %llu %lx\n", LONG_MAX, ULONG_MAX, LLONG_MIN, ULLONG_MAX, LONG_MIN);
	printf("%jd %ju %zu %td\n", INTMAX_MIN, UINTMAX_MAX, (size_t)-1, (ptrdiff_t)-5);
	printf("%" PRId64 " %" PRIu8 " %" PRIx32 "\n", INT64_MIN, (uint8_t)200, (uint32_t)0xdeadbeef);
	printf("%c%c%c|%5c|%-5c|\n", 'a', 0x42, 67, 'x', 'y');
	printf("%s|%10s|%-10s|%.2s|%10.3s|\n", "text", "text", "text", "text", "text");
	printf("%%|%5%|\n");
	printf("%2$s %1$s %3$d %1$s\n", "first", "second", 3);
	int n1, n2;
	printf("count%n more%n\n", &n1, &n2);
	printf("%d %d\n", n1, n2);
	printf("%p %p\n", (void *)0x1234, (void *)0);
	printf("[%.0d] [%.0x] [%#x] [%#o]\n", 0, 0, 0, 0);
	printf("%d\n", printf("twelve char\n"));
	char b[8];
	int r = snprintf(b, sizeof b, "%s", "much longer than that");
	printf("%d %s\n", r, b);
	printf("%d\n", snprintf(0, 0, "%d%d", 12345, 678));
	return 0;
}
