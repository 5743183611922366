package engine

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The tests in this file stop a guest at each single instruction on its way in,
// through the trampolines, and out, and deliver a signal there. A child process
// runs the guest; we trace its thread. The child sends itself SIGUSR1 before
// each turn; from there we step, and at the n-th instruction that is the
// engine's or the guest's, the signal is delivered.

// TestEverySignal: a signal at any instruction changes nothing for the guest.
func TestEverySignal(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGURG, syscall.SIGUSR2} {
		for _, name := range []string{"signal", "served"} {
			n := trace(t, name, sig)
			t.Logf("%s: %v at each of %d instructions", name, sig, n)
		}
	}
	n := trace(t, "sampled", syscall.SIGPROF)
	t.Logf("sampled at each of %d instructions", n)
}

// TestEveryClassicSignal is the same for the classic ABI.
func TestEveryClassicSignal(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGURG, syscall.SIGUSR2} {
		n := trace(t, "classic", sig)
		t.Logf("%v at each of %d instructions", sig, n)
	}
}

// TestEveryInterrupt: an interrupt at any instruction ends the guest's endless
// loop, and no register shows an address of the host.
func TestEveryInterrupt(t *testing.T) {
	for _, name := range []string{"ctlspin", "callspin", "servedspin", "classictls"} {
		n := trace(t, name, syscall.SIGURG)
		t.Logf("%s: interrupted at each of %d instructions", name, n)
	}
}

// TestStepChild is the child.
func TestStepChild(t *testing.T) {
	mode := os.Getenv("HALITE_STEP")
	if mode == "" {
		t.Skip("is for TestEverySignal")
	}
	runtime.LockOSThread()
	signal.Notify(make(chan os.Signal, 1000), syscall.SIGUSR2)
	s, c, begin := (*sandbox)(nil), (*Context)(nil), start
	if mode == "classic" || mode == "classictls" {
		s, c = newClassicGuest(t)
		begin = startClassic
	} else {
		s, c = newGuest(t)
	}
	if mode == "sampled" {
		if err := c.Profile(); err != nil {
			t.Fatal(err)
		}
	}
	if mode == "served" || mode == "servedspin" {
		c.SetServer(func(uint32) bool {
			c.Regs().RAX = 0
			return !c.Interrupted()
		})
	}
	s.regs(guestIn).pattern(3)
	lo, hi := textRange()
	fmt.Printf("step %d %d %d %d %d %d\n", syscall.Gettid(), s.Base(), lo, hi, handler.enter, uintptr(unsafe.Pointer(&c.core.intr)))
	var go_ [1]byte
	os.Stdin.Read(go_[:])
	for turn := 0; ; turn++ {
		name := mode
		switch mode {
		case "signal", "served", "sampled", "classic":
			name = "verifycalls"
		case "servedspin":
			name = "callspin"
		case "classictls":
			name = "tlsspin"
		}
		begin(c, name, 1)
		syscall.RawSyscall(syscall.SYS_TGKILL, uintptr(os.Getpid()), uintptr(syscall.Gettid()), uintptr(syscall.SIGUSR1))
	resume:
		for {
			switch x := c.Resume(); x.Reason {
			case ExitCall:
				c.Regs().RAX = 0
			case ExitReturn:
				if name != "verifycalls" || c.Regs().RAX != 0 {
					s.regs(guestOut).differ(t, s.regs(guestIn))
					t.Fatalf("turn %d: %s returned %d", turn, name, c.Regs().RAX)
				}
				break resume
			case ExitInterrupt:
				noHostAddress(t, c, s.regs(guestIn))
				if t.Failed() {
					t.Fatalf("turn %d", turn)
				}
				c.ClearInterrupt()
				c.Leave()
				break resume
			default:
				t.Fatalf("turn %d: %v %v", turn, x, c.Fault())
			}
		}
		if c.ControlDepth() != 0 {
			t.Fatalf("turn %d: %d words left on the control stack", turn, c.ControlDepth())
		}
	}
}

// textRange returns where the engine's own assembly is.
func textRange() (lo, hi uintptr) {
	h := &handler
	lo, hi = ^uintptr(0), 0
	for _, f := range []uintptr{h.bail, h.async - 1, h.enter, h.callGuest, h.callSignal, h.dispatch, h.depth,
		h.unwind, h.read, h.ret, h.retClear, h.sigRet, h.sigClear, h.classic, h.called} {
		lo, hi = min(lo, f), max(hi, f+funcLen(f))
	}
	return lo, hi
}

