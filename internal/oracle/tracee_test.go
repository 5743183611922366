package oracle

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Where things are in the traced process. Nothing else is mapped there.
const (
	base     = uint64(0x1000_0000_0000) // of the sandbox
	size     = uint64(1) << 32
	textAt   = uint64(0x20000) // offset of the text
	textSize = 0x1000

	controlAt = uint64(0x2a00_0000_0000) // a page; the stack begins in its middle
	controlSP = controlAt + 0x800
	threadAt  = uint64(0x3500_0000_0000)      // a page
	fsBase    = threadAt + 0x1000 - (16 + 4)  // the thread pointer is the last word of the page
	threadTP  = uint32(0x10203040)            // what it holds
	starterAt = uint64(0x0400_0000_0000)      // the ELF file's page, unmapped in the end
	marker    = uint64(0x5a5a_c3c3_7e7e_1818) // fills what the guest must neither read nor write

	pageSize = 0x1000
)

// dataAt are offsets of pages of data, in pairs of start and length.
var dataAt = [][2]uint64{
	{0x10000, 0x1000},            // the lowest page that may be mapped
	{0x1000_0000, 0x40000},       // where registers point
	{0x2000_0000, 0x80000},       // where sums of two of them do
	{0x7ffff000, 0x2000},         // on both sides of the sign
	{size - 0x20000, 0x10000},    // up to the edge of what may be mapped
	{0x4000_0000, 0x100000},      // sums with a scale
	{0x5000_0000, 0x100000},      //
	{0x9000_0000, 0x100000},      //
	{size - 0x1000_0000, 0x2000}, //
}

// A tracee is the traced process. All of its methods must be called on the
// thread that started it.
type tracee struct {
	cmd     *exec.Cmd
	pid     int
	text    []byte    // shared: the text
	control []byte    // shared: the control stack
	thread  []byte    // shared: the thread block
	all     []byte    // the three together
	fp      [512]byte // x87 and vector registers at the start, as of fxsave
}

// starter is an ELF file whose program is syscall; int3.
func starter() []byte {
	var b bytes.Buffer
	le := func(v any) { _ = binary.Write(&b, binary.LittleEndian, v) }
	b.WriteString("\x7fELF\x02\x01\x01")
	b.Write(make([]byte, 9))
	le([]uint16{2, 62}) // executable, x86-64
	le(uint32(1))
	le([]uint64{starterAt + 120, 64, 0}) // entry, program headers, sections
	le(uint32(0))
	le([]uint16{64, 56, 1, 0, 0, 0})
	le([]uint32{1, 5}) // PT_LOAD, read and execute
	le([]uint64{0, starterAt, starterAt, 123, 123, pageSize})
	b.WriteString("\x0f\x05\xcc")
	return b.Bytes()
}

// startTracee locks the calling goroutine to its thread until close.
func startTracee(tb testing.TB) (*tracee, error) {
	runtime.LockOSThread()
	t, err := newTracee(tb.TempDir())
	if err != nil {
		runtime.UnlockOSThread()
	}
	return t, err
}

