package halite_test

import (
	"context"
	"testing"

	"github.com/halite-run/halite"
)

// BenchmarkCall is what a library author pays: a call of nothing, of add with two
// arguments, and of add through a Go function and back.
func BenchmarkCall(b *testing.B) {
	lib, err := halite.Load(context.Background(), config(b, "liblibrary.so"))
	if err != nil {
		b.Fatal(err)
	}
	defer lib.Close()
	for _, c := range []struct {
		name string
		args []halite.Arg
	}{{"nothing", nil}, {"add", []halite.Arg{halite.Int(1), halite.Int(2)}}, {"call_add", []halite.Arg{halite.Int(1), halite.Int(2)}}} {
		b.Run(c.name, func(b *testing.B) {
			f, err := lib.Func(c.name)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.Call(context.Background(), c.args...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
