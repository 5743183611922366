// Command calls measures what a Go program pays to call C: in a halite domain, through cgo
// (no wall), in WebAssembly (wazero), and in another process over a Unix socket. Both
// sides of each line run in turn, in one go; the medians are printed as a Markdown
// table. Behind it is what many domains alive at once take.
//
//	make sysroot
//	cd bench && CGO_ENABLED=0 go run ./cmd/calls
//	CGO_ENABLED=0 go run ./cmd/calls -cpu -rounds 21 -domains 1000 -write ../docs/performance.md
package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite"
	"github.com/halite-run/halite/bench"
	"github.com/halite-run/halite/internal/nexe"
	"github.com/halite-run/halite/libcshim"
)

var domains = flag.Int("domains", 0, "so many domains alive at once, and what they take")

var errSum = errors.New("a wrong sum")

//go:embed guest/lib.c
var source string

var lines = []bench.Line{
	{Name: "a call of nothing", Target: "≤ 20 ns", Start: starts(haliteCall("nothing", false), cgo("nothing"), wazeroCall("nothing", false), socket)},
	{Name: "a call of nothing, with a context that can end", Start: starts(haliteCall("nothing", true), wazeroCall("nothing", true), socket)},
	{Name: "a call with two integers", Start: starts(haliteCall("add", false), cgo("add"), wazeroCall("add", false))},
	{Name: "a call that calls a Go function", Target: "≤ 25 ns more", Start: starts(haliteCall("call_add", false), cgo("call_add"), wazeroCall("call_add", false))},
	{Name: "a new domain, its first call, its end", Start: starts(haliteDomain, wazeroInstance, process)},
	{Name: "a copy of a template, its first call, its end", Target: "≤ 50 µs", Start: starts(haliteCopy(0), wazeroInstance, process)},
	{Name: "a call, and a reset to the template", Start: starts(haliteReset, wazeroInstance, process)},
	{Name: "a copy of a template of 64 MiB, its first call, its end", Target: "≤ 100 µs", Start: starts(haliteCopy(64<<20), wazeroInstance, process)},
	{Name: "a copy of a template of 64 MiB of the classic ABI, a message, its end", Target: "≤ 100 µs", Start: starts(haliteClassicCopy(64<<20), wazeroInstance, process)},
}

func starts(l ...func() (*bench.Contestant, error)) []func() (*bench.Contestant, error) { return l }

func main() {
	bench.Main("calls", map[string]func(f *os.File) error{"echo": bench.Echo}, run)
}

// library is lib.c, built for the sandbox.
var library halite.Config

func run(r *bench.Race, w io.Writer) error {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, x := range info.Settings {
			if x.Key == "CGO_ENABLED" && x.Value == "1" {
				return errors.New("this program links C, with which calls of halite are slower; run it with CGO_ENABLED=0")
			}
		}
	}
	dir, err := os.MkdirTemp("", "calls")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := build(dir); err != nil {
		return err
	}
	r.Ours = "halite"
	if err := r.Run(w, lines); err != nil {
		return err
	}
	if *domains > 0 {
		return many(w, *domains)
	}
	return nil
}

func build(dir string) (err error) {
	cgoProgram = filepath.Join(dir, "native")
	if err := bench.Execute("env", "CGO_ENABLED=1", "go", "build", "-o", cgoProgram, "github.com/halite-run/halite/bench/cmd/calls/native"); err != nil {
		return err
	}
	library, err = bench.Library(dir, source)
	library.Functions = map[string]any{"host_add": func(c *halite.Call) { c.Return(uint64(uint32(c.Arg(0)) + uint32(c.Arg(1)))) }}
	return err
}

// cgoProgram is the program of native.
var cgoProgram string

// cgo has no wall around C.
func cgo(what string) func() (*bench.Contestant, error) {
	return func() (*bench.Contestant, error) {
		c, err := bench.Piped("cgo", what, exec.Command(cgoProgram), func(answer string, _ int) bool { return answer == "true" })
		if err == nil {
			c.Least = 1_000_000
		}
		return c, err
	}
}

