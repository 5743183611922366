// A library whose variable has become larger since the program was linked.
//: lib a.so
int v[2] = { 1, 2 };
int get(int i) { return v[i]; }
//: main a.so
extern int v[2];
int get(int);
int main(void)
{
	v[1] = 20;
	say("%d %d %d %d\n", v[0], v[1], get(0), get(1));
	return 0;
}
//: lib a.so
int v[4] = { 5, 6, 7, 8 };
int get(int i) { return v[i]; }
