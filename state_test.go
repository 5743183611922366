package halite_test

import (
	"context"
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/halite-run/halite"
	"github.com/halite-run/halite/internal/engine"
)

// Ways out of a guest, as state.c has them.
const (
	wayReturn = iota
	wayCall
	waySystemCall
	wayRead
	wayIllegal
	waySpin
	wayWait
	wayExit
	wayPanic
	wayGoexit
	wayThread
)

var wayNames = []string{"return", "call", "system call", "read fault", "illegal instruction", "deadline", "preemption", "exit", "panic", "Goexit", "thread"}

// clean fails if Go code finds what a guest has left in the CPU.
func clean(t *testing.T, where string) {
	t.Helper()
	mxcsr, fcw, fsw, flags := engine.HostState()
	// Sticky flags of Go's own computing are no leak; flags: direction, alignment check,
	// nested task.
	if mxcsr&0xffc0 != 0x1f80 || fcw != 0x37f || fsw&0x3880 != 0 || flags&0x44400 != 0 {
		t.Errorf("%s: mxcsr %#x, x87 control %#x, status %#x, flags %#x", where, mxcsr, fcw, fsw, flags)
	}
	// And what would come of it.
	three, tiny, zero := 3.0, math.SmallestNonzeroFloat64, 0.0
	if math.Float64bits(2/three) != 0x3fe5555555555555 || math.Float64bits(1/-three) != 0xbfd5555555555555 || tiny+tiny == 0 || !math.IsInf(1/zero, 1) {
		t.Errorf("%s: Go computes otherwise", where)
	}
}

type cleanWriter struct {
	t *testing.T
	n int
}

func (w *cleanWriter) Write(b []byte) (int, error) {
	clean(w.t, "in a system call")
	w.n++
	return len(b), nil
}

// TestState: on every way out of a guest, Go finds the CPU as it left it, and the next
// guest finds nothing of this one.
func TestState(t *testing.T) {
	out := &cleanWriter{t: t}
	calls := 0
	c := config(t, "libstate.so")
	c.Stdout = out
	c.Functions = map[string]any{
		"seen": func(call *halite.Call) {
			calls++
			clean(t, "in a call")
			call.Return(call.Arg(0))
		},
		"leave_go": func(call *halite.Call) {
			clean(t, "in a call")
			if call.Arg(0) == wayPanic {
				panic("of Go")
			}
			runtime.Goexit()
		},
	}
	found := mustGet(t, load(t, c), "found")
	for way, name := range wayNames {
		for pending := range 2 {
			name := name + []string{"", ", an x87 exception pending"}[pending]
			lib := load(t, c)
			state := mustGet(t, lib, "state")
			if way == wayWait {
				flag, err := lib.Var("go_on")
				if err != nil {
					t.Fatal(err)
				}
				go func() {
					for range 5 {
						time.Sleep(5 * time.Millisecond)
						runtime.GC()
					}
					_ = lib.Memory().Store32(uint32(flag), 1)
				}()
			}
			over := make(chan struct{})
			go func() { // a goroutine that Goexit may end
				defer close(over)
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				defer clean(t, name)
				defer func() {
					if r, err := found.Call(t.Context()); err != nil || r.Int32() != 0 {
						t.Errorf("%s: another guest finds %#x, %v", name, r.Int32(), err)
					}
				}()
				defer func() {
					if p := recover(); p != nil && (way != wayPanic || p != "of Go") {
						t.Errorf("%s: %v", name, p)
					}
				}()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if way == waySpin {
					ctx, cancel = context.WithTimeout(ctx, 20*time.Millisecond)
					defer cancel()
				}
				_, err := state.Call(ctx, halite.Int(way), halite.Int(pending))
				clean(t, name)
				checkWay(t, name, way, pending == 1, err)
			}()
			<-over
		}
	}
	if calls != 1 || out.n != 1 { // with an exception pending the guest faults before
		t.Errorf("%d calls, %d system calls", calls, out.n)
	}
}

func checkWay(t *testing.T, name string, way int, pending bool, err error) {
	var fault *halite.FaultError
	var exit *halite.ExitError
	ok := err == nil
	switch {
	case way == waySpin:
		ok = errors.Is(err, context.DeadlineExceeded)
	case way == wayRead:
		ok = errors.As(err, &fault) && strings.Contains(fault.Error(), "SIGSEGV")
	case way == wayIllegal:
		ok = errors.As(err, &fault) && strings.Contains(fault.Error(), "SIGILL")
	case pending && way != wayReturn && way != wayWait && way != wayThread:
		// The trampoline looks at the x87 stack, which takes the exception there.
		ok = errors.As(err, &fault) && strings.Contains(fault.Error(), "SIGFPE")
	case way == wayExit:
		ok = errors.As(err, &exit) && exit.Ending.Code == 3
	}
	if !ok {
		t.Errorf("%s: %v", name, err)
	}
}