// callContext is what calls are made with, one that can end or not.
func callContext(ending bool) (context.Context, context.CancelFunc) {
	if ending {
		return context.WithCancel(context.Background())
	}
	return context.Background(), func() {}
}

// haliteCall calls a function. With a context that can end the call is stopped then.
func haliteCall(what string, ending bool) func() (*bench.Contestant, error) {
	return func() (*bench.Contestant, error) {
		ctx, cancel := callContext(ending)
		lib, err := halite.Load(ctx, library)
		if err != nil {
			return nil, err
		}
		f, err := lib.Func(what)
		if err != nil {
			return nil, err
		}
		return &bench.Contestant{Name: "halite", Close: func() { cancel(); lib.Close() }, Run: func(n int) error {
			for i := range n {
				if what == "nothing" {
					if _, err := f.Call(ctx); err != nil {
						return err
					}
					continue
				}
				r, err := f.Call(ctx, halite.Int(i), halite.Int(1))
				if err != nil {
					return err
				}
				if r.Int32() != int32(i)+1 {
					return errSum
				}
			}
			return nil
		}}, nil
	}
}

// haliteDomain loads the library and the C library into a domain, calls it once and
// throws it away.
func haliteDomain() (*bench.Contestant, error) {
	return &bench.Contestant{Name: "halite", Close: func() {}, Run: func(n int) error { return churn(n, loaded) }}, nil
}

// churn gets a library, calls it and throws it away, n times.
func churn(n int, get func() (*halite.Library, error)) error {
	for range n {
		lib, err := started(context.Background(), get)
		if err != nil {
			return err
		}
		if err := lib.Close(); err != nil {
			return err
		}
	}
	return nil
}

func loaded() (*halite.Library, error) { return halite.Load(context.Background(), library) }

// started is a library that has been called.
func started(ctx context.Context, get func() (*halite.Library, error)) (*halite.Library, error) {
	lib, err := get()
	if err != nil {
		return nil, err
	}
	f, err := lib.Func("add")
	if err == nil {
		var r halite.Result
		if r, err = f.Call(ctx, halite.Int(1), halite.Int(2)); err == nil && r.Int32() != 3 {
			err = errSum
		}
	}
	if err != nil {
		lib.Close()
		return nil, err
	}
	return lib, nil
}

// newTemplate makes a template that holds so many bytes.
func newTemplate(ctx context.Context, n int) (*halite.Template, error) {
	lib, err := started(ctx, loaded)
	if err != nil {
		return nil, err
	}
	hold, err := lib.Func("hold")
	if err == nil {
		var r halite.Result
		if r, err = hold.Call(ctx, halite.Int(n)); err == nil && r.Int32() != 0 {
			err = halite.ErrNoMemory
		}
	}
	var t *halite.Template
	if err == nil {
		t, err = lib.Template()
	}
	if err != nil {
		lib.Close()
	}
	return t, err
}

// haliteCopy makes a copy of a template, calls it once and throws it away.
func haliteCopy(size int) func() (*bench.Contestant, error) {
	return func() (*bench.Contestant, error) {
		t, err := newTemplate(context.Background(), size)
		if err != nil {
			return nil, err
		}
		return &bench.Contestant{Name: "halite", Close: func() { t.Close() }, Run: func(n int) error { return churn(n, t.New) }}, nil
	}
}

// classicCode waits for messages, for ever.
//
//	20000: 31 ff            xor  %edi,%edi
//	       31 f6            xor  %esi,%esi
//	2001b: e8 e0 13 ff ff   call 0x11400       return_and_wait
//	20020: eb de            jmp  0x20000
var classicCode = append(append(append([]byte{0x31, 0xff, 0x31, 0xf6}, bytes.Repeat([]byte{0x90}, 23)...), 0xe8, 0xe0, 0x13, 0xff, 0xff, 0xeb, 0xde), bytes.Repeat([]byte{0xf4}, 30)...)

