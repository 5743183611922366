int da_array[10];
static int hidden(void) { return 5; }
int da(void) { return hidden(); }
