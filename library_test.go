package halite_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/halite-run/halite"
	"github.com/halite-run/halite/internal/safemem"
	"github.com/halite-run/halite/toolchain"
)

// built is testdata/library, compiled once.
var built = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "halite-library"); err != nil {
		return "", err
	}
	command := filepath.Join(dir, "halite")
	if out, err := exec.Command("go", "build", "-o", command, "./cmd/halite").CombinedOutput(); err != nil {
		return dir, fmt.Errorf("%w\n%s", err, out)
	}
	for out, args := range map[string][]string{
		"liblibrary.so": {"-shared", "-fPIC", "testdata/library/library.c"},
		"libstate.so":   {"-shared", "-fPIC", "testdata/library/state.c"},
		"invoked":       {"testdata/library/invoked.c", "-lnacl"},
		"soak":          {"testdata/library/soak.c", "-pthread"},
	} {
		args = append([]string{"cc", "-O2", "-Wall", "-o", filepath.Join(dir, out)}, args...)
		if out, err := exec.Command(command, args...).CombinedOutput(); err != nil {
			return dir, fmt.Errorf("%w\n%s", err, out)
		}
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, _ := built(); dir != "" {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// config is that of the test library, with all functions that it wants.
func config(t testing.TB, name string) halite.Config {
	t.Helper()
	sysroot, err := toolchain.Sysroot()
	if errors.Is(err, toolchain.ErrNoSysroot) {
		t.Skip("no sysroot for this state of the toolchain; make sysroot builds it")
	} else if err != nil {
		t.Fatal(err)
	}
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return halite.Config{
		Program:   filepath.Join(dir, name),
		Libraries: []string{filepath.Join(sysroot, "lib")},
		Functions: map[string]any{
			"host_add":   func(c *halite.Call) { c.Return(uint64(uint32(c.Arg(0)) + uint32(c.Arg(1)))) },
			"host_scale": func(x float64, y float32) float64 { return x * float64(y) },
			"host_many": func(a, b, c, d, e, f, g int64, x float64, h int64) int64 {
				return a + 2*b + 3*c + 4*d + 5*e + 6*f + 7*g + int64(16*x) + 100*h
			},
			"host_again": func(depth int32) int32 { return -1000 },
		},
	}
}

func load(t testing.TB, c halite.Config) *halite.Library {
	t.Helper()
	lib, err := halite.Load(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lib.Close(); err != nil {
			t.Error(err)
		}
	})
	return lib
}

func library(t testing.TB) *halite.Library { return load(t, config(t, "liblibrary.so")) }

// call calls a function that must not fail.
func call(t testing.TB, lib *halite.Library, name string, args ...halite.Arg) halite.Result {
	t.Helper()
	r, err := try(lib, name, args...)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return r
}

func try(lib *halite.Library, name string, args ...halite.Arg) (halite.Result, error) {
	f, err := lib.Func(name)
	if err != nil {
		return halite.Result{}, err
	}
	return f.Call(context.Background(), args...)
}

func TestCallValues(t *testing.T) {
	lib := library(t)
	I, F := halite.Int[int], halite.Float64
	equal := func(what string, got, want any) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	equal("constructor", call(t, lib, "constructed_value").Int32(), int32(42))
	equal("add", call(t, lib, "add", I(-5), I(3)).Int32(), int32(-2))
	equal("mix", call(t, lib, "mix", I(1), F(0.5), I(2), halite.Float32(0.25)).Float64(), 3.75)
	equal("half", call(t, lib, "half", halite.Float32(3)).Float32(), float32(1.5))
	equal("nine", call(t, lib, "nine", I(1), I(2), I(3), I(4), I(5), I(6), I(7), I(8), I(9)).Int64(), int64(987654321))
	equal("floats", call(t, lib, "floats", F(1), F(1), F(1), F(1), F(1), F(1), F(1), F(1), F(2), F(3)).Float64(), 3208.0)
	equal("swap", call(t, lib, "swap", I(3), F(4)).Struct([2]bool{false, true}),
		[16]byte(binary.LittleEndian.AppendUint64([]byte{4, 0, 0, 0, 0, 0, 0, 0}, math.Float64bits(3))))

	big, out := make([]byte, 32), make([]byte, 32)
	for i := range 4 {
		binary.LittleEndian.PutUint64(big[8*i:], uint64(i))
	}
	call(t, lib, "reverse", halite.Out(out), halite.OnStack(big), I(10))
	for i := range 4 {
		equal("reverse", binary.LittleEndian.Uint64(out[8*i:]), uint64(13-i))
	}
	equal("host_add", call(t, lib, "call_add", I(-1), I(3)).Int32(), int32(2))
	equal("host_scale", call(t, lib, "call_scale", F(3), halite.Float32(0.5)).Float64(), 1.5)
	equal("host_many", call(t, lib, "call_many").Int64(), int64(140+8+800))
	equal("weak", call(t, lib, "have_never").Int32(), int32(0))
}

func TestCallMemory(t *testing.T) {
	lib := library(t)
	for _, n := range []int{0, 1, 15, 4096, 32 << 10, 32<<10 + 1, 3 << 20} {
		b := bytes.Repeat([]byte{3}, n)
		if got := call(t, lib, "sum", halite.Bytes(b), halite.Int(n)).Uint32(); got != uint32(3*n) {
			t.Errorf("sum of %d: %d", n, got)
		}
		call(t, lib, "invert", halite.InOut(b), halite.Int(n))
		if !bytes.Equal(b, bytes.Repeat([]byte{0xfc}, n)) {
			t.Errorf("invert of %d", n)
		}
		call(t, lib, "fill", halite.Out(b), halite.Int(n))
		for i := range b {
			if b[i] != byte(i) {
				t.Fatalf("fill of %d at %d", n, i)
			}
		}
	}
	args := []halite.Arg{halite.Out(make([]byte, 64)), halite.Int(64), halite.String("%s %d %.2f"), halite.String("halite"), halite.Int(7), halite.Float64(2.5)}
	buf := make([]byte, 64)
	args[0] = halite.Out(buf)
	for range 2 { // arguments can be used again
		if n := call(t, lib, "format", args...).Int32(); string(buf[:n]) != "halite 7 2.50" {
			t.Errorf("%q", buf[:n])
		}
	}
	a := lib.NewArena(t.Context())
	p, err := a.String("twelve bytes")
	if err != nil {
		t.Fatal(err)
	}
	if n := call(t, lib, "length", halite.Pointer(p)).Int64(); n != 12 {
		t.Error(n)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	at, err := lib.Var("counter")
	if err != nil {
		t.Fatal(err)
	}
	if v, err := lib.Memory().Load32(uint32(at)); v != 7 || err != nil {
		t.Error(v, err)
	}
	// What a call gets and gives costs no guest memory in the end.
	big := make([]byte, 1<<20)
	for range 500 {
		call(t, lib, "sum", halite.Bytes(big), halite.Int(len(big)))
	}
}

func TestCallErrors(t *testing.T) {
	lib := library(t)
	for _, c := range []struct{ name, want string }{
		{"missing", "undefined symbol: missing"},
		{"counter", "not a function"},
		{"per_thread", "not a function"},
	} {
		if _, err := lib.Func(c.name); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := lib.Callback(func([]byte) {}); err == nil || !strings.Contains(err.Error(), "C has no") {
		t.Error(err)
	}
	if _, err := lib.Callback(3); err == nil {
		t.Error("3 is a function")
	}
	// An address that the guest made up is an error, wherever it is used.
	p := call(t, lib, "hostile").Ptr()
	if err := lib.Memory().Write(uint32(p), make([]byte, 32)); !errors.Is(err, safemem.ErrFault) {
		t.Error(err)
	}
	if _, err := try(lib, "add", halite.OnStack(make([]byte, 1<<20))); err == nil {
		t.Error("a structure of a MiB was passed")
	}
	// None of this has hurt the library.
	if r := call(t, lib, "add", halite.Int(1), halite.Int(2)).Int32(); r != 3 {
		t.Error(r)
	}
	c := config(t, "liblibrary.so")
	delete(c.Functions, "host_add")
	if _, err := halite.Load(t.Context(), c); err == nil || !strings.Contains(err.Error(), "undefined symbol: host_add") {
		t.Error(err)
	}
	c.Program = filepath.Join(filepath.Dir(c.Program), "invoked")
	if _, err := halite.Load(t.Context(), c); err == nil || !strings.Contains(err.Error(), "a program, not a shared library") {
		t.Error(err)
	}
	c.Program = "/etc/passwd"
	if _, err := halite.Load(t.Context(), c); err == nil {
		t.Error("/etc/passwd is a library")
	}
}

// TestCallEnds: each way in which a call can end the domain, and what calls after it
// return.
func TestCallEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		args []halite.Arg
		is   func(error) bool
	}{
		{"crash", nil, func(err error) bool { var f *halite.FaultError; return errors.As(err, &f) && f.HasAddr && f.Addr == 16 }},
		{"leave", []halite.Arg{halite.Int(3)}, func(err error) bool {
			var e *halite.ExitError
			return errors.As(err, &e) && e.Ending.Code == 3
		}},
		{"leave_thread", nil, func(err error) bool { return err != nil }},
		{"abort", nil, func(err error) bool {
			var e *halite.ExitError
			return errors.As(err, &e) && e.Ending.Signal == 6
		}},
		{"call_slot", []halite.Arg{halite.Int(2000)}, func(err error) bool { var r *halite.RevokedError; return errors.As(err, &r) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			lib := library(t)
			if _, err := try(lib, c.name, c.args...); err == nil || !c.is(err) {
				t.Errorf("%v", err)
			}
			if _, err := try(lib, "add"); !errors.Is(err, halite.ErrEnded) {
				t.Errorf("afterwards: %v", err)
			}
			select {
			case <-lib.Done():
			default:
				t.Error("not done")
			}
		})
	}
}

func TestCallContext(t *testing.T) {
	lib := library(t)
	add, _ := lib.Func("add")
	spin, _ := lib.Func("spin")

	// One that has ended does not touch the library.
	ctx, cancel := context.WithCancel(context.Background())
	if _, err := add.Call(ctx, halite.Int(1), halite.Int(1)); err != nil {
		t.Fatal(err)
	}
	cancel()
	time.Sleep(10 * time.Millisecond)
	if _, err := add.Call(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	// The end of an old one does not disturb a call with another.
	for range 200 {
		ctx, cancel := context.WithCancel(context.Background())
		if _, err := add.Call(ctx); err != nil {
			t.Fatal(err)
		}
		go cancel()
		if _, err := add.Call(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel = context.WithTimeoutCause(context.Background(), 20*time.Millisecond, errors.New("too late"))
	defer cancel()
	if _, err := spin.Call(ctx); err == nil || err.Error() != "too late" {
		t.Error(err)
	}
	if _, err := add.Call(context.Background()); !errors.Is(err, halite.ErrEnded) || !strings.Contains(err.Error(), "too late") {
		t.Error(err)
	}
	// Close stops a call too.
	lib = library(t)
	spin, _ = lib.Func("spin")
	go func() {
		time.Sleep(20 * time.Millisecond)
		lib.Close()
	}()
	if _, err := spin.Call(context.Background()); !errors.Is(err, halite.ErrEnded) {
		t.Error(err)
	}
}

func TestCallback(t *testing.T) {
	lib := library(t)
	double, err := lib.Callback(func(x int32) int32 { return 2 * x })
	if err != nil {
		t.Fatal(err)
	}
	if r := call(t, lib, "apply", double.Arg(), halite.Int(20)).Int32(); r != 41 {
		t.Error(r)
	}
	if r := call(t, lib, "in_thread", double.Arg()).Int32(); r != 10 {
		t.Error(r)
	}
	// All of them, over and over.
	for range 2000 {
		cb, err := lib.Callback(func(*halite.Call) {})
		if err != nil {
			t.Fatal(err)
		}
		cb.Close()
		cb.Close()
	}
	var all []*halite.Callback
	for {
		cb, err := lib.Callback(func(*halite.Call) {})
		if err != nil {
			break
		}
		all = append(all, cb)
	}
	if len(all) < 900 {
		t.Errorf("%d callbacks", len(all))
	}
	for _, cb := range all {
		cb.Close()
	}
	if r := call(t, lib, "apply", double.Arg(), halite.Int(1)).Int32(); r != 3 {
		t.Error(r)
	}
	p := double.Ptr()
	double.Close()
	var revoked *halite.RevokedError
	if _, err := try(lib, "apply", halite.Pointer(p), halite.Int(1)); !errors.As(err, &revoked) || revoked.Address != uint32(p) {
		t.Error(err)
	}
}

// TestNesting goes back and forth between Go and two libraries.
func TestNesting(t *testing.T) {
	const depth = 10000
	var libs [2]*halite.Library
	var again [2]*halite.Func
	var deepest error
	for i := range libs {
		c := config(t, "liblibrary.so")
		c.Functions["host_again"] = func(c *halite.Call) {
			d := int32(c.Arg(0))
			r, err := again[int(d)%2].Call(c.Context(), halite.Int(d))
			if err != nil {
				deepest = err
			}
			c.Return(uint64(r.Uint32()))
		}
		libs[i] = load(t, c)
		again[i], _ = libs[i].Func("again")
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for range 2 {
		r, err := again[0].Call(ctx, halite.Int(depth))
		if err != nil || r.Int32() != depth || deepest != nil {
			t.Fatal(r.Int32(), err, deepest)
		}
	}
	// Without an end it comes to that of a stack, which only the innermost call
	// gets to know.
	if r, err := again[0].Call(ctx, halite.Int(1<<30)); err != nil || deepest == nil || r.Int32() < depth {
		t.Error(r.Int32(), err, deepest)
	}
	if r, err := again[0].Call(ctx, halite.Int(3)); err != nil || r.Int32() != 3 {
		t.Error(r.Int32(), err)
	}
}

func TestNestedContext(t *testing.T) {
	lib := library(t)
	add, _ := lib.Func("add")
	spin, _ := lib.Func("spin")
	var old context.Context
	cb, _ := lib.Callback(func(ctx context.Context, x int32) int32 {
		old = ctx
		// With another context the only thread is taken.
		short, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		if _, err := add.Call(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		// A derived one is as good; one call at a time.
		derived, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		r, err := add.Call(derived, halite.Int(x), halite.Int(1))
		if err != nil {
			t.Error(err)
		}
		return r.Int32()
	})
	if r := call(t, lib, "apply", cb.Arg(), halite.Int(1)).Int32(); r != 3 {
		t.Error(r)
	}
	// Afterwards it carries nothing any more.
	if r, err := add.Call(old, halite.Int(1), halite.Int(2)); err != nil || r.Int32() != 3 {
		t.Error(r, err)
	}
	stop, _ := lib.Callback(func(ctx context.Context, x int32) int32 {
		short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
		defer cancel()
		_, err := spin.Call(short)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		return 0
	})
	if _, err := try(lib, "apply", stop.Arg(), halite.Int(1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestPanic(t *testing.T) {
	lib := library(t)
	add, _ := lib.Func("add")
	apply, _ := lib.Func("apply")
	boom, _ := lib.Callback(func(x int32) int32 { panic(fmt.Sprint("boom ", x)) })
	outer, _ := lib.Callback(func(ctx context.Context, x int32) int32 {
		func() {
			defer func() {
				if p := recover(); p != "boom 7" {
					t.Error(p)
				}
			}()
			apply.Call(ctx, boom.Arg(), halite.Int(7))
		}()
		r, err := add.Call(ctx, halite.Int(x), halite.Int(40))
		if err != nil {
			t.Error(err)
		}
		return r.Int32()
	})
	for range 1000 {
		func() {
			defer func() {
				if p := recover(); p != "boom 1" {
					t.Error(p)
				}
			}()
			apply.Call(context.Background(), boom.Arg(), halite.Int(1))
		}()
		if r := call(t, lib, "apply", outer.Arg(), halite.Int(1)).Int32(); r != 42 {
			t.Fatal(r)
		}
	}
	quit, _ := lib.Callback(func(*halite.Call) { runtime.Goexit() })
	for range 100 {
		done := make(chan struct{})
		go func() {
			defer close(done)
			apply.Call(context.Background(), quit.Arg(), halite.Int(1))
			t.Error("Goexit returned")
		}()
		<-done
	}
	if r := call(t, lib, "add", halite.Int(1), halite.Int(2)).Int32(); r != 3 {
		t.Error(r)
	}
	// On a thread of the guest's own there is nobody to panic at.
	var p *halite.PanicError
	if _, err := try(lib, "in_thread", boom.Arg()); !errors.As(err, &p) || p.Value != "boom 5" {
		t.Error(err)
	}
}

// TestJumpOverHost: a longjmp of the guest must not pass Go's frames.
func TestJumpOverHost(t *testing.T) {
	lib := library(t)
	jump, _ := lib.Func("jump")
	cb, _ := lib.Callback(func(ctx context.Context, x int32) int32 {
		if _, err := jump.Call(ctx); err == nil {
			t.Error("jumped")
		}
		return 0
	})
	var fault *halite.FaultError
	if _, err := try(lib, "jump_over", cb.Arg()); !errors.As(err, &fault) || !strings.Contains(fault.Kind, "unwind") {
		t.Error(err)
	}
}

func TestCallers(t *testing.T) {
	const n = 8
	c := config(t, "liblibrary.so")
	c.Callers = n
	lib := load(t, c)
	meet, _ := lib.Func("meet")
	next, _ := lib.Func("next_of_thread")
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if r, err := meet.Call(context.Background(), halite.Int(n)); err != nil || r.Int32() < n {
				t.Error(r, err)
			}
		})
	}
	wg.Wait()
	// More than threads: they wait for each other.
	for range 4 * n {
		wg.Go(func() {
			for range 200 {
				if _, err := next.Call(context.Background()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	// A thread that ends in a call is replaced.
	if _, err := try(lib, "leave_thread"); err == nil {
		t.Error("the thread did not end")
	}
	if _, err := next.Call(context.Background()); err != nil {
		t.Error(err)
	}
	// The end reaches those who wait.
	spin, _ := lib.Func("spin")
	ctx, cancel := context.WithCancel(context.Background())
	for range 2 * n {
		wg.Go(func() {
			if _, err := spin.Call(ctx); err == nil {
				t.Error("no error")
			}
		})
	}
	time.Sleep(20 * time.Millisecond)
	cancel()
	wg.Wait()
}

// TestSuspend: while a library is suspended no call of it begins or goes on.
func TestSuspend(t *testing.T) {
	c := config(t, "liblibrary.so")
	c.Callers = 4
	lib := load(t, c)
	add, _ := lib.Func("add")
	var calls atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if r, err := add.Call(context.Background(), halite.Int(i), halite.Int(1)); err != nil || r.Int32() != int32(i+1) {
					t.Error(r.Int32(), err)
					return
				}
				calls.Add(1)
			}
		})
	}
	for range 50 {
		if err := lib.Process().Suspend(t.Context()); err != nil {
			t.Fatal(err)
		}
		// Those that had come back from the guest may still be counted.
		time.Sleep(time.Millisecond)
		before := calls.Load()
		time.Sleep(time.Millisecond)
		if n := calls.Load() - before; n > 8 {
			t.Errorf("%d calls of a suspended library", n)
		}
		lib.Process().Resume()
		for calls.Load() == before {
			time.Sleep(10 * time.Microsecond)
		}
	}
	close(stop)
	wg.Wait()
	if s := lib.Process().Stats(); s.Threads < 2 || s.Memory == 0 || s.CPU != 0 {
		t.Errorf("%+v", s)
	}
}

func TestExit(t *testing.T) {
	c := config(t, "liblibrary.so")
	var out bytes.Buffer
	c.Stdout = &out
	lib := load(t, c)
	call(t, lib, "say", halite.String("said "))
	if err := lib.Exit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out.String() != "said destructed\n" {
		t.Errorf("%q", out.String())
	}
}

// TestForged: a guest calls every trampoline and asks for what it must not.
func TestForged(t *testing.T) {
	lib := library(t)
	if r := call(t, lib, "wait_inside").Int32(); r != -16 {
		t.Errorf("return_and_wait inside of a call: %d, want -EBUSY", r)
	}
	for _, slot := range []uint32{161, 999, 1023, 1028, 1087} {
		call(t, lib, "call_slot", halite.Int(slot)) // unknown: an error number, no harm
	}
	// Arguments of any kind: Go sees numbers.
	many, _ := lib.Callback(func(c *halite.Call) {
		for i := range 2000 {
			c.Arg(i)
			c.StackArg(-i)
			c.StackArg(i << 20)
		}
		if err := c.Memory().Write(uint32(c.Arg(0)), []byte{1}); err == nil {
			t.Error("written at 1")
		}
	})
	call(t, lib, "apply", many.Arg(), halite.Int(1))
}

// TestTOCTOU: while one thread of the guest calls with a buffer, another writes where
// the copy of it lies. What Go gets is what was there at one moment, as long as its
// own buffer, and nothing else of Go's is touched.
func TestTOCTOU(t *testing.T) {
	c := config(t, "liblibrary.so")
	c.Callers = 2
	lib := load(t, c)
	where, _ := lib.Func("where")
	size := 4096
	b := make([]byte, size+16)
	target, err := lib.Malloc(t.Context(), 8)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var stop atomic.Bool
	started := make(chan struct{})
	// Asked for the first time it finds out where the other thread has its buffer.
	begin := sync.OnceFunc(func() {
		r, err := where.Call(context.Background(), halite.InOut(b[8:8+size]), halite.Int(0))
		if err != nil {
			t.Error(err)
		}
		if err := lib.Memory().Store64(uint32(target), uint64(r.Ptr())); err != nil {
			t.Error(err)
		}
		close(started)
	})
	more, _ := lib.Callback(func(c *halite.Call) {
		begin()
		if !stop.Load() {
			c.Return(1)
		}
	})
	wg.Go(func() { call(t, lib, "scribble", halite.Pointer(target), more.Arg()) })
	<-started
	changed := 0
	for range 2000 {
		if _, err := where.Call(t.Context(), halite.InOut(b[8:8+size]), halite.Int(2000)); err != nil {
			t.Fatal(err)
		}
		for _, x := range b[8 : 8+size] {
			if x != 0 {
				changed++
				break
			}
		}
		clear(b[8 : 8+size])
		for i, x := range append(b[:8:8], b[8+size:]...) {
			if x != 0 {
				t.Fatalf("byte %d outside of the buffer was written", i)
			}
		}
	}
	stop.Store(true)
	wg.Wait()
	t.Logf("%d of 2000 buffers were written to meanwhile", changed)
}

// TestLoadLeaks loads, calls and closes over and over.
func TestLoadLeaks(t *testing.T) {
	n := 200
	if os.Getenv("HALITE_SOAK") != "" {
		n = 10000
	}
	c := config(t, "liblibrary.so")
	round := func(i int) {
		c.Callers = i % 3
		lib, err := halite.Load(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		call(t, lib, "add", halite.Int(1), halite.Int(2))
		if i%4 == 1 {
			try(lib, "crash")
		}
		if i%4 == 2 {
			call(t, lib, "in_thread", halite.Pointer(mustFunc(t, lib, "half")))
		}
		if err := lib.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		round(i)
	}
	before := resources()
	for i := range n {
		round(i)
	}
	noMore(t, before)
}

func mustFunc(t *testing.T, lib *halite.Library, name string) halite.Ptr {
	f, err := lib.Func(name)
	if err != nil {
		t.Fatal(err)
	}
	return f.Ptr()
}

// TestInvoke: a program waits for messages and answers them.
func TestInvoke(t *testing.T) {
	c := config(t, "invoked")
	c.Functions, c.Invocable = nil, true
	start := func() *halite.Process {
		p, err := halite.New(c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		answer, _, err := p.Start(context.Background())
		if err != nil || string(answer) != "ready" {
			t.Fatalf("%q %v", answer, err)
		}
		return p
	}
	ctx := context.Background()
	p := start()
	ask := func(msg string, descs ...halite.Descriptor) (string, []halite.Descriptor) {
		t.Helper()
		answer, out, err := p.Invoke(ctx, []byte(msg), descs...)
		if err != nil {
			t.Fatalf("%.20s: %v", msg, err)
		}
		return string(answer), out
	}
	long := strings.Repeat("x", 950)
	for i, c := range []struct{ msg, want string }{
		{"hello", "1:hello"}, {"in two pieces of memory", "2:in two pieces of memory"}, {"", "3:"},
		{long, "4:" + long[:900] + " flags 1"},
		{"badfd", "error 9"}, {"toomany", "error 22"}, {"toolong", "error 22"},
	} {
		if got, _ := ask(c.msg); got != c.want {
			t.Errorf("%d: %.40q, want %.40q", i, got, c.want)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("of the host"), 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, _ := ask("file", f); got != "8:file read of the host" {
		t.Errorf("%q", got)
	}
	if got, _ := ask("five", f, f, f, f, f); !strings.Contains(got, "flags 2") {
		t.Errorf("%q", got)
	}
	_, pipe := ask("pipe")
	if len(pipe) != 2 {
		t.Fatal(pipe)
	}
	for _, x := range pipe {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, _, err := p.Invoke(ctx, make([]byte, 200<<10)); err == nil {
		t.Error("200 KiB were passed")
	}
	if _, _, err := p.Invoke(ctx, nil, pipe[0]); err == nil {
		t.Error("a closed descriptor was passed")
	}
	if got, _ := ask("fine"); got != "11:fine" {
		t.Errorf("%q", got)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, _, err := p.Invoke(ended, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { ask("from several goroutines") })
	}
	wg.Wait()

	var exit *halite.ExitError
	if _, _, err := p.Invoke(ctx, []byte("exit")); !errors.As(err, &exit) || exit.Ending.Code != 5 {
		t.Error(err)
	}
	if _, _, err := p.Invoke(ctx, nil); !errors.Is(err, halite.ErrEnded) {
		t.Error(err)
	}
	var fault *halite.FaultError
	if _, _, err := start().Invoke(ctx, []byte("crash")); !errors.As(err, &fault) {
		t.Error(err)
	}
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if _, _, err := start().Invoke(short, []byte("spin")); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	// Started by Run it is told that nobody invokes it.
	c.Invocable = false
	short, cancel = context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if _, err := halite.Run(short, c); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	// A library takes no messages.
	if _, _, err := library(t).Process().Invoke(ctx, []byte("x")); err == nil {
		t.Error("a library took a message")
	}
}

// TestCallTooLate: a call whose context has just ended leaves the library alone.
func TestCallTooLate(t *testing.T) {
	lib := load(t, config(t, "liblibrary.so"))
	f, err := lib.Func("nothing")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3000 {
		ctx, cancel := context.WithCancel(t.Context())
		if i%2 == 0 {
			if _, err := f.Call(ctx); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		if _, err := f.Call(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, halite.ErrEnded) {
			t.Fatalf("%d: %v", i, err)
		}
		if _, err := f.Call(t.Context()); err != nil {
			t.Fatalf("%d: the next call: %v", i, err)
		}
	}
}