// haliteClassicCopy is haliteCopy of a program of the classic ABI with so many bytes of data.
func haliteClassicCopy(size int) func() (*bench.Contestant, error) {
	return func() (*bench.Contestant, error) {
		t, err := newClassicTemplate(size)
		if err != nil {
			return nil, err
		}
		return &bench.Contestant{Name: "halite", Close: func() { t.Close() }, Run: func(n int) error {
			for range n {
				p, err := t.NewProcess()
				if err != nil {
					return err
				}
				_, _, err = p.Invoke(context.Background(), nil)
				if err := errors.Join(err, p.Close()); err != nil {
					return err
				}
			}
			return nil
		}}, nil
	}
}

func newClassicTemplate(size int) (*libcshim.Template, error) {
	f, err := os.CreateTemp("", "*.nexe")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(nexe.Program(64, classicCode, nil, bytes.Repeat([]byte{1}, size)).Bytes())
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	p, err := halite.New(halite.Config{Program: f.Name(), Invocable: true})
	if err != nil {
		return nil, err
	}
	var t *libcshim.Template
	if _, _, err = p.Start(context.Background()); err == nil {
		t, err = p.Template()
	}
	if err != nil {
		p.Close()
	}
	return t, err
}

// haliteReset calls a copy of a template and makes it as new.
func haliteReset() (*bench.Contestant, error) {
	ctx := context.Background()
	t, err := newTemplate(ctx, 0)
	if err != nil {
		return nil, err
	}
	lib, err := t.New()
	if err != nil {
		return nil, err
	}
	return &bench.Contestant{Name: "halite", Close: func() { lib.Close(); t.Close() }, Run: func(n int) error {
		for range n {
			if _, err := started(ctx, func() (*halite.Library, error) { return lib, nil }); err != nil {
				return err
			}
			if err := lib.Reset(); err != nil {
				return err
			}
		}
		return nil
	}}, nil
}

// socket is a round trip of a few bytes to another process.
func socket() (*bench.Contestant, error) {
	return bench.Ping("a process behind a Unix socket", "echo", unix.SOCK_STREAM, 16)
}

// process starts one and waits for its end.
func process() (*bench.Contestant, error) {
	path, err := exec.LookPath("true")
	if err != nil {
		return nil, err
	}
	return &bench.Contestant{Name: "a process (true)", Close: func() {}, Run: func(n int) error {
		for range n {
			if err := exec.Command(path).Run(); err != nil {
				return err
			}
		}
		return nil
	}}, nil
}

// many has so many domains alive at once, each after a call: loaded one by one, and
// copies of a template.
func many(w io.Writer, n int) error {
	t, err := newTemplate(context.Background(), 0)
	if err != nil {
		return err
	}
	defer t.Close()
	fmt.Fprintf(w, "\n| alive at once, after a call | to make each | resident memory each | mappings each |\n|---|---:|---:|---:|\n")
	for _, kind := range []struct {
		name string
		get  func() (*halite.Library, error)
	}{{"domains", loaded}, {"copies of a template", t.New}} {
		if err := alive(w, n, kind.name, kind.get); err != nil {
			return err
		}
	}
	return nil
}

func alive(w io.Writer, n int, name string, get func() (*halite.Library, error)) error {
	ctx := context.Background()
	before, maps := resident(), mappings()
	begin := time.Now()
	list := make([]*halite.Library, 0, n)
	defer func() {
		for _, lib := range list {
			lib.Close()
		}
	}()
	for range n {
		lib, err := started(ctx, get)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%d of %d %s: %v\n", len(list), n, name, err)
			break
		}
		list = append(list, lib)
	}
	if n = len(list); n == 0 {
		return fmt.Errorf("no %s could be made", name)
	}
	made := time.Since(begin) / time.Duration(n)
	fmt.Fprintf(w, "| %d %s | %v | %d KiB | %.1f |\n",
		n, name, made.Round(time.Microsecond), (resident()-before)/int64(n)>>10, float64(mappings()-maps)/float64(n))
	return nil
}

func resident() int64 {
	var size, pages int64
	text, _ := os.ReadFile("/proc/self/statm")
	_, _ = fmt.Sscan(string(text), &size, &pages)
	return pages * int64(os.Getpagesize())
}

func mappings() int {
	text, _ := os.ReadFile("/proc/self/maps")
	return strings.Count(string(text), "\n")
}