func newTracee(dir string) (*tracee, error) {
	file := dir + "/starter"
	if err := os.WriteFile(file, starter(), 0o755); err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate("oracle", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	memory := os.NewFile(uintptr(fd), "oracle")
	defer memory.Close()
	if err := memory.Truncate(3 * pageSize); err != nil {
		return nil, err
	}
	all, err := unix.Mmap(fd, 0, 3*pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	t := &tracee{
		cmd:     exec.Command(file),
		all:     all,
		text:    all[:pageSize:pageSize],
		control: all[pageSize : 2*pageSize : 2*pageSize],
		thread:  all[2*pageSize:],
	}
	t.cmd.ExtraFiles = []*os.File{memory} // descriptor 3
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Pdeathsig: syscall.SIGKILL}
	if err := t.cmd.Start(); err != nil {
		return nil, err
	}
	t.pid = t.cmd.Process.Pid
	if err := t.prepare(); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *tracee) close() {
	_ = t.cmd.Process.Kill()
	var ws unix.WaitStatus
	for {
		if _, err := unix.Wait4(t.pid, &ws, unix.WALL, nil); err != unix.EINTR && (err != nil || ws.Exited() || ws.Signaled()) {
			break
		}
	}
	_ = unix.Munmap(t.all)
	runtime.UnlockOSThread()
}

// prepare makes the address space.
func (t *tracee) prepare() error {
	if s, err := t.wait(); err != nil || s != unix.SIGTRAP {
		return fmt.Errorf("start: signal %v, %w", s, err)
	}
	if err := unix.PtraceSetOptions(t.pid, unix.PTRACE_O_EXITKILL); err != nil {
		return err
	}
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", t.pid))
	if err != nil {
		return err
	}
	if err := t.mmap(base, size, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE|unix.MAP_FIXED_NOREPLACE, 0); err != nil {
		return err
	}
	for _, d := range dataAt {
		if err := t.mmap(base+d[0], d[1], unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED, 0); err != nil {
			return err
		}
	}
	for i, m := range []struct {
		at   uint64
		prot int
	}{{base + textAt, unix.PROT_READ | unix.PROT_EXEC}, {controlAt, unix.PROT_READ | unix.PROT_WRITE}, {threadAt, unix.PROT_READ | unix.PROT_WRITE}} {
		if err := t.mmap(m.at, pageSize, m.prot, unix.MAP_SHARED|unix.MAP_FIXED, uint64(i)*pageSize); err != nil {
			return err
		}
	}
	for i := 0; i < pageSize; i += 8 {
		binary.LittleEndian.PutUint64(t.thread[i:], marker)
	}
	binary.LittleEndian.PutUint32(t.thread[pageSize-4:], threadTP)
	// What the kernel mapped goes; the vsyscall page can't, but nobody can read it.
	var own uint64
	for _, l := range strings.Split(string(maps), "\n") {
		from, rest, ok := strings.Cut(l, "-")
		if !ok || strings.HasSuffix(l, "[vsyscall]") {
			continue
		}
		to, _, _ := strings.Cut(rest, " ")
		a, err1 := strconv.ParseUint(from, 16, 64)
		b, err2 := strconv.ParseUint(to, 16, 64)
		if err1 != nil || err2 != nil {
			return fmt.Errorf("maps: %q", l)
		}
		if a == starterAt {
			own = b - a
			continue
		}
		if err := t.syscall(unix.SYS_MUNMAP, a, b-a); err != nil {
			return err
		}
	}
	if err := t.syscall(unix.SYS_MUNMAP, starterAt, own); err != nil {
		return err
	}
	return t.ptrace(unix.PTRACE_GETFPREGS, unsafe.Pointer(&t.fp))
}

// syscall makes the process call the kernel, from the starter's instruction.
func (t *tracee) syscall(nr uint64, args ...uint64) error {
	var r unix.PtraceRegs
	if err := unix.PtraceGetRegs(t.pid, &r); err != nil {
		return err
	}
	for len(args) < 6 {
		args = append(args, 0)
	}
	r.Rip, r.Rax, r.Orig_rax = starterAt+120, nr, ^uint64(0)
	r.Rdi, r.Rsi, r.Rdx, r.R10, r.R8, r.R9 = args[0], args[1], args[2], args[3], args[4], args[5]
	if err := unix.PtraceSetRegs(t.pid, &r); err != nil {
		return err
	}
	if err := unix.PtraceSingleStep(t.pid); err != nil {
		return err
	}
	if s, err := t.wait(); err != nil || s != unix.SIGTRAP && s != unix.SIGSEGV {
		return fmt.Errorf("system call %d: signal %v, %w", nr, s, err)
	}
	if err := unix.PtraceGetRegs(t.pid, &r); err != nil {
		return err
	}
	if e := int64(r.Rax); e < 0 && e > -4096 {
		return fmt.Errorf("system call %d: %w", nr, unix.Errno(-e))
	}
	return nil
}

func (t *tracee) mmap(at, n uint64, prot, flags int, off uint64) error {
	fd := uint64(3)
	if flags&unix.MAP_ANONYMOUS != 0 {
		fd = ^uint64(0)
	}
	return t.syscall(unix.SYS_MMAP, at, n, uint64(prot), uint64(flags), fd, off)
}

// wait waits until the process stops, and returns for which signal.
func (t *tracee) wait() (unix.Signal, error) {
	var ws unix.WaitStatus
	for {
		_, _, e := unix.RawSyscall6(unix.SYS_WAIT4, uintptr(t.pid), uintptr(unsafe.Pointer(&ws)), unix.WALL, 0, 0, 0)
		switch {
		case e == unix.EINTR:
			continue
		case e != 0:
			return 0, e
		case !ws.Stopped():
			return 0, fmt.Errorf("the traced process is gone: %#x", uint32(ws))
		}
		return ws.StopSignal(), nil
	}
}

func (t *tracee) ptrace(request int, data unsafe.Pointer) error {
	if _, _, e := unix.RawSyscall6(unix.SYS_PTRACE, uintptr(request), uintptr(t.pid), 0, uintptr(data), 0, 0); e != 0 {
		return e
	}
	return nil
}

// outcome is how a step ended.
type outcome struct {
	signal unix.Signal
	code   int32
	addr   uint64 // of SIGSEGV and SIGBUS
	regs   unix.PtraceRegs
}

const trapTrace = 2 // si_code of a step that is done

// page tells a page fault, which has an address, from a general protection fault.
func (o *outcome) page() bool {
	return (o.signal == unix.SIGSEGV || o.signal == unix.SIGBUS) && o.code > 0 && o.code < 0x80
}

// step executes one instruction from the given registers, or from where the
// last step ended if r is nil.
func (t *tracee) step(r *unix.PtraceRegs) (o outcome, err error) {
	if r != nil {
		if err = t.ptrace(unix.PTRACE_SETREGS, unsafe.Pointer(r)); err != nil {
			return o, err
		}
	}
	if err = t.ptrace(unix.PTRACE_SYSEMU_SINGLESTEP, nil); err != nil {
		return o, err
	}
	if o.signal, err = t.wait(); err != nil {
		return o, err
	}
	if err = t.ptrace(unix.PTRACE_GETREGS, unsafe.Pointer(&o.regs)); err != nil {
		return o, err
	}
	o.code = trapTrace
	if o.signal != unix.SIGTRAP {
		var info [128]byte
		if err = t.ptrace(unix.PTRACE_GETSIGINFO, unsafe.Pointer(&info)); err != nil {
			return o, err
		}
		o.code = int32(binary.LittleEndian.Uint32(info[8:]))
		o.addr = binary.LittleEndian.Uint64(info[16:])
	}
	return o, nil
}

// calm gives the x87 and vector registers and their control words their first
// values back.
func (t *tracee) calm() error { return t.ptrace(unix.PTRACE_SETFPREGS, unsafe.Pointer(&t.fp)) }
