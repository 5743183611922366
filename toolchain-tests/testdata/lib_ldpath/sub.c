int sub(int x) { return x * 11; }
