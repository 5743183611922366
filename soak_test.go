package halite_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	goruntime "runtime"
	"runtime/pprof"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/halite-run/halite"
	"github.com/halite-run/halite/imc"
	"github.com/halite-run/halite/internal/assembled"
	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/internal/nexe"
	"github.com/halite-run/halite/loader"
	"github.com/halite-run/halite/runtime"
)

// A soaker does one kind of work, over and over; i counts the rounds of all.
type soaker struct {
	name  string
	round func(ctx context.Context, i int) error
	n     atomic.Int64
}

// TestSoak: everything at once, for as long as HALITE_SOAK says: domains of both ABIs that
// come and go, copies of templates, threads, calls to and fro, faults, deadlines,
// suspensions, signals of all kinds, profiles, and the garbage collector. Nothing
// goes wrong, and nothing is left behind.
func TestSoak(t *testing.T) {
	d := 3 * time.Second
	if testing.Short() {
		d = 500 * time.Millisecond
	}
	if v, err := time.ParseDuration(os.Getenv("HALITE_SOAK")); err == nil {
		d = v
	}
	list := soakers(t)
	noise := make(chan os.Signal, 100)
	signal.Notify(noise, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH, syscall.SIGALRM, syscall.SIGIO, syscall.SIGCHLD)
	defer signal.Stop(noise)
	// What the first rounds leave is there to be used again. They are not short either,
	// or there would be fewer OS threads than later.
	soak(t, list, max(d/4, 300*time.Millisecond))
	before, heap := resources(), liveHeap()
	soak(t, list, d)
	for _, s := range list {
		t.Logf("%d rounds of %s", s.n.Load(), s.name)
		if s.n.Load() == 0 {
			t.Errorf("no round of %s came to its end", s.name)
		}
	}
	before[2] += 30 // mappings of Go's own heap and threads
	noMore(t, before)
	if grown := liveHeap() - heap; grown > 32<<20 {
		t.Errorf("Go's heap has grown by %d bytes", grown)
	}
}

func liveHeap() int64 {
	goruntime.GC()
	goruntime.GC() // what finalizers held
	var m goruntime.MemStats
	goruntime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// soak runs all soakers, each on two goroutines, with everything that disturbs.
func soak(t *testing.T, list []*soaker, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	timer := time.AfterFunc(d, cancel)
	defer timer.Stop()
	var wg sync.WaitGroup
	for _, s := range list {
		for g := range 2 {
			wg.Go(func() {
				for i := g; ctx.Err() == nil; i += 2 {
					if err := s.round(context.Background(), i); err != nil {
						t.Errorf("%s, round %d: %v", s.name, i, err)
						cancel()
						return
					}
					s.n.Add(1)
				}
			})
		}
	}
	for _, disturb := range []func() error{shoot, takeProfile, collect} {
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := disturb(); err != nil {
					t.Error(err)
					cancel()
				}
			}
		})
	}
	wg.Wait()
}

// shoot sends a signal to each thread of the process but its own, and to the process.
func shoot() error {
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	signals := []syscall.Signal{
		syscall.SIGURG, syscall.SIGUSR1, syscall.SIGPROF, syscall.SIGUSR2, syscall.SIGURG, syscall.SIGWINCH, syscall.SIGALRM, syscall.SIGIO, syscall.SIGCHLD,
	}
	self, pid := syscall.Gettid(), os.Getpid()
	for i, task := range tasks {
		// A thread that has ended since is no error.
		if tid, err := strconv.Atoi(task.Name()); err == nil && tid != self {
			_ = syscall.Tgkill(pid, tid, signals[i%len(signals)])
		}
	}
	time.Sleep(200 * time.Microsecond)
	return syscall.Kill(pid, signals[int(time.Now().UnixNano()/1e6)%len(signals)])
}

// takeProfile takes a profile of the processor for a while, and one of goroutines.
func takeProfile() error {
	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		return err
	}
	time.Sleep(50 * time.Millisecond)
	pprof.StopCPUProfile()
	return pprof.Lookup("goroutine").WriteTo(io.Discard, 1)
}

func collect() error {
	goruntime.GC()
	time.Sleep(5 * time.Millisecond)
	return nil
}

// expect is nil if got is want.
func expect[T comparable](what string, got, want T, err error) error {
	if err != nil || got != want {
		return fmt.Errorf("%s: %v, %v; want %v", what, got, err, want)
	}
	return nil
}

