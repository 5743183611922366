// A program's own definition takes the place of a function of the C library, for the program's libraries too.
//: lib a.so
char *tell(void) { return getenv("ANYTHING"); }
//: main a.so -rdynamic
char *tell(void);
char *getenv(const char *name) { return strcmp(name, "ANYTHING") ? 0 : "the program's"; }
int main(void) { say("%s\n", tell()); return 0; }
