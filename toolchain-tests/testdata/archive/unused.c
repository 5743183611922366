extern int this_symbol_is_nowhere(void);
int unused(void) { return this_symbol_is_nowhere(); }
