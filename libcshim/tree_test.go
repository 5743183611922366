package libcshim

import (
	"bytes"
	"context"
	"errors"
	"os"
	goruntime "runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/ld"
	"github.com/halite-run/halite/libcshim/namespace"
	"github.com/halite-run/halite/toolchain"
)

func treeProgram(t testing.TB) string { return build(t, "testdata/host/tree.c", "-g") }

// inTree runs testdata/host/tree.c with up to eight processes.
func inTree(t testing.TB, prog string, args ...string) *guestRun {
	t.Helper()
	r := scene(t, prog, args...)
	r.cfg.MaxProcesses = 8
	return r
}

func TestProcesses(t *testing.T) {
	prog := treeProgram(t)
	for name, c := range map[string]struct {
		args   []string
		memory uint64
		want   string
		status int
	}{
		"a bomb has an end":                  {[]string{"l"}, 0, "7 Resource temporarily unavailable\n", 0},
		"an orphan's parent is the host":     {[]string{"o"}, 0, "orphan of 1, -1\n", 0},
		"not in a handler, but after it":     {[]string{"h"}, 0, "-38\n768\n", 0},
		"deep in calls":                      {[]string{"d"}, 0, "1005000 1 6\n", 0},
		"the first process, three programs":  {[]string{"e", "3"}, 0, "", 40},
		"memory is for all together":         {[]string{"m"}, 120 << 20, "3 Out of memory\n", 0},
		"shared memory to be read is memory": {[]string{"a"}, 40 << 20, "1 Out of memory\n", 0},
		"shared memory is memory":            {[]string{"a", "1"}, 40 << 20, "1 Out of memory\n", 0},
		"memory that children take is taken": {[]string{"g"}, 200 << 20, "1\n", 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := inTree(t, prog, c.args...)
			r.cfg.MaxMemory = c.memory
			r.run(t, within(t, 60*time.Second))
			if r.stdout.String() != c.want || r.status.Status() != c.status || r.err != nil {
				t.Errorf("%q, %v, %v, %q", r.stdout.String(), r.status, r.err, r.stderr.String())
			}
		})
	}
}

// TestForkedLinker: the copy loads and unloads libraries of its own.
func TestForkedLinker(t *testing.T) {
	root, err := toolchain.Sysroot()
	check(t, err)
	lib, err := namespace.HostDir(root+"/lib", testID)
	check(t, err)
	out := buildDynamic(t, "testdata/host/tree.c")
	r := inTree(t, out, "D")
	check(t, r.cfg.Namespace.Mount("/lib", lib, namespace.MountOptions{ReadOnly: true}))
	r.run(t, within(t, 60*time.Second))
	if got := r.stdout.String(); got != "7 1 9\n" {
		t.Errorf("%q, %v, %v", got, r.status, r.err)
	}
}

