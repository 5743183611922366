package halite_test

import (
	"context"
	"testing"

	"github.com/halite-run/halite"
)

// BenchmarkCall is what a library author pays: a call of nothing, of add with two
// arguments, of add through a Go function and back, and of nothing with a context that
// can end.
func BenchmarkCall(b *testing.B) {
	lib, err := halite.Load(context.Background(), config(b, "liblibrary.so"))
	if err != nil {
		b.Fatal(err)
	}
	defer lib.Close()
	never := context.Background()
	ends, cancel := context.WithCancel(never)
	defer cancel()
	two := []halite.Arg{halite.Int(1), halite.Int(2)}
	for _, c := range []struct {
		name, function string
		ctx            context.Context
		args           []halite.Arg
	}{{"nothing", "nothing", never, nil}, {"add", "add", never, two}, {"call_add", "call_add", never, two}, {"nothing,stoppable", "nothing", ends, nil}} {
		b.Run(c.name, func(b *testing.B) {
			f, err := lib.Func(c.function)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.Call(c.ctx, c.args...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkLoad is a domain with the library and the C library, a call and its end.
func BenchmarkLoad(b *testing.B) {
	c := config(b, "liblibrary.so")
	for b.Loop() {
		lib, err := halite.Load(context.Background(), c)
		if err != nil {
			b.Fatal(err)
		}
		callNothing(b, lib)
		lib.Close()
	}
}

func callNothing(b *testing.B, lib *halite.Library) {
	f, err := lib.Func("nothing")
	if err == nil {
		_, err = f.Call(context.Background())
	}
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkTemplate is the same for copies of a template.
func BenchmarkTemplate(b *testing.B) {
	lib, err := halite.Load(context.Background(), config(b, "liblibrary.so"))
	if err != nil {
		b.Fatal(err)
	}
	callNothing(b, lib)
	t, err := lib.Template()
	if err != nil {
		b.Fatal(err)
	}
	defer t.Close()
	b.Run("New", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			lib, err := t.New()
			if err != nil {
				b.Fatal(err)
			}
			callNothing(b, lib)
			lib.Close()
		}
	})
	b.Run("Reset", func(b *testing.B) {
		lib, err := t.New()
		if err != nil {
			b.Fatal(err)
		}
		defer lib.Close()
		b.ReportAllocs()
		for b.Loop() {
			callNothing(b, lib)
			if err := lib.Reset(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkCallArguments makes the arguments for each call, as programs do.
func BenchmarkCallArguments(b *testing.B) {
	lib, err := halite.Load(context.Background(), config(b, "liblibrary.so"))
	if err != nil {
		b.Fatal(err)
	}
	defer lib.Close()
	f, err := lib.Func("add")
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		if _, err := f.Call(context.Background(), halite.Int(i), halite.Int(2)); err != nil {
			b.Fatal(err)
		}
	}
}
