package engine

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/cpu"
	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/internal/safemem"
)

// ErrUnsupported is wrapped by what Init returns on a machine, kernel or
// binary that the engine can't work on.
var ErrUnsupported = errors.New("engine: unsupported")

func unsupported(format string, a ...any) error {
	return fmt.Errorf("%w: %s", ErrUnsupported, fmt.Sprintf(format, a...))
}

// Where the engine's words stand relative to %fs.
const (
	nearWords = 0
	farWords  = 0x100

	slotTP = 16 // of the words: the guest's thread pointer
)

// machine is what Init finds out, once.
var machine struct {
	once         sync.Once
	err          error
	far          bool // runtime/cgo is linked
	detachAlways bool // asyncpreemptoff: nothing else can stop a guest
	xmask        uint32
	gs           uint32 // core.gs
	pid          int
	signal       uintptr // our handler
	signals      []syscall.Signal
	flags        uintptr // Go's, for every handler
	restorer     uintptr
	mask         uint64
	trampolines  *cage.Text
	fixups       []safemem.Fixup
}

// Init prepares the process: it checks the machine, installs the signal
// handler and runs a few instructions in a sandbox. Calls after the first
// return its result.
func Init() error {
	machine.once.Do(func() { machine.err = initMachine() })
	return machine.err
}

// ThreadPointerDisp returns the displacement at which guest code finds its
// thread pointer: mov %fs:disp,%r32. It is 0x10, and 0x110 in a process with
// runtime/cgo linked, for which the loader patches the code.
func ThreadPointerDisp() int32 {
	if Init() == nil && machine.far {
		return farWords + slotTP
	}
	return nearWords + slotTP
}

// Trampolines returns the pages for cage.Config, nil when Init fails.
func Trampolines() *cage.Text {
	if Init() != nil && machine.trampolines == nil {
		return nil
	}
	return machine.trampolines
}

func initMachine() error {
	m := &machine
	if err := checkCPU(); err != nil {
		return err
	}
	if err := findWords(); err != nil {
		return err
	}
	m.pid = os.Getpid()
	m.xmask = 7 // x87, SSE, AVX: guests have no way to the rest
	m.detachAlways = asyncPreemptOff(os.Getenv("GODEBUG"))
	if m.far {
		m.signal = addressesFar(&handler)
	} else {
		m.signal = addressesNear(&handler)
	}
	if err := fillHandlerData(); err != nil {
		return err
	}
	if err := install(); err != nil {
		return err
	}
	t, err := makeTrampolines()
	if err != nil {
		return err
	}
	m.trampolines = t
	return selfTest()
}

// checkCPU looks for what enter uses without asking.
func checkCPU() error {
	if !cpu.X86.HasAVX || !cpu.X86.HasOSXSAVE {
		return unsupported("the CPU or the kernel lacks AVX")
	}
	aux, err := unix.Auxv()
	if err != nil {
		return unsupported("no auxiliary vector: %v", err)
	}
	const atHWCAP2, fsgsbase = 26, 1 << 1
	machine.gs = gsCached
	for _, kv := range aux {
		if kv[0] == atHWCAP2 && kv[1]&fsgsbase != 0 {
			machine.gs = gsInstruction
		}
	}
	return nil
}

// findWords decides where the engine's five words per thread are.
func findWords() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var p [4]uintptr
	probe(&p)
	fs, err := fsBase()
	if err != nil {
		return unsupported("the kernel does not tell the fs base: %v", err)
	}
	g, before, at0, at16 := p[0], p[1], p[2], p[3]
	words := uintptr(nearWords)
	switch {
	case at0 == fs && at16 == fs:
		machine.far = true
		words = farWords
		if machine.gs == gsCached {
			machine.gs = gsKernel // see forgetThread
		}
	case before == g && g != 0:
	default:
		return unsupported("thread-local storage is neither Go's own nor glibc's")
	}
	for i := uintptr(0); i < 5; i++ {
		if w := word(words + 8*i); w != 0 {
			return unsupported("the word at %%fs:0x%x is in use (0x%x)", words+8*i, w)
		}
	}
	return nil
}

// asyncPreemptOff reports whether GODEBUG turns signals for preemption off.
// The last setting counts, as in the runtime.
func asyncPreemptOff(godebug string) bool {
	off := false
	for _, kv := range strings.Split(godebug, ",") {
		if v, ok := strings.CutPrefix(kv, "asyncpreemptoff="); ok {
			off = v != "0"
		}
	}
	return off
}

func fillHandlerData() error {
	h := &handler
	h.enterLen = funcLen(h.enter)
	h.classicLen = funcLen(h.classic)
	h.dispLen = funcLen(h.dispatch)
	h.depthLen = funcLen(h.depth)
	h.unwindLen = funcLen(h.unwind)
	h.readLen = funcLen(h.read)
	h.retLen = funcLen(h.ret)
	h.sigRetLen = funcLen(h.sigRet)
	h.segments = segments()
	machine.fixups = safemem.Fixups()
	h.fixups = uintptr(unsafe.Pointer(unsafe.SliceData(machine.fixups)))
	h.fixupsEnd = h.fixups + uintptr(len(machine.fixups))*unsafe.Sizeof(safemem.Fixup{})
	if unsafe.Sizeof(safemem.Fixup{}) != 24 {
		return errors.New("engine: the fixup list has another shape than the signal handler expects")
	}
	return nil
}

// funcLen returns the length of the function at pc. The symbol table knows;
// strip does not remove it.
func funcLen(pc uintptr) uintptr {
	n := uintptr(0)
	for f := runtime.FuncForPC(pc); f != nil && f.Entry() == pc; f = runtime.FuncForPC(pc + n) {
		n++
	}
	return n
}

// makeTrampolines writes the 2048 entry points. They hold no address, so that
// all sandboxes of the process share the pages, and so that a guest that reads
// them learns nothing.
//
//	49 89 ca            mov  %rcx,%r10     (not in 1024 to 1027)
//	41 bb n             mov  $n,%r11d
//	d9 e5               fxam
//	64 ff 24 25 disp    jmp  *%fs:disp
//	f4...               hlt
//
// The fourth argument of a C call is in rcx, which the host needs to find its way;
// that of a Linux call is in r10 already.
//
// FXAM tells whether the x87 stack is empty, and traps an x87 exception that
// is pending; here, because it records its own address, which must not be one
// of the host's.
func makeTrampolines() (*cage.Text, error) {
	const size, slots = 32, (cage.TrampolineEnd - cage.TrampolineStart) / 32
	disp := uint32(nearWords + 8)
	if machine.far {
		disp = farWords + 8
	}
	code := make([]byte, 0, slots*size)
	for n := range uint32(slots) {
		if n < slotLinux || n > slotRead {
			code = append(code, 0x49, 0x89, 0xca)
		}
		code = append(code, 0x41, 0xbb, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
		code = append(code, 0xd9, 0xe5)
		code = append(code, 0x64, 0xff, 0x24, 0x25, byte(disp), byte(disp>>8), byte(disp>>16), byte(disp>>24))
		for len(code)%size != 0 {
			code = append(code, 0xf4)
		}
	}
	return cage.NewText("trampolines", code, cage.TrampolineStart)
}
