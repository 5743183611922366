#include <stdio.h>
int plug_data = 7;
__attribute__((constructor)) static void up(void) { puts("plug up"); }
__attribute__((destructor)) static void down(void) { puts("plug down"); }
int plug(int x) { return x * plug_data; }
