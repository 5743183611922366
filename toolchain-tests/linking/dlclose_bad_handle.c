// Closing, or looking into, what is no handle is an error.
// skip glibc: believes any pointer, and crashes
//: main
int main(void)
{
	static int x[100];
	say("%d", dlclose(x) != 0);
	say(" %d", dlerror() != 0);
	say(" %d", dlsym(x, "main") == 0);
	say(" %d\n", dlerror() != 0);
	return 0;
}
