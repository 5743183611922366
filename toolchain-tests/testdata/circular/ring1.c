int two(int);
int one(int n) { return n <= 0 ? 1 : two(n - 1) + 1; }
