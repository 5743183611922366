__attribute__((weak)) int which(void) { return 1; }
extern int optional(void) __attribute__((weak));
extern int nowhere(void) __attribute__((weak));
int maybe(void) { return optional ? optional() : -1; }
int absent(void) { return nowhere ? nowhere() : -1; }
