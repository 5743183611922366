int five(int x) { return x + 5; }
