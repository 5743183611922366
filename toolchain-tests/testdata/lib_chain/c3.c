int c_data[3] = {1, 2, 3};
int *c_ptr = &c_data[1];
int c(int x) { return x * 10 + *c_ptr; }
