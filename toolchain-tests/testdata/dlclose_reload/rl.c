static int n;
int big[100000] = {1};
int next(void) { return ++n + big[0]; }