// crashed is nil if err is a fault with that signal.
func crashed(err error, sig syscall.Signal) error {
	var f *halite.FaultError
	if !errors.As(err, &f) || f.Signal != int(sig) {
		return fmt.Errorf("%v, want a fault by %v", err, sig)
	}
	return nil
}

// late runs f with a deadline that it must meet.
func late(ctx context.Context, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Millisecond)
	defer cancel()
	if err := f(ctx); !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%v, want the end of the time", err)
	}
	return nil
}

func soakers(t *testing.T) []*soaker {
	c := config(t, "liblibrary.so")
	kept := newTemplate(t, c, 1<<20)
	shared := c
	shared.Callers = 4
	long := load(t, shared)
	return []*soaker{
		{name: "libraries", round: func(ctx context.Context, i int) error { return soakLibrary(ctx, c, i) }},
		{name: "copies of a template", round: func(ctx context.Context, i int) error { return soakTemplate(ctx, kept, i) }},
		{name: "calls of one library", round: func(ctx context.Context, i int) error { return soakCalls(ctx, long, i) }},
		{name: "programs", round: soakProgram(t)},
		{name: "invocations", round: soakInvocations(t)},
		{name: "classic programs", round: soakClassicProgram(t)},
		{name: "classic domains", round: soakClassicDomain(t)},
		{name: "copies of a classic template", round: soakClassicTemplate(t)},
	}
}

// soakLibrary loads a library, calls it, and lets it end in one of several ways.
func soakLibrary(ctx context.Context, c halite.Config, i int) (err error) {
	c.Callers = i % 3
	lib, err := halite.Load(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lib.Close()) }()
	if err := useLibrary(ctx, lib, i); err != nil {
		return err
	}
	return endLibrary(ctx, lib, i/3)
}

// useLibrary makes calls of each kind.
func useLibrary(ctx context.Context, lib *halite.Library, i int) error {
	do := func(name string, args ...halite.Arg) (halite.Result, error) {
		f, err := lib.Func(name)
		if err != nil {
			return halite.Result{}, err
		}
		return f.Call(ctx, args...)
	}
	r, err := do("call_add", halite.Int(i), halite.Int(5))
	if err := expect("call_add", r.Int32(), int32(i+5), err); err != nil {
		return err
	}
	b := bytes.Repeat([]byte{3}, 10000)
	r, err = do("sum", halite.Bytes(b), halite.Int(len(b)))
	if err := expect("sum", r.Uint32(), 30000, err); err != nil {
		return err
	}
	double, err := lib.Callback(func(x int32) int32 { return 2 * x })
	if err != nil {
		return err
	}
	defer double.Close()
	for range 100 {
		r, err = do("apply", double.Arg(), halite.Int(i))
		if err := expect("apply", r.Int32(), int32(2*i+1), err); err != nil {
			return err
		}
	}
	r, err = do("in_thread", double.Arg())
	return expect("in_thread", r.Int32(), 10, err)
}

// endLibrary ends a library, or leaves it as it is.
func endLibrary(ctx context.Context, lib *halite.Library, way int) error {
	call := func(ctx context.Context, name string, args ...halite.Arg) error {
		f, err := lib.Func(name)
		if err != nil {
			return err
		}
		_, err = f.Call(ctx, args...)
		return err
	}
	switch way % 4 {
	case 0:
		return crashed(call(ctx, "crash"), syscall.SIGSEGV)
	case 1:
		return late(ctx, func(ctx context.Context) error { return call(ctx, "spin") })
	case 2:
		var exit *halite.ExitError
		if err := call(ctx, "leave", halite.Int(9)); !errors.As(err, &exit) {
			return fmt.Errorf("%v, want the library's own end", err)
		}
	}
	return nil
}

// soakTemplate makes a copy, uses it twice, and ends it.
func soakTemplate(ctx context.Context, tp *halite.Template, i int) (err error) {
	lib, err := tp.New()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lib.Close()) }()
	for n := range 2 {
		f, err := lib.Func("count")
		if err != nil {
			return err
		}
		r, err := f.Call(ctx)
		if err := expect("count", r.Int32(), 10, err); err != nil {
			return err
		}
		if f, err = lib.Func("kept_sum"); err != nil {
			return err
		}
		r, err = f.Call(ctx)
		if err := expect("kept_sum", r.Int64(), 1<<20, err); err != nil {
			return err
		}
		if f, err = lib.Func("touch"); err != nil {
			return err
		}
		if _, err := f.Call(ctx, halite.Int(4096)); err != nil {
			return err
		}
		if err := useLibrary(ctx, lib, i); err != nil {
			return err
		}
		if err := endLibrary(ctx, lib, i+n); err != nil {
			return err
		}
		if n == 0 {
			if err := lib.Reset(); err != nil {
				return err
			}
		}
	}
	return nil
}

