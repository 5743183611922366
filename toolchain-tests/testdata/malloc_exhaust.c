// Memory runs out with a null pointer, not with a fault, and what was there stays usable.
// native: skip
// stdout: "ran out, still working\n"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(void)
{
	void *keep = malloc(1 << 20);
	memset(keep, 1, 1 << 20);
	size_t n = 0;
	void **list = 0;
	/* Never touched, so that the machine pays nothing: only address space is used up. */
	for (;; n++) {
		void *p = malloc(64 << 20);
		if (!p)
			break;
		*(void **)p = list;
		list = p;
		if (n > 100)
			return 2;
	}
	if (n == 0 || malloc(3000u << 20))
		return 3;
	while (list) {
		void *next = *list;
		free(list);
		list = next;
	}
	void *again = malloc(64 << 20);
	puts(again && ((char *)keep)[12345] == 1 ? "ran out, still working" : "broken");
	return 0;
}
