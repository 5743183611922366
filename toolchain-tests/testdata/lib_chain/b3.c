int c(int);
extern int c_data[];
static const char *names[] = {"bee", "two"};
const char *b_name(void) { return names[0]; }
int b(int x) { return c(x + 1) * 10 + c_data[2]; }
