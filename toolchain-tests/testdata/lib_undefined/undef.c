int no_such_function(void);
int undef(void) { return no_such_function(); }
