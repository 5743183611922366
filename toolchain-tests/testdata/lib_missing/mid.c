int gone(void);
int mid(void) { return gone(); }
