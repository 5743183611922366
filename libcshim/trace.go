package libcshim

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/libcshim/namespace"
	"github.com/halite-run/halite/runtime"
)

// tracer prints calls the way strace does. A nil tracer prints nothing.
type tracer struct {
	mu sync.Mutex
	w  io.Writer
}

func newTracer(w io.Writer) *tracer {
	if w == nil {
		return nil
	}
	return &tracer{w: w}
}

// line writes one line; but for the first thread of the first process it begins
// with the thread's number.
func (t *tracer) line(k *task, format string, v ...any) {
	prefix := ""
	if k != nil && k.t.TID() != firstPID {
		prefix = fmt.Sprintf("[%d] ", k.t.TID())
	}
	text := fmt.Sprintf(format, v...)
	t.mu.Lock()
	defer t.mu.Unlock()
	_, _ = io.WriteString(t.w, prefix+text+"\n") // nobody to tell if it fails
}

// call serves a call and prints it.
func (t *tracer) call(k *task, c *call, a *args) int64 {
	in := *a
	words := make([]string, len(c.args))
	for i, kind := range c.args {
		if !kind.out() {
			words[i] = kind.format(k, in, i, 0)
		}
	}
	n, err := c.serve(k, a)
	r := result(n, err)
	for i, kind := range c.args {
		if kind.out() {
			words[i] = kind.format(k, in, i, r)
		}
	}
	shown := words[:0]
	for i, kind := range c.args {
		if kind != aNone && words[i] != "" {
			shown = append(shown, words[i])
		}
	}
	t.line(k, "%s(%s) = %s", c.name, strings.Join(shown, ", "), c.resultText(k, r))
	return r
}

func (c *call) resultText(k *task, r int64) string {
	switch {
	case k.t.Exiting() && (c.name == "exit" || c.name == "exit_group" || c.name == "unmap_exit"):
		return "?"
	case r == runtime.Restart:
		return "? ERESTARTSYS (To be restarted if SA_RESTART is set)"
	case r == runtime.RestartUnlessHandled:
		return "? ERESTARTNOHAND (To be restarted if no handler)"
	case r < 0 && r > -4096:
		e := syscall.Errno(-r)
		return fmt.Sprintf("-1 %s (%s)", errnoName(e), errnoText(e))
	}
	switch c.ret {
	case rHex:
		return fmt.Sprintf("%#x", uint64(r))
	case rOct:
		return fmt.Sprintf("%#o", r)
	}
	return strconv.FormatInt(r, 10)
}

func errnoName(e syscall.Errno) string {
	if s := unix.ErrnoName(e); s != "" {
		return s
	}
	return "errno " + strconv.Itoa(int(e))
}