// soakCalls calls one library with everybody else, and stops it now and then.
func soakCalls(ctx context.Context, lib *halite.Library, i int) error {
	if i%10 == 0 {
		if err := lib.Process().Suspend(ctx); err != nil {
			return err
		}
		lib.Process().Resume()
	}
	return useLibrary(ctx, lib, i)
}

// soakProgram runs testdata/library/soak.c, to its end, or not so far.
func soakProgram(t *testing.T) func(ctx context.Context, i int) error {
	c := config(t, "soak")
	c.Functions, c.MaxProcesses = nil, 2
	c.Mounts = []halite.Mount{{Guest: "/tmp"}}
	return func(ctx context.Context, i int) error {
		c := c
		var out bytes.Buffer
		c.Stdout = &out
		if i%4 == 3 {
			ctx, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
			defer cancel()
			if _, err := halite.Run(ctx, c); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				return err
			}
			return nil
		}
		status, err := halite.Run(ctx, c)
		return expect("soak", fmt.Sprintf("%d %s", status.Status(), &out), "3 all is well\n", err)
	}
}

// soakInvocations starts programs that answer messages, with descriptors both ways, and
// that call an object of the host's through memory or through the kernel to do so.
func soakInvocations(t *testing.T) func(ctx context.Context, i int) error {
	c := config(t, "invoked")
	c.Functions, c.Invocable = nil, true
	return func(ctx context.Context, i int) (err error) {
		transport := imc.Memory
		if i%2 == 1 {
			transport = imc.Kernel
		}
		accept, object, err := transport.Endpoints()
		if err != nil {
			return err
		}
		defer object.Close()
		var calls atomic.Int32 // one after the other, but on several goroutines
		served := make(chan error, 1)
		go func() {
			served <- imc.Serve(ctx, accept, func(_ context.Context, data []byte, _ []imc.Desc) ([]byte, []imc.Desc, error) {
				given, taken := imc.NewDataPair()
				return fmt.Appendf(nil, "%s %d", data, calls.Add(1)), []imc.Desc{taken}, given.Close()
			})
		}()
		c := c
		c.Descriptors = map[int]imc.Desc{3: object}
		p, err := halite.New(c)
		if err != nil {
			return err
		}
		defer p.Close()
		if _, _, err := p.Start(ctx); err != nil {
			return err
		}
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		_, err = w.WriteString("a line")
		w.Close()
		defer r.Close()
		if err != nil {
			return err
		}
		answer, _, err := p.Invoke(ctx, []byte("take"), r)
		if err := expect("an invocation with a file", string(answer), "1:take read a line", err); err != nil {
			return err
		}
		for n := range 20 {
			answer, descs, err := p.Invoke(ctx, []byte("object"))
			for _, d := range descs {
				d.Close()
			}
			if err := expect("an invocation that calls an object", fmt.Sprintf("%s, %d", answer, len(descs)), fmt.Sprintf("object %d, 1", n+1), err); err != nil {
				return err
			}
		}
		switch i / 2 % 3 {
		case 0:
			_, _, err := p.Invoke(ctx, []byte("crash"))
			if err := crashed(err, syscall.SIGSEGV); err != nil {
				return err
			}
		case 1:
			err := late(ctx, func(ctx context.Context) error {
				_, _, err := p.Invoke(ctx, []byte("spin"))
				return err
			})
			if err != nil {
				return err
			}
		}
		if err := p.Close(); err != nil {
			return err
		}
		// Nobody is left who could call.
		if err := object.Close(); err != nil {
			return err
		}
		select {
		case err := <-served:
			return err
		case <-time.After(time.Minute):
			return errors.New("the server of an object that nobody has goes on")
		}
	}
}

