// A process made by fork opens libraries, while constructors of its parent run in the same thread or in another one.
//: lib a.so
#include <pthread.h>
__attribute__((constructor)) static void up(void)
{
	char c;
	if (!getenv("SLOW")) return;
	write(atoi(getenv("SLOW")), "x", 1);
	read(atoi(getenv("GO")), &c, 1);
}
int a(void) { return 1; }
//: lib b.so
int b(void) { return 2; }
//: lib c.so
#include <sys/wait.h>
int status = -1;
__attribute__((constructor)) static void up(void)
{
	pid_t p = fork();
	if (!p) {
		void *h = dlopen("b.so", RTLD_NOW);
		say("child %d\n", CALL(h, "b"));
		dlclose(h);
		h = dlopen("b.so", RTLD_NOW);
		_exit(CALL(h, "b"));
	}
	waitpid(p, &status, 0);
}
int c(void) { return WEXITSTATUS(status); }
//: main
#include <pthread.h>
#include <sys/wait.h>
static void *thread(void *p)
{
	void *h = dlopen("a.so", RTLD_NOW);
	say("a %d\n", CALL(h, "a"));
	return 0;
}
int main(void)
{
	void *h = OPEN("c.so", RTLD_NOW);
	char buf[20], c;
	int slow[2], go[2], status;
	pthread_t t;
	say("c %d\n", CALL(h, "c"));
	pipe(slow);
	pipe(go);
	sprintf(buf, "%d", slow[1]);
	setenv("SLOW", buf, 1);
	sprintf(buf, "%d", go[0]);
	setenv("GO", buf, 1);
	pthread_create(&t, 0, thread, 0);
	read(slow[0], &c, 1);
	pid_t p = fork();
	if (!p) {
		h = dlopen("b.so", RTLD_NOW);
		_exit(CALL(h, "b"));
	}
	waitpid(p, &status, 0);
	say("status %d\n", WEXITSTATUS(status));
	write(go[1], "x", 1);
	pthread_join(t, 0);
	return 0;
}
