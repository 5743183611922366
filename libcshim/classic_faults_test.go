package libcshim

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/internal/nexe"
	"github.com/halite-run/halite/runtime"
)

// TestClassicThreadException: a thread's exception is handled on its own stack for
// them, by the handler of all, while others go on.
func TestClassicThreadException(t *testing.T) {
	s := newScript(t)
	const threads = 4
	s.call(87, 0, s.fns["threadhandler"], 0)
	var tops [threads]uint64
	for i := range tops {
		top := uint64(driverShared - 0x800 - 0x1000*i)
		tops[i] = top - 0x400
		s.fn("poke", top, top, top-0x800)
		s.call(80, 0, s.fns["faulter"], top-8, driverShared, 0)
		s.waitWord(uint32(i))
		s.peek(driverShared+0x180, uint32((tops[i]-224)&^15)) // the context
	}
	// The first thread has none, and its handler is the same.
	s.call(87, 0, s.fns["handler"], 0)
	s.add("fault_illegal", s.fns["fault_illegal"], 0, func(v uint64) bool { return v>>24 == 0xff }, nil)
	s.run()
}

// TestClassicExceptionFlags: a handler starts with its direction flag clear, and finds
// in the context that it was set.
func TestClassicExceptionFlags(t *testing.T) {
	s := newScript(t)
	s.handled()
	s.call(88, 0, driverShared-0x800, 0x400)
	s.add("fault_registers", s.fns["fault_registers"], 0, func(v uint64) bool { return v != 0 }, nil)
	s.peek(driverShared+0x200, driverShared+0x20c)
	s.run()
	const context = (driverShared - 0x400 - 224) &^ 15
	if flags := s.load32(context + 64 + 136); flags&0x400 == 0 || flags&0x10100 != 0 {
		t.Errorf("flags %#x", flags)
	}
}

// TestClassicFaultIn: a pointer to nothing that a call gets is an error of the call,
// not an exception, and the handler sleeps on.
func TestClassicFaultIn(t *testing.T) {
	s := newScript(t)
	s.call(87, 0, s.fns["badhandler"], 0)
	const nowhere = 0x70000000
	for slot, args := range map[uint32][]uint64{
		10: {nowhere, 0, 0}, 13: {1, nowhere, 4}, 16: {nowhere, nowhere}, 17: {1, nowhere}, 33: {2, nowhere}, 40: {nowhere},
		42: {nowhere, 0}, 44: {0, nowhere}, 48: {nowhere, 100}, 25: {nowhere, 5}, 150: {nowhere, 4}, 120: {nowhere, 0, 0},
		66: {nowhere}, 63: {1, nowhere, 0}, 87: {0, nowhere}, 104: {0x30000, nowhere, 32}, 147: {nowhere, 0}, 21: {0, 1, 3, 0x22, noFD, nowhere},
	} {
		s.fails(slot, unix.EFAULT, args...)
	}
	s.run()
}

// TestClassicViolations: what no program may do ends it as a fault of its own.
func TestClassicViolations(t *testing.T) {
	for _, test := range []struct {
		name, fn string
		args     []uint64
		signal   unix.Signal
	}{
		{"null", "peek", []uint64{0}, unix.SIGSEGV},
		{"write to read-only data", "poke", []uint64{nexe.RodataAddr, 1}, unix.SIGSEGV},
		{"write to code", "poke", []uint64{0x20000, 1}, unix.SIGSEGV},
		{"write to trampolines", "poke", []uint64{0x10000, 1}, unix.SIGSEGV},
		{"jump into data", "jump", []uint64{driverText}, unix.SIGSEGV},
		{"jump onto the stack", "jump", []uint64{0xfffe0000}, unix.SIGSEGV},
		{"jump to 0", "jump", []uint64{0}, unix.SIGSEGV},
		{"the last page", "peek", []uint64{0xffff0000}, unix.SIGSEGV},
		{"division by zero", "fault_divide", nil, unix.SIGFPE},
		{"hlt", "fault_halt", nil, unix.SIGSEGV},
		{"ud2", "fault_illegal", nil, unix.SIGILL},
	} {
		s := newScript(t)
		s.fn(test.fn, 0, test.args...)
		s.load()
		status, err := s.p.Run(within(t, 30*time.Second))
		var f *runtime.FaultError
		if !errors.As(err, &f) || status.Signal != int(test.signal) || status.Status() != 128+int(test.signal) {
			t.Errorf("%s: %v, %v", test.name, status, err)
		}
	}
}

// TestClassicControlWords: what a program sets in MXCSR and the x87 control word stays
// across calls.
func TestClassicControlWords(t *testing.T) {
	s := newScript(t)
	for _, slot := range []uint32{1, 32, 40, 84, 109} {
		for _, mxcsr := range []uint64{0, 0x1f80, 0x9fc0, 0x7f80} {
			for _, fcw := range []uint64{0x37f, 0x07f, 0x27f, 0xf7f} {
				s.fn("control", mxcsr<<16|fcw, mxcsr, fcw, trampoline(slot))
			}
		}
	}
	s.run()
}

// TestClassicInstructions: what is replaced by something slower does the same, and ah
// takes flags to and fro.
func TestClassicInstructions(t *testing.T) {
	s := newScript(t)
	buf := s.space(64)
	s.fn("flags", 2)
	s.fn("streams", 0x12345678, buf, 0x12345678)
	for i := range uint64(14) {
		s.peek(buf+4*i, 0x12345678)
	}
	s.peek(buf+56, 0)
	s.run()
}
