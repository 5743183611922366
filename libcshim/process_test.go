package libcshim

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	goruntime "runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/ld"
	"github.com/halite-run/halite/libcshim/namespace"
	"github.com/halite-run/halite/runtime"
)

// scene runs one of the scenes of testdata/host/scenes.c.
func scene(t testing.TB, prog string, args ...string) *guestRun {
	t.Helper()
	return &guestRun{cfg: Config{
		Program: "/bin/prog", Args: append([]string{"/bin/prog"}, args...), Dir: "/tmp", Namespace: newTree(t, prog, ""),
	}}
}

func scenes(t testing.TB) string { return build(t, "testdata/host/scenes.c", "-g") }

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// TestDeadline: whatever a guest does or waits for, the deadline ends it.
func TestDeadline(t *testing.T) {
	prog := scenes(t)
	hostPipe, w, err := os.Pipe()
	check(t, err)
	defer hostPipe.Close()
	defer w.Close()
	full, fullW, err := os.Pipe()
	check(t, err)
	defer full.Close()
	defer fullW.Close()
	reader, rw := io.Pipe()
	defer rw.Close()
	for name, c := range map[string]struct {
		scene  string
		stdin  io.Reader
		stdout io.Writer
	}{
		"spinning": {"s", nil, nil}, "reading a pipe": {"r", hostPipe, nil}, "reading a reader": {"r", reader, nil},
		"polling a pipe": {"p", hostPipe, nil}, "polling a reader": {"p", reader, nil}, "threads": {"t", nil, nil},
		"writing a full pipe": {"w", nil, fullW}, "sleeping": {"n", nil, nil}, "a deadlock": {"m", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := scene(t, prog, c.scene)
			r.cfg.Stdin = c.stdin
			r.cfg.Stdout = c.stdout
			start := time.Now()
			r.run(t, within(t, 50*time.Millisecond))
			if !errors.Is(r.err, context.DeadlineExceeded) || r.status.Signal != int(unix.SIGKILL) {
				t.Errorf("%v, %v", r.status, r.err)
			}
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestStdin(t *testing.T) {
	prog := scenes(t)
	const size = 300000
	text := strings.Repeat("x", size)
	for name, stdin := range map[string]func() io.Reader{
		"strings.Reader": func() io.Reader { return strings.NewReader(text) },
		"io.Pipe": func() io.Reader {
			r, w := io.Pipe()
			go func() { io.WriteString(w, text); w.Close() }()
			return r
		},
		"os.Pipe": func() io.Reader {
			r, w, err := os.Pipe()
			check(t, err)
			go func() { io.WriteString(w, text); w.Close() }()
			return r
		},
		"file": func() io.Reader {
			f, err := os.CreateTemp(t.TempDir(), "")
			check(t, err)
			io.WriteString(f, text)
			f.Seek(0, 0)
			return f
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := scene(t, prog, "R")
			r.cfg.Stdin = stdin()
			r.run(t, within(t, 20*time.Second))
			if got := r.stdout.String(); got != "300000\n" || r.err != nil {
				t.Errorf("%q, %v, %v", got, r.status, r.err)
			}
		})
	}
	r := scene(t, prog, "r")
	r.run(t, within(t, 20*time.Second))
	if got := r.stdout.String(); got != "0\n" {
		t.Errorf("without standard input: %q", got)
	}
}

// TestBrokenStdout: nobody reads any more, so SIGPIPE.
func TestBrokenStdout(t *testing.T) {
	prog := scenes(t)
	r := scene(t, prog, "w")
	pr, pw := io.Pipe()
	pr.Close()
	r.cfg.Stdout = pw
	r.run(t, within(t, 20*time.Second))
	if r.status.Signal != int(unix.SIGPIPE) || r.err != nil || r.status.Status() != 128+13 {
		t.Errorf("%v, %v", r.status, r.err)
	}
	r = scene(t, prog, "w")
	or, ow, err := os.Pipe()
	check(t, err)
	or.Close()
	defer ow.Close()
	r.cfg.Stdout = ow
	r.run(t, within(t, 20*time.Second))
	if r.status.Signal != int(unix.SIGPIPE) {
		t.Errorf("%v, %v", r.status, r.err)
	}
}

// upWriter tells when the guest has written.
type upWriter struct {
	bytes.Buffer
	up chan struct{}
}

func (u *upWriter) Write(p []byte) (int, error) {
	n, err := u.Buffer.Write(p)
	select {
	case u.up <- struct{}{}:
	default:
	}
	return n, err
}

func TestSignalFromHost(t *testing.T) {
	prog := scenes(t)
	for scn, want := range map[string]ExitStatus{"i": {Code: 9}, "I": {Signal: int(unix.SIGINT)}, "t": {Signal: int(unix.SIGINT)}} {
		out := &upWriter{up: make(chan struct{}, 1)}
		r := scene(t, prog, scn)
		r.cfg.Stdout = out
		p, err := NewProcess(r.cfg)
		check(t, err)
		go func() {
			<-out.up
			if err := p.Signal(unix.SIGINT); err != nil {
				t.Error(err)
			}
		}()
		status, err := p.Run(within(t, 20*time.Second))
		if status != want || err != nil {
			t.Errorf("%s: %v, %v", scn, status, err)
		}
		check(t, p.Close())
	}
}

func TestFaultReport(t *testing.T) {
	r := scene(t, scenes(t), "f")
	r.run(t, within(t, 20*time.Second))
	var f *runtime.FaultError
	if !errors.As(r.err, &f) || r.status.Signal != int(unix.SIGSEGV) || f.Addr != 0x5000 || f.Kind != "write" {
		t.Fatalf("%v, %v", r.status, r.err)
	}
	report := f.Report()
	for _, want := range []string{"inner", "outer", "main", "mov", "0x5000"} {
		if !strings.Contains(report, want) {
			t.Errorf("no %q in\n%s", want, report)
		}
	}
}

func TestLimits(t *testing.T) {
	prog := scenes(t)
	r := scene(t, prog, "M")
	r.cfg.MaxMemory = 64 << 20
	r.run(t, within(t, 20*time.Second))
	if got := r.stdout.String(); !strings.HasSuffix(got, "Out of memory\n") || len(got) > 30 {
		t.Errorf("memory: %q, %v", got, r.err)
	}
	r = scene(t, prog, "d")
	r.cfg.MaxFiles = 20
	r.run(t, within(t, 20*time.Second))
	if got := r.stdout.String(); got != "17 No file descriptors available\n" {
		t.Errorf("descriptors: %q", got)
	}
}

func TestRefusals(t *testing.T) {
	r := scene(t, scenes(t), "x")
	r.run(t, within(t, 20*time.Second))
	for _, line := range strings.Split(strings.TrimSpace(r.stdout.String()), "\n") {
		if !strings.Contains(line, "= -1 ") && !strings.HasSuffix(line, "= 1") && !strings.Contains(line, "kill(-1, 0) = 0") {
			t.Errorf("not refused: %s", line)
		}
	}
	if r.status.Code != 0 || r.err != nil {
		t.Errorf("%v, %v", r.status, r.err)
	}
}

// TestNothingOfTheHost: the default namespace has none of the host's files.
func TestNothingOfTheHost(t *testing.T) {
	prog := scenes(t)
	for _, name := range []string{"/etc/passwd", "/proc/1/environ", "/proc/self/mem", "/bin/sh", "/dev/mem", "/sys/kernel/notes", "../etc/passwd", "/proc/self/root/etc/passwd", "/bin/../etc/passwd"} {
		r := scene(t, prog, "e", name)
		r.run(t, within(t, 20*time.Second))
		if r.status.Code != 1 {
			t.Errorf("%s: %v, %q", name, r.status, r.stdout.String())
		}
	}
}

func TestBadPrograms(t *testing.T) {
	prog := scenes(t)
	ns := newTree(t, prog, "")
	f, _, err := ns.Open("/", "/tmp/text", unix.O_CREAT|unix.O_WRONLY, 0o755)
	check(t, err)
	f.Write([]byte("#!/bin/sh\necho hello\n"))
	f.Close()
	check(t, ns.Mkdir("/", "/tmp/dir", 0o755))
	for _, name := range []string{"/tmp/text", "/tmp/dir", "/none", "/dev/null", "", "/tmp/text/x"} {
		tree := newTree(t, prog, "")
		check(t, tree.Mount("/tmp", keepOpen{ns}, namespace.MountOptions{}))
		p, err := NewProcess(Config{Program: name, Namespace: tree})
		if err == nil {
			p.Close()
			t.Errorf("%q was loaded", name)
		} else if name != "" && !strings.Contains(err.Error(), name) {
			t.Errorf("%q: the error does not name it: %v", name, err)
		}
	}
}

// keepOpen shows /tmp of another namespace, read-only.
type keepOpen struct{ n *namespace.Namespace }

func (k keepOpen) in(name string) string { return "/tmp/" + name }
func (k keepOpen) Lstat(name string) (namespace.Stat, error) {
	st, _, err := k.n.Stat("/", k.in(name), false)
	return st, err
}
func (k keepOpen) Readlink(name string) (string, error) { return k.n.Readlink("/", k.in(name)) }
func (k keepOpen) Open(name string, flags int, perm uint32) (namespace.File, error) {
	f, _, err := k.n.Open("/", k.in(name), flags, perm)
	return f, err
}
func (k keepOpen) Access(name string, mode uint32) error {
	return k.n.Access("/", k.in(name), mode, false)
}
func (keepOpen) Mkdir(string, uint32) error             { return unix.EROFS }
func (keepOpen) Unlink(string) error                    { return unix.EROFS }
func (keepOpen) Rmdir(string) error                     { return unix.EROFS }
func (keepOpen) Rename(string, string, uint) error      { return unix.EROFS }
func (keepOpen) Link(string, string) error              { return unix.EROFS }
func (keepOpen) Symlink(string, string) error           { return unix.EROFS }
func (keepOpen) Chmod(string, uint32) error             { return unix.EROFS }
func (keepOpen) Chown(string, int, int) error           { return unix.EROFS }
func (keepOpen) Utimens(string, [2]unix.Timespec) error { return unix.EROFS }
func (k keepOpen) Statfs() (namespace.Statfs, error)    { return k.n.Statfs("/", "/tmp") }
func (keepOpen) Close() error                           { return nil }

func TestTrace(t *testing.T) {
	var trace bytes.Buffer
	r := scene(t, scenes(t), "e", "/tmp/none")
	r.cfg.Trace = &trace
	r.run(t, within(t, 20*time.Second))
	for _, want := range []string{
		"open(\"/tmp/none\", O_RDONLY) = -1 ENOENT (No such file or directory)\n",
		"writev(1, [{iov_base=\"No such file or directory\", iov_len=25}, {iov_base=\"\\n\", iov_len=1}], 2) = 26\n",
		"exit_group(1) = ?\n", "+++ exited with 1 +++\n",
	} {
		if !strings.Contains(trace.String(), want) {
			t.Errorf("no %q in\n%s", want, trace.String())
		}
	}
	trace.Reset()
	r = scene(t, scenes(t), "f")
	r.cfg.Trace = &trace
	r.run(t, within(t, 20*time.Second))
	if !strings.Contains(trace.String(), "--- SIGSEGV {si_signo=SIGSEGV, si_code=1, si_addr=0x5000} ---") {
		t.Errorf("no fault in\n%s", trace.String())
	}
}

// TestRunsLeaveNothing: processes of many kinds come and go, and leave no
// goroutine, descriptor or mapping.
func TestRunsLeaveNothing(t *testing.T) {
	prog := scenes(t)
	runs := 60
	if testing.Short() {
		runs = 10
	}
	once := func() {
		for i := range runs {
			scn := []string{"h", "F", "f", "s", "t", "n"}[i%6]
			r := scene(t, prog, scn)
			ctx, cancel := context.WithCancel(t.Context())
			if scn == "s" || scn == "t" || scn == "n" {
				time.AfterFunc(2*time.Millisecond, cancel)
			}
			r.run(t, ctx)
			cancel()
		}
		// One that is never run.
		p, err := NewProcess(scene(t, prog, "h").cfg)
		check(t, err)
		check(t, p.Close())
	}
	count := func() [3]int {
		ld.FlushLinks() // what is kept for the next time is no leak
		fds, err := os.ReadDir("/proc/self/fd")
		check(t, err)
		maps, err := os.ReadFile("/proc/self/maps")
		check(t, err)
		return [3]int{goruntime.NumGoroutine(), len(fds), bytes.Count(maps, []byte("\n"))}
	}
	once()
	before := count()
	once()
	once()
	var after [3]int
	for range 200 {
		after = count()
		if after[0] <= before[0] && after[1] <= before[1] && after[2] <= before[2]+20 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("goroutines, descriptors, mappings: %v before, %v after", before, after)
}

func BenchmarkHello(b *testing.B) {
	prog := scenes(b)
	for b.Loop() {
		r := scene(b, prog, "h")
		r.run(b, context.Background())
		if r.status.Code != 42 {
			b.Fatal(r.status, r.err)
		}
	}
}

func BenchmarkGetppid(b *testing.B) {
	prog := scenes(b)
	r := scene(b, prog, "o", "1000000")
	for b.Loop() {
		r = scene(b, prog, "o", "1000000")
		r.run(b, context.Background())
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1e6, "ns/call")
	_ = r
}
