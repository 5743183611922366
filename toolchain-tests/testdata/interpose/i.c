int name(void) { return 1; }
__attribute__((visibility("protected"))) int prot(void) { return 2; }
__attribute__((visibility("hidden"))) int hid(void) { return 3; }
static int st(void) { return 4; }
int shared_var = 5;
int lib_calls(void) { return name() + prot(); }
int lib_hidden(void) { return hid(); }
int lib_static(void) { return st(); }
int *lib_var_addr(void) { return &shared_var; }
