package engine

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestProfile: a CPU profile shows guest time under the Go caller.
func TestProfile(t *testing.T) {
	_, c := newGuest(t)
	var buf bytes.Buffer
	if err := pprof.StartCPUProfile(&buf); err != nil {
		t.Skip(err)
	}
	start(c, "spin")
	time.AfterFunc(400*time.Millisecond, c.Interrupt)
	want(t, c, ExitInterrupt)
	pprof.StopCPUProfile()
	z, err := gzip.NewReader(&buf)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"engine.guest", "engine.(*Context).Resume", "engine.TestProfile"} {
		if !bytes.Contains(b, []byte(name)) {
			t.Errorf("the profile does not mention %s", name)
		}
	}
}

// TestTraceback: SIGQUIT while a guest runs prints the Go stack around it.
func TestTraceback(t *testing.T) {
	if os.Getenv("HALITE_CHILD") == "spin" {
		_, c := newGuest(t)
		start(c, "spin")
		go func() {
			// To the very thread: on another one, Go says of a goroutine that runs
			// only that its stack is not to be had.
			for ; ; time.Sleep(time.Millisecond) {
				if tid, ok := c.Running(); ok {
					_ = syscall.Tgkill(os.Getpid(), tid, syscall.SIGQUIT)
				}
			}
		}()
		c.Resume()
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestTraceback$")
	cmd.Env = append(os.Environ(), "HALITE_CHILD=spin", "GOTRACEBACK=all")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Error("survived SIGQUIT")
	}
	for _, s := range []string{"SIGQUIT", "engine.(*Context).Resume", "engine.TestTraceback"} {
		if !strings.Contains(string(out), s) {
			t.Errorf("no %q in the traceback", s)
		}
	}
	for _, s := range []string{"unexpected return pc", "fatal error", "runtime: unknown pc"} {
		if strings.Contains(string(out), s) {
			t.Errorf("%q in the traceback", s)
		}
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
}

// TestStacks: the runtime can look at the stacks of goroutines in guests.
func TestStacks(t *testing.T) {
	var wg sync.WaitGroup
	var cs []*Context
	for range 3 {
		_, c := newGuest(t)
		cs = append(cs, c)
		start(c, "spin")
		wg.Go(func() { want(t, c, ExitInterrupt) })
	}
	buf := make([]byte, 1<<20)
	for range 20 {
		time.Sleep(2 * time.Millisecond)
		s := string(buf[:runtime.Stack(buf, true)])
		if n := strings.Count(s, "engine.(*Context).Resume"); n > len(cs) {
			t.Errorf("%d goroutines in guests, want at most %d", n, len(cs))
		}
	}
	for _, c := range cs {
		c.Interrupt()
	}
	wg.Wait()
}

// TestGoexit: a panic or Goexit that passes an invocation leaves the context
// usable.
func TestGoexit(t *testing.T) {
	_, c := newGuest(t)
	start(c, "calls", 1)
	want(t, c, ExitCall)
	outer := c.Save()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			c.Leave()
			c.Restore(outer)
		}()
		start(c, "deep", 20)
		want(t, c, ExitCall)
		runtime.Goexit()
	}()
	<-done
	func() {
		defer func() {
			recover()
			c.Leave()
			c.Restore(outer)
		}()
		start(c, "deep", 20)
		want(t, c, ExitCall)
		panic("in a call of the host")
	}()
	c.Regs().RAX = 17
	want(t, c, ExitReturn)
	if c.Regs().RAX != 17 || c.ControlDepth() != 0 {
		t.Errorf("rax %d, depth %d", c.Regs().RAX, c.ControlDepth())
	}
}

// TestExec: starting other programs beside running guests.
func TestExec(t *testing.T) {
	_, c := newGuest(t)
	start(c, "spin")
	done := make(chan struct{})
	go func() {
		want(t, c, ExitInterrupt)
		close(done)
	}()
	for range 5 {
		if out, err := exec.Command("/bin/echo", "ok").Output(); err != nil || string(out) != "ok\n" {
			t.Errorf("%q, %v", out, err)
		}
	}
	c.Interrupt()
	<-done
}

// TestThreads: guests that compute do not pile up OS threads.
func TestThreads(t *testing.T) {
	s := newSandbox(t)
	before := len(threads(t))
	for range 5 {
		var wg sync.WaitGroup
		for range 10 {
			c, err := NewContext(s.Base(), ContextOptions{ControlStackSize: 4096})
			if err != nil {
				t.Fatal(err)
			}
			start(c, "spin")
			time.AfterFunc(time.Millisecond, c.Interrupt)
			wg.Go(func() {
				c.Resume()
				c.Close()
			})
		}
		wg.Wait()
	}
	if after := len(threads(t)); after > before+40 {
		t.Errorf("%d threads before, %d after", before, after)
	}
	if n := detached.Load(); n != 0 {
		t.Errorf("%d guests are still counted as detached", n)
	}
}
