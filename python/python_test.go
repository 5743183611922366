package python

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/big"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/halite-run/halite"
	"github.com/halite-run/halite/ld"
	"github.com/halite-run/halite/loader"
	"github.com/halite-run/halite/toolchain/driver"
	"github.com/halite-run/halite/toolchain/ports"
)

// The test binary is also the compiler that the port is built with.
func TestMain(m *testing.M) {
	if handled, code := driver.MultiCall(os.Args); handled {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// home is the installed port; it is built if it is not there.
func home(t testing.TB) string {
	t.Helper()
	if h := os.Getenv("HALITE_PYTHON"); h != "" {
		return h
	}
	if dir, _, _ := ports.Find("python"); dir != "" {
		return dir
	}
	if testing.Short() {
		t.Skip("skipped: builds CPython")
	}
	dir, err := ports.Python(t.Context(), ports.Options{Log: os.Stderr})
	if err != nil {
		t.Skipf("skipped: %v", err)
	}
	return dir
}

func start(t testing.TB, cfg Config) *Interpreter {
	t.Helper()
	cfg.Home = home(t)
	p, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestValues(t *testing.T) {
	p := start(t, Config{})
	huge, _ := new(big.Int).SetString("-123456789012345678901234567890", 10)
	for _, v := range []any{
		nil, true, false, int64(0), int64(-1), int64(1) << 31, int64(-1) << 31, int64(-1) << 63, int64(1)<<62 + 12345, huge,
		new(big.Int).Lsh(big.NewInt(1), 10000), 1.5, complex(1, -2), "", "grüße, 世界 🙂", []byte{0, 255}, []any{}, []any{int64(1), "a", []any{nil}},
		Tuple{}, Tuple{int64(1), Tuple{}}, map[string]any{}, map[string]any{"a": int64(1), "b": map[string]any{"c": 2.5}},
		Dict{{int64(1), "x"}, {Tuple{int64(2)}, nil}},
	} {
		if err := p.Set(t.Context(), "v", v); err != nil {
			t.Fatalf("%v: %v", v, err)
		}
		got, err := p.Eval(t.Context(), "v")
		if err != nil {
			t.Fatalf("%v: %v", v, err)
		}
		if !reflect.DeepEqual(got, v) {
			t.Errorf("%#v came back as %#v", v, got)
		}
	}
	if v, err := p.Eval(t.Context(), "{3}"); err != nil || !reflect.DeepEqual(v, Set{int64(3)}) {
		t.Errorf("%#v, %v", v, err)
	}
	if err := p.Set(t.Context(), "v", make(chan int)); err == nil {
		t.Error("a channel was given to Python")
	}
}

func TestCalls(t *testing.T) {
	var out bytes.Buffer
	p := start(t, Config{Stdout: &out})
	ctx := t.Context()
	if err := p.Exec(ctx, "def greet(name, *, end='!'):\n    print('greeting', name)\n    return 'hello, ' + name + end\n"); err != nil {
		t.Fatal(err)
	}
	if v, err := p.Call(ctx, "greet", "world"); v != "hello, world!" || err != nil {
		t.Error(v, err)
	}
	if v, err := p.CallKw(ctx, "greet", []any{"you"}, map[string]any{"end": "?"}); v != "hello, you?" || err != nil {
		t.Error(v, err)
	}
	if out.String() != "greeting world\ngreeting you\n" {
		t.Errorf("output: %q", out.String())
	}
	if v, err := p.Call(ctx, "math.gcd", 12, 18); v != int64(6) || err != nil {
		t.Error(v, err)
	}
	if v, err := p.Call(ctx, "len", "abc"); v != int64(3) || err != nil {
		t.Error(v, err)
	}
	// What has no plain value stays where it is.
	v, err := p.Eval(ctx, "__import__('collections').Counter('abca')")
	if err != nil {
		t.Fatal(err)
	}
	o, ok := v.(*Object)
	if !ok || o.Type() != "Counter" {
		t.Fatalf("%#v", v)
	}
	if v, err := p.Call(ctx, "dict", o); !reflect.DeepEqual(v, map[string]any{"a": int64(2), "b": int64(1), "c": int64(1)}) || err != nil {
		t.Error(v, err)
	}
	most, err := o.Attr(ctx, "most_common")
	if err != nil {
		t.Fatal(err)
	}
	if v, err := most.(*Object).Call(ctx, 1); !reflect.DeepEqual(v, []any{Tuple{"a", int64(2)}}) || err != nil {
		t.Error(v, err)
	}
	o.Release()
	if _, err := p.Call(ctx, "dict", o); err == nil {
		t.Error("a released object was used")
	}
}

func TestExceptions(t *testing.T) {
	p := start(t, Config{})
	err := p.ExecFile(t.Context(), "job.py", "def f():\n    return 1 / 0\n\nf()\n")
	var e *Exception
	if !errors.As(err, &e) || e.Type != "ZeroDivisionError" || e.Message != "division by zero" {
		t.Fatal(err)
	}
	if !strings.Contains(e.Traceback, "File \"job.py\", line 4, in <module>\n") || strings.Contains(e.Traceback, "serve") {
		t.Error(e.Traceback)
	}
	if err := p.Exec(t.Context(), "1 +"); !errors.As(err, &e) || e.Type != "SyntaxError" {
		t.Error(err)
	}
	if _, err := p.Call(t.Context(), "no.such.module"); !errors.As(err, &e) || e.Type != "ModuleNotFoundError" {
		t.Error(err)
	}
	if Ended(err) {
		t.Error("an exception is taken for an end")
	}
	if err := p.Exec(t.Context(), "raise SystemExit(3)"); !errors.As(err, &e) || e.Type != "SystemExit" {
		t.Error(err)
	}
	if v, err := p.Eval(t.Context(), "1"); v != int64(1) || err != nil {
		t.Error(v, err)
	}
}

func TestHostFunctions(t *testing.T) {
	var p *Interpreter
	p = start(t, Config{Functions: map[string]Func{
		"add": func(_ context.Context, a []any, kw map[string]any) (any, error) {
			return a[0].(int64) + a[1].(int64) + int64(len(kw)), nil
		},
		"fail": func(context.Context, []any, map[string]any) (any, error) { return nil, errors.New("out of paper") },
		"back": func(ctx context.Context, a []any, _ map[string]any) (any, error) {
			return a[0].(*Object).Call(ctx, 20)
		},
		"again": func(ctx context.Context, a []any, _ map[string]any) (any, error) {
			return p.Call(ctx, "depth", a[0].(int64)-1)
		},
	}})
	ctx := t.Context()
	for expr, want := range map[string]any{
		"__import__('nacl').host.add(1, 2)":                     int64(3),
		"__import__('nacl').host.add(1, 2, x=1)":                int64(4),
		"__import__('nacl').host.back(lambda x: x + 1)":         int64(21),
		"[__import__('nacl').host.add(i, i) for i in range(3)]": []any{int64(0), int64(2), int64(4)},
	} {
		if v, err := p.Eval(ctx, expr); !reflect.DeepEqual(v, want) || err != nil {
			t.Errorf("%s: %#v, %v", expr, v, err)
		}
	}
	err := p.Exec(ctx, `
from nacl import host, HostError
try:
    host.fail()
except HostError as e:
    assert str(e) == "out of paper", e
else:
    assert False
def depth(n):
    return host.again(n) + 1 if n else 0
`)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := p.Call(ctx, "depth", 10); v != int64(10) || err != nil {
		t.Error(v, err)
	}
	var e *Exception
	if _, err := p.Eval(ctx, "host.nothing()"); !errors.As(err, &e) || !strings.Contains(e.Message, `no function "nothing"`) {
		t.Error(err)
	}
	// Other threads call the host too.
	if v, err := p.Eval(ctx, "list(__import__('concurrent.futures').futures.ThreadPoolExecutor(4).map(host.add, range(50), range(50)))"); err != nil || len(v.([]any)) != 50 || v.([]any)[49] != int64(98) {
		t.Error(v, err)
	}
}

// TestRunaways: each limit ends the script that runs into it, with an error
// that names it, and nothing else.
func TestRunaways(t *testing.T) {
	t.Run("endless loop", func(t *testing.T) {
		p := start(t, Config{})
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		err := p.Exec(ctx, "n = 0\nwhile True: n += 1")
		if !errors.Is(err, context.DeadlineExceeded) || Ended(err) {
			t.Fatal(err)
		}
		// It was interrupted, and can go on.
		if v, err := p.Eval(t.Context(), "n > 0"); v != true || err != nil {
			t.Error(v, err)
		}
	})
	t.Run("endless loop that defends itself", func(t *testing.T) {
		p := start(t, Config{})
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		err := p.Exec(ctx, "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass")
		if !errors.Is(err, context.DeadlineExceeded) || !Ended(err) {
			t.Fatal(err)
		}
		if _, err := p.Eval(t.Context(), "1"); !Ended(err) {
			t.Error(err)
		}
	})
	t.Run("endless loop in C", func(t *testing.T) {
		p := start(t, Config{})
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if err := p.Exec(ctx, "sum(x for x in iter(int, 1))\n"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if err := p.Exec(ctx, "(9 ** (9 ** 7)) ** 9\n"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
	})
	t.Run("memory", func(t *testing.T) {
		p := start(t, Config{MaxMemory: 128 << 20})
		var e *Exception
		err := p.Exec(t.Context(), "l = []\nwhile True: l.append(bytes(1 << 20))")
		if !errors.As(err, &e) || e.Type != "MemoryError" {
			t.Fatal(err)
		}
		if err := p.Exec(t.Context(), "del l"); err != nil {
			t.Fatal(err)
		}
		if err := p.Exec(t.Context(), "bytes(1 << 40)"); !errors.As(err, &e) || e.Type != "MemoryError" {
			t.Fatal(err)
		}
	})
	t.Run("fork", func(t *testing.T) {
		p := start(t, Config{})
		var e *Exception
		if err := p.Exec(t.Context(), "import os\nwhile True: os.fork()"); !errors.As(err, &e) || e.Type != "OSError" {
			t.Fatal(err)
		}
		if err := p.Exec(t.Context(), "import subprocess\nsubprocess.run(['ls'])"); !errors.As(err, &e) || e.Type != "OSError" {
			t.Fatal(err)
		}
	})
	t.Run("threads", func(t *testing.T) {
		p := start(t, Config{MaxThreads: 20})
		var e *Exception
		err := p.Exec(t.Context(), "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()")
		if !errors.As(err, &e) || e.Type != "RuntimeError" || e.Message != "can't start new thread" {
			t.Fatal(err)
		}
	})
	t.Run("recursion", func(t *testing.T) {
		p := start(t, Config{})
		var e *Exception
		if err := p.Exec(t.Context(), "def f(): f()\nf()"); !errors.As(err, &e) || e.Type != "RecursionError" {
			t.Fatal(err)
		}
		// Without Python's own limit, the stack's end is a fault.
		err := p.Exec(t.Context(), "import sys\nsys.setrecursionlimit(1 << 30)\nclass A:\n    def __getattr__(self, n): return getattr(self, n + 'x'[:0])\nA().x")
		var fault *halite.FaultError
		if !errors.As(err, &fault) || !Ended(err) {
			t.Fatal(err)
		}
	})
	t.Run("output", func(t *testing.T) {
		var out bytes.Buffer
		p := start(t, Config{Stdout: &out, MaxOutput: 1 << 20})
		err := p.Exec(t.Context(), "while True: print('x' * 1000)")
		if !errors.Is(err, ErrOutput) || !Ended(err) {
			t.Fatal(err)
		}
		if out.Len() != 1<<20 {
			t.Errorf("%d bytes came through", out.Len())
		}
	})
	t.Run("exit", func(t *testing.T) {
		p := start(t, Config{})
		if err := p.Exec(t.Context(), "import os\nos._exit(7)"); !Ended(err) || !strings.Contains(err.Error(), "exit status 7") {
			t.Fatal(err)
		}
	})
	t.Run("crash", func(t *testing.T) {
		p := start(t, Config{})
		err := p.Exec(t.Context(), "import sys\nsys.modules['builtins'].__dict__\nimport ctypes\nctypes.string_at(8)")
		var fault *halite.FaultError
		if !errors.As(err, &fault) || !Ended(err) {
			t.Fatal(err)
		}
	})
	t.Run("wire", func(t *testing.T) {
		for _, code := range []string{"os.write(3, b'\\xff' * 100)", "os.write(3, b'\\1\\0\\0\\0?')", "os.write(4, b'\\1\\0\\0\\0?')", "os.closerange(3, 5)",
			"os.write(3, (5 << 20).to_bytes(4, 'little') + bytes(5 << 20))\nos.write(3, b'\\1\\0\\0\\0N' * 20)"} {
			p := start(t, Config{MaxMessage: 4 << 20})
			err := p.Exec(t.Context(), "import os\n"+code)
			// The end may come a moment after the answer.
			for deadline := time.Now().Add(5 * time.Second); err == nil && time.Now().Before(deadline); {
				_, err = p.Eval(t.Context(), "1")
			}
			if !Ended(err) {
				t.Errorf("%s: %v", code, err)
			}
		}
	})
}

// TestHostileGuest: a guest that speaks the protocol itself, to make the host
// recurse, keep answers or start goroutines.
func TestHostileGuest(t *testing.T) {
	const frames = "import os, marshal\ndef frame(v):\n    d = marshal.dumps(v, 2)\n    return len(d).to_bytes(4, 'little') + d\n"
	t.Run("recursion", func(t *testing.T) {
		// Every request is answered by a call, whose Go function makes a request.
		var p *Interpreter
		deepest, depth := 0, 0
		p = start(t, Config{Functions: map[string]Func{"again": func(ctx context.Context, _ []any, _ map[string]any) (any, error) {
			depth++
			deepest = max(deepest, depth)
			defer func() { depth-- }()
			return p.Eval(ctx, "1")
		}}})
		err := p.Exec(t.Context(), frames+"import time\ncall = frame(('call', 'again', [], {}))\nfor n in range(100000): os.write(3, call); time.sleep(0)")
		if err == nil || deepest > maxNested+1 {
			t.Errorf("%d deep: %v", deepest, err)
		}
		// With a script that plays by the rules it is an exception.
		p = start(t, Config{Functions: map[string]Func{"again": func(ctx context.Context, _ []any, _ map[string]any) (any, error) {
			return p.Call(ctx, "f")
		}}})
		var e *Exception
		if err := p.Exec(t.Context(), "import sys\nsys.setrecursionlimit(100000)\nfrom nacl import host\ndef f(): return host.again()\nf()"); !errors.As(err, &e) || !strings.Contains(e.Message, "inside each other") {
			t.Error(err)
		}
	})
	t.Run("answers that are not read", func(t *testing.T) {
		for _, fd := range []string{"3", "4"} {
			big := strings.Repeat("x", 1<<20)
			p := start(t, Config{MaxMessage: 4 << 20, Functions: map[string]Func{"big": func(context.Context, []any, map[string]any) (any, error) { return big, nil }}})
			err := p.Exec(t.Context(), frames+"import time\ncall = frame(('call', 'big', [], {}))\nwhile True: os.write("+fd+", call); time.sleep(0.001)")
			if !Ended(err) {
				t.Errorf("descriptor %s: %v", fd, err)
			}
			if n := p.main.Pending() + p.others.Pending(); n > 6<<20 {
				t.Errorf("%d bytes wait", n)
			}
		}
	})
	t.Run("goroutines", func(t *testing.T) {
		block := make(chan struct{})
		defer close(block)
		p := start(t, Config{MaxThreads: 8, Functions: map[string]Func{"wait": func(context.Context, []any, map[string]any) (any, error) { <-block; return nil, nil }}})
		before := runtime.NumGoroutine()
		err := p.Exec(t.Context(), frames+"call = frame(('call', 'wait', [], {}))\nwhile True: os.write(4, call)")
		if !Ended(err) {
			t.Error(err)
		}
		if n := runtime.NumGoroutine(); n > before+10 {
			t.Errorf("%d goroutines, %d before", n, before)
		}
	})
	t.Run("many small values", func(t *testing.T) {
		p := start(t, Config{})
		err := p.Exec(t.Context(), "import os\nd = b'[' + (20 << 20).to_bytes(4, 'little') + b'N' * (20 << 20)\nd = memoryview(len(d).to_bytes(4, 'little') + d)\nwhile d: d = d[os.write(3, d):]")
		if !Ended(err) {
			t.Error(err)
		}
	})
}

// TestIsolation: interpreters run in parallel and share nothing.
func TestIsolation(t *testing.T) {
	h := home(t)
	var wg sync.WaitGroup
	for n := range 6 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			p, err := New(t.Context(), Config{Home: h})
			if err != nil {
				t.Error(err)
				return
			}
			defer p.Close()
			for k := range 20 {
				if err := p.Exec(t.Context(), fmt.Sprintf("import os, sys\nsys.mine = globals().get('n', %d)\nn = %d\nopen('/tmp/f', 'a').write('%d')", n, n, n)); err != nil {
					t.Error(err)
				}
				v, err := p.Eval(t.Context(), "(n, sys.mine, open('/tmp/f').read())")
				if want := (Tuple{int64(n), int64(n), strings.Repeat(strconv.Itoa(n), k+1)}); !reflect.DeepEqual(v, want) || err != nil {
					t.Error(v, err)
				}
			}
		}()
	}
	wg.Wait()
}

// TestLeavesNothing makes and throws away interpreters, some of them in the
// middle of something; HALITE_SOAK=1 makes a thousand.
func TestLeavesNothing(t *testing.T) {
	h := home(t)
	rounds := 20
	if os.Getenv("HALITE_SOAK") != "" {
		rounds = 1000
	}
	one := func(n int) {
		p, err := New(t.Context(), Config{Home: h})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		switch n % 4 {
		case 0:
			err = p.Exec(ctx, "import json, re\nx = json.dumps(list(range(1000)))")
		case 1:
			err = p.Exec(ctx, "import threading, time\nfor i in range(5): threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()")
		case 2:
			go p.Exec(ctx, "while True: pass")
			time.Sleep(time.Millisecond)
		case 3:
			err = nil // thrown away unused
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for n := range 4 {
		one(n)
	}
	before := held(t)
	for n := range rounds {
		one(n)
	}
	var after string
	for range 50 {
		if after = held(t); after == before {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("before %s\nafter  %s", before, after)
}

// held is what this process holds.
func held(t *testing.T) string {
	t.Helper()
	loader.FlushFiles() // what is kept for the next time is no leak
	ld.FlushLinks()
	runtime.GC()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	guests := bytes.Count(maps, []byte("memfd:"))
	return fmt.Sprintf("%d goroutines, %d descriptors, %d mappings of guest code", runtime.NumGoroutine(), len(fds), guests)
}

func FuzzDecode(f *testing.F) {
	for _, v := range []any{nil, int64(1) << 40, []any{"a", Tuple{1.5}}, map[string]any{"k": []byte("v")}, Dict{{int64(1), complex(1, 2)}}} {
		b, err := appendValue(nil, v, 0)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := decode(b)
		if err != nil {
			return
		}
		// What was understood can be said again, but for strings that are not Unicode.
		if again, err := appendValue(nil, v, 0); err == nil {
			w, err := decode(again)
			if err != nil {
				t.Fatalf("%x, encoded again as %x: %v", b, again, err)
			}
			_ = w
		}
	})
}

func BenchmarkCall(b *testing.B) {
	p := start(b, Config{})
	if err := p.Exec(b.Context(), "def f(x): return x + 1"); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := p.Call(b.Context(), "f", 1); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStart(b *testing.B) {
	h := home(b)
	for b.Loop() {
		p, err := New(b.Context(), Config{Home: h})
		if err != nil {
			b.Fatal(err)
		}
		p.Close()
	}
}
