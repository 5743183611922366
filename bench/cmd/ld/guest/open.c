/* What a program does that loads libraries: once as a library of ours, natively as a
 * program that reads what to do and how often, a line each, and answers. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int open_close(const char *name, int n)
{
	for (int i = 0; i < n; i++) {
		void *h = dlopen(name, RTLD_NOW);
		if (!h) {
			fprintf(stderr, "%s\n", dlerror());
			return -1;
		}
		if (dlclose(h)) return -1;
	}
	return n;
}

int look_up(const char *name, int n)
{
	void *h = dlopen(name, RTLD_NOW);
	int found = 0;
	if (!h) return -1;
	for (int i = 0; i < n; i++) found += !!dlsym(h, "l1_function_number_777");
	dlclose(h);
	return found;
}

#ifdef PROGRAM
int main(int argc, char **argv)
{
	char what[32];
	int n;
	while (scanf("%31s %d", what, &n) == 2) {
		printf("%d\n", strcmp(what, "open_close") ? look_up(argv[1], n) : open_close(argv[1], n));
		fflush(stdout);
	}
	return 0;
}
#endif
