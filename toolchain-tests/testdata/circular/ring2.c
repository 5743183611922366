int one(int);
int two(int n) { return n <= 0 ? 2 : one(n - 1) * 2 % 1009; }