// errnoText begins with a capital letter, as strace has it.
func errnoText(e syscall.Errno) string {
	s := e.Error()
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// unknown prints a call that is not served.
func (t *tracer) unknown(k *task, nr uint64, a args) {
	t.line(k, "syscall_%#x(%#x, %#x, %#x, %#x, %#x, %#x) = -1 ENOSYS (Function not implemented)", nr, a[0], a[1], a[2], a[3], a[4], a[5])
}

// signal prints the arrival of a signal.
func (t *tracer) signal(k *task, i siginfo, what string) {
	if t == nil {
		return
	}
	detail := fmt.Sprintf("si_code=%d", i.code)
	if i.hasAddr {
		detail += fmt.Sprintf(", si_addr=%#x", i.addr)
	} else if i.pid != 0 {
		detail += fmt.Sprintf(", si_pid=%d", i.pid)
	}
	name := runtime.SignalName(i.signo)
	t.line(k, "--- %s {si_signo=%s, %s} ---", name, name, detail)
	if what != "" {
		t.line(k, "+++ %s by %s +++", what, name)
	}
}

// end prints how the process ended.
func (t *tracer) end(p *Process, e runtime.Ending) {
	if t != nil && e.Signal == 0 {
		t.note(p, "+++ exited with %d +++", e.Code)
	}
}

// note is line for what is no call of a thread.
func (t *tracer) note(p *Process, format string, v ...any) {
	if t == nil {
		return
	}
	if p.node.pid != firstPID {
		format = fmt.Sprintf("[%d] ", p.node.pid) + format
	}
	t.line(nil, format, v...)
}

// retKind says how a result is printed.
type retKind uint8

const (
	rInt retKind = iota
	rHex
	rOct
)

// argKind says how an argument is printed.
type argKind uint8

const (
	aNone argKind = iota // padding, not printed
	aInt
	aSize
	aOff
	aHex
	aPtr
	aFD
	aDirFD
	aMapFD
	aPath
	aInBuf // its length is the next argument
	aInVec // its count is the next argument
	aMode
	aOpenFlags
	aOpenMode // printed if the flags before it create a file
	aAtFlags
	aAccess
	aWhence
	aFcntl
	aFlock
	aIoctl
	aProt
	aMapFlags
	aAdvice
	aClock
	aTimespec
	aFutexOp
	aSignal
	aSigHow
	aSigset
	aMsg // a message of IMC

	// Results in memory.
	aOutBuf // its length is the call's result
	aPathOut
	aStatOut
	aTimespecOut
	aPairOut
	aMsgOut
)

func (kind argKind) out() bool { return kind >= aOutBuf }

// shownBytes is how much of a buffer is printed.
const shownBytes = 32

func (kind argKind) format(k *task, a args, i int, ret int64) string {
	v := a[i]
	switch kind {
	case aInt, aFD, aMapFD:
		return strconv.Itoa(int32Arg(v))
	case aSize:
		return strconv.FormatUint(v, 10)
	case aOff:
		return strconv.FormatInt(int64(v), 10)
	case aHex:
		if v < 10 {
			return strconv.FormatUint(v, 10)
		}
		return fmt.Sprintf("%#x", v)
	case aPtr:
		return pointerText(v)
	case aDirFD:
		if int32Arg(v) == unix.AT_FDCWD {
			return "AT_FDCWD"
		}
		return strconv.Itoa(int32Arg(v))
	case aPath:
		if uint32(v) == 0 {
			return "NULL"
		}
		s, err := k.p.mem.ReadString(uint32(v), namespace.PathMax)
		if err != nil {
			return pointerText(v)
		}
		return quote([]byte(s), false)
	case aInBuf:
		return k.bufferText(v, a[i+1])
	case aInVec:
		return k.vecText(v, a[i+1])
	case aMode:
		return fmt.Sprintf("%#o", uint32(v))
	case aOpenMode:
		if int32Arg(a[i-1])&(unix.O_CREAT|unix.O_TMPFILE&^unix.O_DIRECTORY) == 0 {
			return ""
		}
		return fmt.Sprintf("%#o", uint32(v))
	case aOpenFlags:
		return openFlagsText(int32Arg(v))
	case aAtFlags:
		return flagText(v, atFlagNames)
	case aAccess:
		if v == 0 {
			return "F_OK"
		}
		return flagText(v, accessNames)
	case aWhence:
		return nameText(v, whenceNames)
	case aFcntl:
		return nameText(v, fcntlNames)
	case aFlock:
		return flagText(v, flockNames)
	case aIoctl:
		return nameText(v, ioctlNames)
	case aProt:
		if v == 0 {
			return "PROT_NONE"
		}
		return flagText(v, protNames)
	case aMapFlags:
		return flagText(v, mapNames)
	case aAdvice:
		return nameText(v, adviceNames)
	case aClock:
		return nameText(v, clockNames)
	case aTimespec:
		return k.timespecText(v)
	case aFutexOp:
		name := nameText(v&^(futexPrivate|futexRealtime), futexNames)
		if v&futexPrivate != 0 {
			name += "_PRIVATE"
		}
		if v&futexRealtime != 0 {
			name += "|FUTEX_CLOCK_REALTIME"
		}
		return name
	case aSignal:
		return runtime.SignalName(int32Arg(v))
	case aSigHow:
		return nameText(v, sigHowNames)
	case aSigset:
		return k.sigsetText(v)
	case aOutBuf:
		if ret < 0 {
			return pointerText(v)
		}
		return k.bufferText(v, uint64(ret))
	case aPathOut:
		if ret <= 0 {
			return pointerText(v)
		}
		return k.bufferText(v, uint64(ret-1))
	case aStatOut:
		return k.statText(v, ret)
	case aTimespecOut:
		if ret < 0 {
			return pointerText(v)
		}
		return k.timespecText(v)
	case aMsg:
		return k.messageText(v, math.MaxInt64)
	case aMsgOut:
		return k.messageText(v, ret)
	case aPairOut:
		var b [8]byte
		if ret < 0 || k.read(v, b[:]) != nil {
			return pointerText(v)
		}
		return fmt.Sprintf("[%d, %d]", le.Uint32(b[0:]), le.Uint32(b[4:]))
	}
	return ""
}

func pointerText(v uint64) string {
	if v == 0 {
		return "NULL"
	}
	return fmt.Sprintf("%#x", v)
}

// quote prints bytes as a C string.
func quote(b []byte, cut bool) string {
	var s strings.Builder
	s.WriteByte('"')
	for i, c := range b {
		switch {
		case c == '"' || c == '\\':
			s.WriteByte('\\')
			s.WriteByte(c)
		case c == '\n':
			s.WriteString(`\n`)
		case c == '\t':
			s.WriteString(`\t`)
		case c == '\r':
			s.WriteString(`\r`)
		case c >= ' ' && c < 0x7f:
			s.WriteByte(c)
		case i+1 < len(b) && b[i+1] >= '0' && b[i+1] <= '9':
			fmt.Fprintf(&s, `\%03o`, c)
		default:
			fmt.Fprintf(&s, `\%o`, c)
		}
	}
	s.WriteByte('"')
	if cut {
		s.WriteString("...")
	}
	return s.String()
}

func (k *task) bufferText(addr, n uint64) string {
	b := make([]byte, min(n, shownBytes))
	if k.read(addr, b) != nil {
		return pointerText(addr)
	}
	return quote(b, n > shownBytes)
}

func (k *task) vecText(addr, count uint64) string {
	vecs, err := k.iovec(addr, count)
	if err != nil {
		return pointerText(addr)
	}
	const most = 4
	parts := make([]string, 0, most+1)
	for i, v := range vecs {
		if i == most {
			parts = append(parts, "...")
			break
		}
		parts = append(parts, fmt.Sprintf("{iov_base=%s, iov_len=%d}", k.bufferText(uint64(v.addr), v.len), v.len))
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// messageText prints a message whose data has at most n bytes.
func (k *task) messageText(addr uint64, n int64) string {
	h, err := runtime.ReadHeader(k.p.mem, uint32(addr))
	if err != nil || n < 0 {
		return pointerText(addr)
	}
	data, err := h.Peek(int(min(n, shownBytes)))
	fds, ferr := h.Numbers()
	if err != nil || ferr != nil {
		return pointerText(addr)
	}
	size := min(int64(h.Total), n)
	s := fmt.Sprintf("{data=%s, size=%d", quote(data, size > int64(len(data))), size)
	if len(fds) > 0 {
		s += fmt.Sprintf(", descs=%v", fds)
	}
	if flags := h.Flags(); flags != 0 {
		s += fmt.Sprintf(", flags=%#x", flags)
	}
	return s + "}"
}

func (k *task) timespecText(addr uint64) string {
	var b [16]byte
	if uint32(addr) == 0 {
		return "NULL"
	}
	if k.read(addr, b[:]) != nil {
		return pointerText(addr)
	}
	return fmt.Sprintf("{tv_sec=%d, tv_nsec=%d}", int64(le.Uint64(b[0:])), int64(le.Uint64(b[8:])))
}

func (k *task) sigsetText(addr uint64) string {
	if uint32(addr) == 0 {
		return "NULL"
	}
	set, err := k.sigsetAt(addr)
	if err != nil {
		return pointerText(addr)
	}
	inverted := ""
	if set != 0 && ^set&(1<<32-1) < set&(1<<32-1) {
		set, inverted = ^set, "~"
	}
	var names []string
	for n := 1; n <= numSignals; n++ {
		if set.has(n) {
			names = append(names, strings.TrimPrefix(runtime.SignalName(n), "SIG"))
		}
	}
	return inverted + "[" + strings.Join(names, " ") + "]"
}

func (k *task) statText(addr uint64, ret int64) string {
	var b [statSize]byte
	if ret < 0 || k.read(addr, b[:]) != nil {
		return pointerText(addr)
	}
	mode := le.Uint32(b[24:])
	kind := map[uint32]string{
		unix.S_IFREG: "S_IFREG", unix.S_IFDIR: "S_IFDIR", unix.S_IFLNK: "S_IFLNK", unix.S_IFCHR: "S_IFCHR",
		unix.S_IFIFO: "S_IFIFO", unix.S_IFSOCK: "S_IFSOCK", unix.S_IFBLK: "S_IFBLK",
	}[mode&unix.S_IFMT]
	return fmt.Sprintf("{st_mode=%s|%#o, st_size=%d, ...}", kind, mode&0o7777, int64(le.Uint64(b[48:])))
}

func openFlagsText(v int) string {
	s := [...]string{"O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"}[v&unix.O_ACCMODE]
	if rest := uint64(v &^ (unix.O_ACCMODE | oLargefile)); rest != 0 {
		s += "|" + flagText(rest, openNames)
	}
	return s
}
