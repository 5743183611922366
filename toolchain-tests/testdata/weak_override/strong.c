int which(void) { return 2; }
int optional(void) { return 42; }
