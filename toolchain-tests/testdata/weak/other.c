int overridden(void) { return 10; }
