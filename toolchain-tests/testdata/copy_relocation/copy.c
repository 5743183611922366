int counter = 3;
const char *const message = "constant";
struct { int a[5]; } table = {{1, 2, 3, 4, 5}};
int bump(void) { return ++counter; }
int *where(void) { return &counter; }
