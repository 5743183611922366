// A preloaded wrapper finds the function that it wraps with RTLD_NEXT.
// env: LD_LIBRARY_PATH=$LIBS LD_PRELOAD=p.so
//: lib a.so
int work(int x) { return x * 2; }
//: lib p.so
int work(int x)
{
	int (*next)(int) = (int (*)(int))must(dlsym(RTLD_NEXT, "work"));
	return next(x) + 100;
}
//: main a.so
int work(int);
int main(void) { say("%d\n", work(21)); return 0; }
