// A program that takes the address of something that nobody defines does not start.
// says: undefined symbol: gone, needed by
//: lib a.so
int there(void) { return 1; }
int gone = 1;
//: main a.so
int there(void);
extern int gone;
int *p = &gone;
int main(void) { say("%d %d\n", there(), *p); return 0; }
//: lib a.so
int there(void) { return 1; }
