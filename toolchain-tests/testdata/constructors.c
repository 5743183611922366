// Constructors run by priority before main, destructors in the opposite order after it.
// link: dynamic static static-pie
#include <stdio.h>
__attribute__((constructor)) static void c0(void) { puts("constructor without priority"); }
__attribute__((constructor(300))) static void c3(void) { puts("constructor 300"); }
__attribute__((constructor(200))) static void c2(void) { puts("constructor 200"); }
__attribute__((constructor(101))) static void c1(void) { puts("constructor 101"); }
__attribute__((destructor)) static void d0(void) { puts("destructor without priority"); }
__attribute__((destructor(300))) static void d3(void) { puts("destructor 300"); }
__attribute__((destructor(101))) static void d1(void) { puts("destructor 101"); }
int main(int argc, char **argv)
{
	puts("main");
	return 0;
}
