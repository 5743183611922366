// An atexit function of a library that is closed.
//: lib a.so
static void bye(void) { say("atexit of a\n"); }
void later(void) { atexit(bye); }
//: main
int main(void)
{
	void *h = OPEN("a.so", RTLD_NOW);
	((void (*)(void))dlsym(h, "later"))();
	dlclose(h);
	say("closed\n");
	return 0;
}
//: out musl: never unloads; the function runs at the end
// closed
// atexit of a
