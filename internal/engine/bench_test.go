package engine

import (
	"testing"

	"github.com/halite-run/halite/internal/cage"
)

// BenchmarkCall is a call of an empty function and its return.
func BenchmarkCall(b *testing.B) {
	_, c := newGuest(b)
	at := symbol("nothing")
	for b.Loop() {
		c.SetCall(at, guestStack, 1, 2)
		if c.Resume().Reason != ExitReturn {
			b.Fatal("no return")
		}
	}
}

// BenchmarkCallInOne is the same by Context.Call.
func BenchmarkCallInOne(b *testing.B) {
	_, c := newGuest(b)
	at := symbol("nothing")
	a := [6]uint64{1, 2}
	for b.Loop() {
		if c.Call(at, guestStack, &a).Reason != ExitReturn {
			b.Fatal("no return")
		}
	}
}

// BenchmarkHostCall is a call of a trampoline and the way back.
func BenchmarkHostCall(b *testing.B) {
	_, c := newGuest(b)
	start(c, "calls", 1<<62)
	for b.Loop() {
		if c.Resume().Reason != ExitCall {
			b.Fatal("no call")
		}
		c.Regs().RAX = 0
	}
	c.Leave()
}

// BenchmarkServed is one that is answered before Resume returns.
func BenchmarkServed(b *testing.B) {
	_, c := newGuest(b)
	n := 0
	c.SetServer(func(uint32) bool {
		c.Regs().RAX = 0
		n++
		return n%1000 != 0
	})
	start(c, "calls", 1<<62)
	b.ResetTimer()
	for n < b.N {
		if c.Resume().Reason != ExitCall {
			b.Fatal("no call")
		}
	}
	c.Leave()
}

// BenchmarkHostCallX87 is a call with values on the x87 stack.
func BenchmarkHostCallX87(b *testing.B) {
	_, c := newGuest(b)
	for b.Loop() {
		start(c, "x87live")
		c.Resume()
		if c.Resume().Reason != ExitReturn {
			b.Fatal("no return")
		}
	}
}

// BenchmarkHostCallDetached is one that releases the processor each time.
func BenchmarkHostCallDetached(b *testing.B) {
	_, c := newGuest(b)
	c.SetDetached(true)
	start(c, "calls", 1<<62)
	for b.Loop() {
		if c.Resume().Reason != ExitCall {
			b.Fatal("no call")
		}
		c.Regs().RAX = 0
	}
	c.Leave()
}

// BenchmarkSwitch calls in turn through contexts of two sandboxes.
func BenchmarkSwitch(b *testing.B) {
	_, c := newGuest(b)
	_, d := newGuest(b)
	at := symbol("nothing")
	for b.Loop() {
		c.SetCall(at, guestStack)
		c.Resume()
		c, d = d, c
	}
}

// BenchmarkNested is a call of the same guest thread from a call of the host,
// with all that must be saved.
func BenchmarkNested(b *testing.B) {
	_, c := newGuest(b)
	start(c, "calls", 2)
	c.Resume()
	at := symbol("nothing")
	for b.Loop() {
		s := c.Save()
		c.SetCall(at, guestStack)
		c.Resume()
		c.Restore(s)
	}
}

// BenchmarkFault is a call that faults, to the error and the end of the
// invocation.
func BenchmarkFault(b *testing.B) {
	for _, name := range []string{"read", "illegal"} {
		b.Run(name, func(b *testing.B) {
			_, c := newGuest(b)
			for b.Loop() {
				start(c, name)
				if c.Resume().Reason != ExitFault {
					b.Fatal("no fault")
				}
				c.Leave()
			}
		})
	}
}

func BenchmarkContext(b *testing.B) {
	s := newSandbox(b)
	for b.Loop() {
		c, err := NewContext(s.Base(), ContextOptions{})
		if err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
}

// BenchmarkSandbox makes a cage with text and memory, calls it once, and
// closes it.
func BenchmarkSandbox(b *testing.B) {
	for b.Loop() {
		box, err := makeSandbox()
		if err != nil {
			b.Fatal(err)
		}
		c, err := NewContext(box.Base(), ContextOptions{})
		if err != nil {
			b.Fatal(err)
		}
		start(c, "add", 1, 2)
		if c.Resume().Reason != ExitReturn {
			b.Fatal("no return")
		}
		c.Close()
		box.Close()
	}
}

func BenchmarkCage(b *testing.B) {
	t := Trampolines()
	for b.Loop() {
		c, err := cage.New(cage.Config{Trampolines: t})
		if err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
}
