package libcshim

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/halite-run/halite/libcshim/namespace"
	"github.com/halite-run/halite/toolchain"
)

var testID = namespace.Identity{UID: 1000, GID: 1000}

// compiler builds the command, once; its `cc` is the compiler.
// HALITE_TEST_COMMAND names a command to be used instead.
var compiler = sync.OnceValues(func() (string, error) {
	if bin := os.Getenv("HALITE_TEST_COMMAND"); bin != "" {
		return bin, nil
	}
	if _, err := toolchain.Sysroot(); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "halite-libcshim-")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "halite")
	out, err := exec.Command("go", "build", "-o", bin, "../cmd/halite").CombinedOutput()
	if err != nil {
		return "", errors.New(string(out))
	}
	return bin, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if bin, err := compiler(); err == nil && bin != os.Getenv("HALITE_TEST_COMMAND") {
		os.RemoveAll(filepath.Dir(bin))
	}
	os.Exit(code)
}

// build compiles a program of testdata for the sandbox.
func build(t testing.TB, source string, flags ...string) string {
	t.Helper()
	return buildDynamic(t, source, append([]string{"-static"}, flags...)...)
}

// buildDynamic does the same for one that wants the C library at run time.
func buildDynamic(t testing.TB, source string, flags ...string) string {
	t.Helper()
	bin, err := compiler()
	if err != nil {
		t.Skip("no compiler for the sandbox:", err)
	}
	out := filepath.Join(t.TempDir(), strings.TrimSuffix(filepath.Base(source), ".c"))
	args := append([]string{"cc", "-O1", "-w", "-pthread", "-o", out, source}, flags...)
	if text, err := exec.Command(bin, args...).CombinedOutput(); err != nil {
		t.Fatalf("halite %s: %v\n%s", strings.Join(args, " "), err, text)
	}
	return out
}

// buildNative compiles it with musl for this machine.
func buildNative(t testing.TB, source string) string {
	t.Helper()
	cc, err := exec.LookPath("musl-gcc")
	if err != nil {
		t.Skip("no musl-gcc to compare with")
	}
	out := filepath.Join(t.TempDir(), "native")
	if text, err := exec.Command(cc, "-O1", "-w", "-static", "-pthread", "-o", out, source).CombinedOutput(); err != nil {
		t.Fatalf("musl-gcc: %v\n%s", err, text)
	}
	return out
}

// newTree is a namespace with a program in /bin, /tmp in memory, and a host
// directory in /w.
func newTree(t testing.TB, program, dir string) *namespace.Namespace {
	t.Helper()
	ns := namespace.New()
	prog, err := namespace.HostFile(program, testID)
	if err != nil {
		t.Fatal(err)
	}
	check(t, ns.Mount("/bin/prog", prog, namespace.MountOptions{ReadOnly: true}))
	check(t, ns.Mount("/tmp", namespace.NewMemory(namespace.MemoryConfig{Identity: testID}), namespace.MountOptions{}))
	if dir != "" {
		w, err := namespace.HostDir(dir, testID)
		if err != nil {
			t.Fatal(err)
		}
		check(t, ns.Mount("/w", w, namespace.MountOptions{}))
	}
	return ns
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// guestRun is a program that is to run, and what came of it.
type guestRun struct {
	cfg            Config
	stdout, stderr bytes.Buffer
	status         ExitStatus
	err            error
}

func (r *guestRun) run(t testing.TB, ctx context.Context) {
	t.Helper()
	if r.cfg.Stdout == nil {
		r.cfg.Stdout = &r.stdout
	}
	if r.cfg.Stderr == nil {
		r.cfg.Stderr = &r.stderr
	}
	p, err := NewProcess(r.cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.status, r.err = p.Run(ctx)
	check(t, p.Close())
}

const testInput = "12345abcdefgh"

// TestLikeNative runs each program here and on this machine's kernel and compares
// what they print, what they leave as exit status, on a host directory and in
// memory.
func TestLikeNative(t *testing.T) {
	sources, err := filepath.Glob("testdata/*.c")
	check(t, err)
	for _, source := range sources {
		name := strings.TrimSuffix(filepath.Base(source), ".c")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			native := exec.CommandContext(within(t, 2*time.Minute), buildNative(t, source), "first", "second arg")
			native.Dir = t.TempDir()
			native.Env = []string{"GREETING=hi"}
			native.Stdin = strings.NewReader(testInput)
			want, err := native.Output()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			status := native.ProcessState.ExitCode()
			if ws := native.ProcessState.Sys().(syscall.WaitStatus); ws.Signaled() {
				status = 128 + int(ws.Signal())
			}
			prog := build(t, source)
			for _, dir := range []string{"/w", "/tmp"} {
				t.Run(dir[1:], func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
					defer cancel()
					r := guestRun{cfg: Config{
						Program: "/bin/prog", Args: []string{"/bin/prog", "first", "second arg"}, Env: []string{"GREETING=hi"},
						Dir: dir, Namespace: newTree(t, prog, t.TempDir()), Stdin: strings.NewReader(testInput), MaxProcesses: 32,
					}}
					r.run(t, ctx)
					if got := r.stdout.String(); got != string(want) {
						t.Errorf("output differs:\n%s", differences(got, string(want)))
					}
					if r.status.Status() != status {
						t.Errorf("status %v (%v), natively %d", r.status, r.err, status)
					}
				})
			}
		})
	}
}

// differences lists the lines that differ.
func differences(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	var b strings.Builder
	n := 0
	for i := range max(len(g), len(w)) {
		var x, y string
		if i < len(g) {
			x = g[i]
		}
		if i < len(w) {
			y = w[i]
		}
		if x != y {
			if n++; n > 12 {
				b.WriteString("...\n")
				break
			}
			b.WriteString("  here     " + x + "\n  natively " + y + "\n")
		}
	}
	return b.String()
}