// TestTreeEnds: the deadline, Close and the end of the first process end all of
// them, whatever they do, and nothing is left.
func TestTreeEnds(t *testing.T) {
	prog := treeProgram(t)
	once := func() {
		for _, scn := range []string{"b", "v", "f"} {
			r := inTree(t, prog, scn)
			r.run(t, within(t, 300*time.Millisecond))
			if !errors.Is(r.err, context.DeadlineExceeded) || r.status.Signal != int(unix.SIGKILL) {
				t.Errorf("%s: %v, %v", scn, r.status, r.err)
			}
		}
		r := inTree(t, prog, "l")
		r.run(t, within(t, 60*time.Second))
		r = inTree(t, prog, "v")
		out := &upWriter{up: make(chan struct{}, 1)}
		r.cfg.Stdout = out
		p, err := NewProcess(r.cfg)
		check(t, err)
		done := make(chan error)
		go func() {
			_, err := p.Run(context.Background())
			done <- err
		}()
		<-out.up
		check(t, p.Close())
		if err := <-done; err == nil {
			t.Error("Run says nothing of Close")
		}
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
	r := inTree(t, prog, "n", map[bool]string{true: "100", false: "3000"}[testing.Short()])
	r.run(t, within(t, 10*time.Minute))
	if r.status.Code != 0 || r.err != nil {
		t.Errorf("%v, %v, %q", r.status, r.err, r.stderr.String())
	}
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

// TestTerminalSignal: what a terminal sends goes to the group that has it.
func TestTerminalSignal(t *testing.T) {
	r := inTree(t, treeProgram(t), "s")
	out := &countWriter{up: make(chan struct{}), want: 3}
	r.cfg.Stdout = out
	p, err := NewProcess(r.cfg)
	check(t, err)
	defer p.Close()
	go func() {
		<-out.up
		if err := p.Signal(unix.SIGINT); err != nil {
			t.Error(err)
		}
	}()
	status, err := p.Run(within(t, 60*time.Second))
	if got := out.String(); got != "uuu 2 0 15\n" || status.Code != 0 || err != nil {
		t.Errorf("%q, %v, %v", got, status, err)
	}
}

// countWriter tells when so many bytes were written.
type countWriter struct {
	bytes.Buffer
	up   chan struct{}
	want int
}

func (c *countWriter) Write(p []byte) (int, error) {
	n, err := c.Buffer.Write(p)
	if c.want > 0 && c.Len() >= c.want {
		c.want = 0
		close(c.up)
	}
	return n, err
}

// TestForeignProgram: a program of the host is no program here, and the trace says
// why.
func TestForeignProgram(t *testing.T) {
	r := inTree(t, treeProgram(t), "e", "1")
	native := buildNative(t, "testdata/host/tree.c")
	f, err := namespace.HostFile(native, testID)
	check(t, err)
	check(t, r.cfg.Namespace.Mount("/bin/native", f, namespace.MountOptions{ReadOnly: true}))
	var trace bytes.Buffer
	r.cfg.Trace = &trace
	p, err := NewProcess(r.cfg)
	check(t, err)
	defer p.Close()
	if _, err := p.prepareExec("/", "/bin/native", []string{"x"}, nil); execErrno(err) != unix.ENOEXEC || !strings.Contains(err.Error(), "/bin/native") {
		t.Errorf("%v", err)
	}
	used := p.tree.budget
	if used != nil {
		t.Error("a budget without a limit")
	}
}

// TestBudgetReturns: what failed attempts to start a program took is given back.
func TestBudgetReturns(t *testing.T) {
	r := inTree(t, treeProgram(t), "q")
	r.cfg.MaxMemory = 64 << 20
	p, err := NewProcess(r.cfg)
	check(t, err)
	defer p.Close()
	before := p.tree.budget.Used()
	for i := range 20 {
		next, err := p.prepareExec("/", "/bin/prog", []string{"x", strconv.Itoa(i)}, nil)
		check(t, err)
		next.discard()
	}
	if after := p.tree.budget.Used(); after != before || before == 0 || before%cage.PageSize != 0 {
		t.Errorf("%d bytes before, %d after", before, after)
	}
}

func BenchmarkFork(b *testing.B) {
	prog := treeProgram(b)
	r := inTree(b, prog, "n", strconv.Itoa(b.N*8)) // one of eight executes a program
	b.ResetTimer()
	r.run(b, context.Background())
	if r.status.Code != 0 || r.err != nil {
		b.Fatal(r.status, r.err)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/8, "µs/process")
}

// TestRightsInCircles: sockets that are on their way in each other, which no count ever
// closes, have a bound, and end with the tree; and so do files of the host that are with
// them.
//
// Attack: descriptors that were passed on.
func TestRightsInCircles(t *testing.T) {
	prog := treeProgram(t)
	descriptors := func() int {
		ld.FlushLinks() // what is kept for the next time is no leak
		fds, err := os.ReadDir("/proc/self/fd")
		check(t, err)
		return len(fds)
	}
	dir := t.TempDir()
	before := 0
	for range 3 {
		r := inTree(t, prog, "c")
		w, err := namespace.HostDir(dir, testID)
		check(t, err)
		check(t, r.cfg.Namespace.Mount("/w", w, namespace.MountOptions{}))
		r.cfg.MaxFiles = 100
		r.run(t, within(t, 60*time.Second))
		if got := r.stdout.String(); got != "33 109\n" /* ETOOMANYREFS */ || r.err != nil {
			t.Fatalf("%q, %v, %v, %q", got, r.status, r.err, r.stderr.String())
		}
		if after := descriptors(); before == 0 {
			before = after
		} else if after > before {
			t.Errorf("%d descriptors of the host, then %d", before, after)
		}
	}
}
