int b(int);
extern const char *b_name(void);
int a_data = 5;
int a(int x) { return b(x + 1) * 10 + a_data + b_name()[0]; }