// trace runs a child in the given mode until a turn has fewer instructions than
// the signal's turn has come to, and returns how many there were.
func trace(t *testing.T, mode string, sig syscall.Signal) int {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command(os.Args[0], "-test.run=^TestStepChild$", "-test.v")
	cmd.Env = append(os.Environ(), "HALITE_STEP="+mode, "HALITE_CHILD=step",
		"GODEBUG=asyncpreemptoff=1", "GOGC=off") // no signals but ours, mostly
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var stuck atomic.Bool
	alarm := time.AfterFunc(time.Minute, func() {
		stuck.Store(true)
		cmd.Process.Kill()
	})
	defer alarm.Stop()
	lines := bufio.NewScanner(out)
	var tid int
	var base, lo, hi, enter, intr uint64
	for lines.Scan() {
		if _, err := fmt.Sscanf(lines.Text(), "step %d %d %d %d %d %d", &tid, &base, &lo, &hi, &enter, &intr); err == nil {
			break
		}
	}
	if tid == 0 {
		t.Fatal("the child did not start")
	}
	if err := syscall.PtraceAttach(tid); err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		t.Skipf("ptrace is not allowed here: %v", err)
	}
	tr := &tracer{tid: tid}
	if err := tr.wait(); err != nil { // for the stop of the attachment
		t.Fatal(err)
	}
	in.Write([]byte{1})
	tr.cont(0)
	inside := func(pc uint64) bool { return pc-base < 1<<32 || pc >= lo && pc < hi }

	end := func() {
		cmd.Process.Kill()
		// A traced thread's end is its tracer's to collect; until then the
		// process can not be waited for.
		for tr.cont(0); tr.wait() == nil; tr.cont(0) {
		}
		cmd.Wait()
	}
	n, stride := 0, 1
	if testing.Short() {
		stride = 5
	}
	var gone error
turns:
	for ; ; n += stride {
		if gone = tr.until(syscall.SIGUSR1); gone != nil {
			break
		}
		for count := 0; ; {
			// Through Go at full speed, to where the engine begins.
			switch gone = tr.reach(enter); {
			case gone != nil:
				break turns
			case tr.stop == syscall.SIGUSR1:
				end() // the next turn: all instructions have been tried
				return n
			}
			for inside(tr.pc()) && count < n && tr.stop == syscall.SIGTRAP {
				count++
				if gone = tr.step(); gone != nil {
					break turns
				}
			}
			if tr.stop != syscall.SIGTRAP { // a signal of Go's own: once more
				tr.cont(tr.stop)
				n -= stride
				continue turns
			}
			if count == n && inside(tr.pc()) {
				break
			}
		}
		if mode != "signal" && mode != "served" && mode != "sampled" && mode != "classic" {
			if n > 220 { // several times around the loop
				end()
				return n
			}
			one := []byte{1, 0, 0, 0}
			if _, err := syscall.PtracePokeData(tid, uintptr(intr), one); err != nil {
				t.Fatal(err)
			}
		}
		tr.cont(sig)
	}
	// The child has ended on its own account.
	var text []string
	for lines.Scan() {
		text = append(text, lines.Text())
	}
	err = cmd.Wait()
	if stuck.Load() {
		t.Errorf("%s: stuck after signal %v at instruction %d", mode, sig, n-stride)
	} else {
		t.Errorf("%s: after signal %v at instruction %d: %v, %v\n%s", mode, sig, n-stride, gone, err, strings.Join(text, "\n"))
	}
	return n
}

type tracer struct {
	tid  int
	stop syscall.Signal
}

var errGone = errors.New("the child has gone")

func (tr *tracer) wait() error {
	var ws syscall.WaitStatus
	for {
		_, err := syscall.Wait4(tr.tid, &ws, unix.WALL, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if !ws.Stopped() {
			return fmt.Errorf("%w: exited %v (%d), signalled %v (%v)", errGone, ws.Exited(), ws.ExitStatus(), ws.Signaled(), ws.Signal())
		}
		tr.stop = ws.StopSignal()
		return nil
	}
}

func (tr *tracer) cont(sig syscall.Signal) { syscall.PtraceCont(tr.tid, int(sig)) }

// until lets the child run until it gets a certain signal, which is taken away.
func (tr *tracer) until(sig syscall.Signal) error {
	for {
		if err := tr.wait(); err != nil {
			return err
		}
		if tr.stop == sig {
			return nil
		}
		if tr.stop == syscall.SIGTRAP || tr.stop == syscall.SIGSTOP {
			tr.cont(0) // of the tracing itself
			continue
		}
		tr.cont(tr.stop)
	}
}

func (tr *tracer) step() error {
	if err := syscall.PtraceSingleStep(tr.tid); err != nil {
		return err
	}
	return tr.wait()
}

// reach lets the child run to an address, or to another turn.
func (tr *tracer) reach(addr uint64) error {
	var old [1]byte
	if _, err := syscall.PtracePeekText(tr.tid, uintptr(addr), old[:]); err != nil {
		return err
	}
	if _, err := syscall.PtracePokeText(tr.tid, uintptr(addr), []byte{0xcc}); err != nil {
		return err
	}
	for sig := syscall.Signal(0); ; sig = tr.stop {
		tr.cont(sig)
		if err := tr.wait(); err != nil {
			return err
		}
		if tr.stop == syscall.SIGTRAP || tr.stop == syscall.SIGUSR1 {
			break
		}
	}
	if _, err := syscall.PtracePokeText(tr.tid, uintptr(addr), old[:]); err != nil {
		return err
	}
	var r syscall.PtraceRegs
	if err := syscall.PtraceGetRegs(tr.tid, &r); err != nil {
		return err
	}
	if tr.stop == syscall.SIGTRAP && r.Rip == addr+1 {
		r.Rip = addr
		return syscall.PtraceSetRegs(tr.tid, &r)
	}
	return nil
}

func (tr *tracer) pc() uint64 {
	var r syscall.PtraceRegs
	if err := syscall.PtraceGetRegs(tr.tid, &r); err != nil {
		return 0
	}
	return r.Rip
}
