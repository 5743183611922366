// A program whose library is missing does not start; no constructor runs.
// says: gone.so: not found, needed by /app/a.so; searched: /app (LD_LIBRARY_PATH), /lib
//: lib gone.so
int gone(void) { return 1; }
//: lib a.so gone.so
UP(a)
//: main a.so
int main(void) { say("main\n"); return 0; }
//: remove gone.so
