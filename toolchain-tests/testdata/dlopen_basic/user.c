int plug(int);
int user(void) { return plug(3); }
