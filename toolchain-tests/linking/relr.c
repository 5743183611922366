// Packed relative relocations.
// skip musl: version 1.2.3 does not know DT_RELR
//: lib a.so -Wl,-z,pack-relative-relocs
static int v[200];
static int *const table[200] = { [0] = &v[3], [1] = &v[4], [62] = v, [63] = &v[1], [64] = &v[2], [126] = &v[7], [127] = &v[8], [199] = &v[199] };
int *base(void) { return v; }
int *entry(int i) { return table[i]; }
//: main a.so
int *base(void), *entry(int);
int main(void)
{
	for (int i = 0; i < 200; i++)
		if (entry(i))
			say("%d:%d ", i, (int)(entry(i) - base()));
	say("\n");
	return 0;
}
