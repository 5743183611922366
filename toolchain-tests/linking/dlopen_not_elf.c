// What is no library is refused: a text, an empty file, a directory, a library that is cut off.
//: lib a.so
int a(void) { return 1; }
//: file text.so
GROUP ( a.so )
//: file empty.so
//: file dir/x
//: main
#include <fcntl.h>
#include <sys/stat.h>
int main(void)
{
	const char *names[] = { "./text.so", "./empty.so", "./dir", "text.so", "./nothing.so", "./a.so/x" };
	for (int i = 0; i < 6; i++) {
		void *h = dlopen(names[i], RTLD_NOW);
		char *e = dlerror();
		say("%d %d\n", h == 0, e && strlen(e) > 5);
	}
	say("%d\n", CALL(OPEN("a.so", RTLD_NOW), "a"));
	return 0;
}
