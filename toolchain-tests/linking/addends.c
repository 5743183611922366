// Pointers into the middle of another library's array, in a table of constants.
//: lib a.so
int array[10] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 };
//: lib b.so a.so
extern int array[10];
int *const inside[3] = { array, &array[5], &array[10] - 1 };
//: main b.so a.so
extern int array[10];
extern int *const inside[3];
int main(void) { say("%d %d %d %d\n", *inside[0], *inside[1], *inside[2], inside[1] == &array[5]); return 0; }