// classicThreads is a program whose threads come and go, which handles two faults of
// its own, and which ends while a thread of it spins: a list of calls for driver.s, which
// says what they look like.
func classicThreads(t *testing.T) []byte {
	const shared, threads = nexe.DataAddr + 0x1f000, 8
	code, functions, err := assembled.Read("libcshim/testdata/classic/driver.hex")
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 0x20000)
	at := data
	call := func(target uint32, args ...uint64) {
		binary.LittleEndian.PutUint32(at, target)
		for i, a := range args {
			binary.LittleEndian.PutUint64(at[8+8*i:], a)
		}
		at = at[64:]
	}
	const handler, create = 0x10000 + 32*87, 0x10000 + 32*80
	call(handler, uint64(functions["handler"]), 0)
	call(functions["fault_illegal"])
	call(functions["fault_divide"])
	call(create, uint64(functions["spinner"]), shared-0x800, shared, 0)
	for i := range uint64(threads) {
		call(create, uint64(functions["thread"]), shared-0xa00-0x200*i, shared, 0)
	}
	call(functions["await"], shared, threads)
	return nexe.Program(32, code, []byte("constant"), data).Bytes()
}

// soakClassicProgram runs programs that print a line, some with threads and faults, and
// one that ends with a fault.
func soakClassicProgram(t *testing.T) func(ctx context.Context, i int) error {
	code, functions, err := assembled.Read("libcshim/testdata/classic/hello.hex")
	if err != nil {
		t.Fatal(err)
	}
	rodata := make([]byte, 0x80)
	copy(rodata, "hello, \n")
	copy(rodata[0x10:], "nacl-irt-basic-0.1")
	copy(rodata[0x40:], "nacl-irt-fdio-0.1")
	dir := t.TempDir()
	var files []string
	for _, class := range []int{32, 64} {
		for _, entry := range []string{"newlib", "irt"} {
			p := nexe.Program(class, code, rodata, make([]byte, 0x100))
			p.Entry = uint64(functions[entry])
			files = append(files, filepath.Join(dir, fmt.Sprint(entry, class)))
			if err := os.WriteFile(files[len(files)-1], p.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	bad, threads := filepath.Join(dir, "faults"), filepath.Join(dir, "threads")
	for name, b := range map[string][]byte{bad: nexe.Program(32, []byte{0x0f, 0x0b}, nil, nil).Bytes(), threads: classicThreads(t)} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return func(ctx context.Context, i int) error {
		switch i % 6 {
		case 4:
			_, err := halite.Run(ctx, halite.Config{Program: bad})
			return crashed(err, syscall.SIGILL)
		case 5:
			status, err := halite.Run(ctx, halite.Config{Program: threads})
			return expect("threads", status.Status(), 0, err)
		}
		var out bytes.Buffer
		status, err := halite.Run(ctx, halite.Config{Program: files[i%6], Args: []string{"world"}, Stdout: &out})
		return expect("hello", fmt.Sprintf("%d %s", status.Status(), &out), "69 hello,world\n", err)
	}
}

// classicDomains makes domains with the functions of the runtime's classic.s.
func classicDomains(t *testing.T) (fresh func(runtime.Config) (*runtime.Domain, error), functions map[string]uint32) {
	code, functions, err := assembled.Read("runtime/testdata/classic.hex")
	if err != nil {
		t.Fatal(err)
	}
	program := nexe.Program(64, code, nil, []byte("data")).Bytes()
	return func(c runtime.Config) (*runtime.Domain, error) {
		c.Classic = true
		d, err := runtime.NewDomain(c)
		if err != nil {
			return nil, err
		}
		f, err := loader.ReadClassic(bytes.NewReader(program), int64(len(program)), "classic.s", 0)
		if err == nil {
			err = loader.MapClassic(d.Cage(), f)
		}
		if err == nil {
			err = d.SetClassicCode(f.TextEnd, f.DynamicEnd)
		}
		if err != nil {
			d.Close()
			return nil, err
		}
		return d, nil
	}, functions
}

// classicReturns is a bundle of the classic ABI that returns v.
func classicReturns(v byte) []byte {
	b := []byte{0xb8, v, 0, 0, 0, 0x41, 0x5b, 0x41, 0x83, 0xe3, 0xe0, 0x4d, 0x01, 0xfb, 0x41, 0xff, 0xe3}
	return append(b, bytes.Repeat([]byte{0x90}, 32-len(b))...)
}

// soakClassicTemplate makes copies of a domain of the classic ABI with dynamic code, which
// they call and change, uses each twice, and ends it by a fault, by a deadline, or not.
func soakClassicTemplate(t *testing.T) func(ctx context.Context, i int) error {
	const memory = 0x20000000 // the first function wants some
	fresh, functions := classicDomains(t)
	d, err := fresh(runtime.Config{Invocable: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	if _, err := d.Cage().Map(memory, 1<<20, cage.ProtRead|cage.ProtWrite, cage.FixedNoReplace); err != nil {
		t.Fatal(err)
	}
	r, err := d.Dyncode()
	if err != nil {
		t.Fatal(err)
	}
	at, _ := r.Extent()
	if err := r.Create(at, classicReturns(5)); err != nil {
		t.Fatal(err)
	}
	th, err := d.NewThread(runtime.ThreadConfig{Entry: functions["ready"], Stack: memory + 1<<20 - 8, Args: []uint64{memory}})
	if err != nil {
		t.Fatal(err)
	}
	if !th.Run() {
		t.Fatal("it does not wait")
	}
	tp, err := d.Template()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tp.Close() })
	do := func(ctx context.Context, d *runtime.Domain, fn uint32, args ...uint64) (uint64, error) {
		var c runtime.Call
		copy(c.Int[:], args)
		err := d.Do(ctx, fn, &c)
		return c.Int[0], err
	}
	use := func(ctx context.Context, d *runtime.Domain, i int) error {
		done := make(chan error, 1)
		if i%2 == 0 { // while the code runs
			r, err := d.Dyncode()
			if err != nil {
				return err
			}
			go func() { done <- errors.Join(r.Create(at+32, classicReturns(6)), r.Modify(at+1, []byte{7})) }()
		} else {
			done <- nil
		}
		sum, err := do(ctx, d, functions["again"], uint64(at), 1000)
		if i%2 == 0 && sum > 5000 && sum <= 7000 {
			sum = 5000 // it met the change
		}
		if err := errors.Join(expect("again", sum, 5000, err), <-done); err != nil {
			return err
		}
		if _, _, err := d.Invoke(ctx, nil); err != nil {
			return err
		}
		base, err := d.Memory().Load64(memory + 24)
		if err := expect("base", base, uint64(d.Cage().Base()), err); err != nil {
			return err
		}
		switch i / 2 % 3 {
		case 0:
			_, err := do(ctx, d, functions["fault"])
			return crashed(err, syscall.SIGILL)
		case 1:
			return late(ctx, func(ctx context.Context) error {
				_, err := do(ctx, d, functions["spin"])
				return err
			})
		}
		return nil
	}
	return func(ctx context.Context, i int) error {
		d, th, err := tp.NewDomain(runtime.Config{})
		if err != nil {
			return err
		}
		th.Wait()
		err = use(ctx, d, i)
		d, th, e := tp.Reset(d, runtime.Config{})
		if e != nil {
			return errors.Join(err, e)
		}
		th.Wait()
		return errors.Join(err, use(ctx, d, i+1), d.Close())
	}
}

// soakClassicDomain makes domains of the classic ABI without files, whose code calls Go
// and is called, and that end by a fault, by a deadline, or not.
func soakClassicDomain(t *testing.T) func(ctx context.Context, i int) error {
	fresh, functions := classicDomains(t)
	return func(ctx context.Context, i int) (err error) {
		d, err := fresh(runtime.Config{})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, d.Close()) }()
		at, err := d.AddHostFunc(func(c *runtime.HostCall) { c.Return(c.Arg(0) * 2) })
		if err != nil {
			return err
		}
		var wg sync.WaitGroup
		failed := make(chan error, 2)
		for range cap(failed) {
			wg.Go(func() {
				for n := range uint64(50) {
					r, err := d.Call(ctx, functions["callfn"], uint64(at), n)
					if err := expect("callfn", r, 2*n+1, err); err != nil {
						failed <- err
						return
					}
				}
			})
		}
		wg.Wait()
		select {
		case err := <-failed:
			return err
		default:
		}
		switch i % 3 {
		case 0:
			_, err := d.Call(ctx, functions["fault"])
			return crashed(err, syscall.SIGILL)
		case 1:
			return late(ctx, func(ctx context.Context) error {
				_, err := d.Call(ctx, functions["spin"])
				return err
			})
		}
		return nil
	}
}
