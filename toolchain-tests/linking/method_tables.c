// Tables of functions as C++ compilers make them: a base's in one library, overridden in another, called through both.
//: lib base.so
struct object { int (*const *methods)(struct object *); int value; };
int get(struct object *o) { return o->value; }
int twice(struct object *o) { return o->methods[0](o) * 2; }
int (*const base_methods[2])(struct object *) = { get, twice };
//: lib derived.so base.so
struct object { int (*const *methods)(struct object *); int value; };
int get(struct object *), twice(struct object *);
extern int (*const base_methods[2])(struct object *);
static int more(struct object *o) { return base_methods[0](o) + 100; }
int (*const derived_methods[2])(struct object *) = { more, twice };
//: main derived.so base.so
struct object { int (*const *methods)(struct object *); int value; };
extern int (*const base_methods[2])(struct object *), (*const derived_methods[2])(struct object *);
int main(void)
{
	struct object b = { base_methods, 3 }, d = { derived_methods, 4 };
	say("%d %d %d\n", b.methods[1](&b), d.methods[1](&d), b.methods[1] == d.methods[1]);
	return 0;
}
