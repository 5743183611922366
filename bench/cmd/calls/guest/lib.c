int host_add(int a, int b);

void nothing(void) {}
int add(int a, int b) { return a + b; }
int call_add(int a, int b) { return host_add(a, b); }
