package libcshim

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/internal/nexe"
	"github.com/halite-run/halite/libcshim/namespace"
	"github.com/halite-run/halite/runtime"
)

// waitWord makes the program wait (with the futex at driverShared) until the word
// there, which is counted up, is more than old. The futex may be woken too soon, by a
// thread that counted before the wait and wakes after its beginning.
func (s *script) waitWord(old uint32) {
	s.add("futex_wait", trampoline(120), 0, func(v uint64) bool { return v == 0 || v == 1<<32-uint64(unix.EAGAIN) },
		[]uint64{driverShared, uint64(old), 0})
	s.add("await", s.fns["await"], 0, func(v uint64) bool { return v > uint64(old) }, []uint64{driverShared, uint64(old) + 1})
}

// TestClassicThreads: what a thread starts with, what it leaves, and bad arguments.
func TestClassicThreads(t *testing.T) {
	s := newScript(t)
	stack := uint64(driverShared - 0x800)
	thread := s.fns["thread"]
	flag := uint64(driverShared + 4)
	s.fn("poke", flag, flag, 1)
	s.fails(80, unix.EFAULT, thread+1, stack, driverShared, 0)
	s.fails(80, unix.EFAULT, 0x40000000, stack, driverShared, 0)
	s.fails(80, unix.EFAULT, nexe.RodataAddr, stack, driverShared, 0)
	s.fails(80, unix.EFAULT, thread, stack, 0, 0)
	s.fails(80, unix.EFAULT, thread, stack, 0xfffffffd, 0)
	s.call(80, 0, thread, stack+5, 0x1000, 0xabcd)
	s.waitWord(0)
	s.call(42, 0, s.bytes(le.AppendUint32(le.AppendUint64(nil, 0), 20e6)), 0)
	s.peek(flag, 0)
	s.run()
	base := s.p.Domain().Cage().Base()
	sp := (stack+5+8)&^15 - 8
	for i, want := range []uint64{uint64(base) + sp, uint64(base) + sp, sp + 8, uint64(base) + thread, 0, 0x1000, 0xabcd} {
		if got := s.load64(driverShared + 0x80 + uint64(8*i)); got != want {
			t.Errorf("word %d of a new thread: %#x, want %#x", i, got, want)
		}
	}
}

// TestClassicThreadStack: whatever stack a thread is given, it starts with an aligned
// one, not above what it was given and with at most 15 bytes lost.
func TestClassicThreadStack(t *testing.T) {
	s := newScript(t)
	const top = driverShared - 0x800
	for i := range uint64(33) {
		s.call(80, 0, s.fns["thread"], top+i, driverShared, 0)
		s.waitWord(uint32(i))
		want := (top+i+8)&^15 - 8
		s.peek(driverShared+0x80, uint32(want)) // rsp
		s.peek(driverShared+0x90, uint32(want+8))
		if want > top+i || top+i-want > 15 || (want+8)%16 != 0 {
			t.Errorf("the test is wrong about %#x", top+i)
		}
	}
	s.run()
}

// TestClassicLastThread: the program goes on when its first thread ends, and ends with
// the last.
func TestClassicLastThread(t *testing.T) {
	s := newScript(t)
	s.fn("poke", driverShared+0x60, driverShared+0x60, driverShared+0x70)
	s.call(80, 0, s.fns["adder"], driverShared-0x800, driverShared, 0)
	s.call(80, 0, s.fns["thread"], driverShared-0xa00, driverShared, 0)
	s.waitWord(0)
	s.fn("poke", driverShared+0x20, driverShared+0x20, 1)
	s.any(81, driverShared+0x24)
	s.load()
	check(t, s.p.mem.Store32(driverShared+0x24, 5))
	status, err := s.p.Run(within(t, 30*time.Second))
	if err != nil || status.Status() != 0 {
		t.Errorf("%v, %v", status, err)
	}
	if flag, n := s.load32(driverShared+0x24), s.load32(driverShared); flag != 0 || n != 2 {
		t.Errorf("the first thread's flag is %d; %d others ended", flag, n)
	}
}

// TestClassicExit: the low 8 bits of the status, whatever other threads do.
func TestClassicExit(t *testing.T) {
	for status, want := range map[uint64]int{0: 0, 1: 1, 123: 123, 0x1ff: 255, 0x100: 0} {
		s := newScript(t)
		s.call(80, 0, s.fns["spinner"], driverShared-0x800, driverShared, 0)
		s.any(30, status)
		s.load()
		got, err := s.p.Run(within(t, 30*time.Second))
		if err != nil || got.Status() != want || got.Signal != 0 {
			t.Errorf("exit(%#x): %v, %v", status, got, err)
		}
	}
}

func TestClassicThreadLimit(t *testing.T) {
	s := newScript(t)
	s.cfg.MaxThreads = 3
	for i := range uint64(2) {
		s.call(80, 0, s.fns["spinner"], driverShared-0x800-i*64, driverShared, 0)
	}
	s.fails(80, unix.EAGAIN, s.fns["spinner"], driverShared-0x1000, driverShared, 0)
	s.run() // and the end does not wait for those that spin
}

// TestClassicManyThreads: one after the other, without anything left behind.
func TestClassicManyThreads(t *testing.T) {
	s := newScript(t)
	s.cfg.MaxThreads = 4
	for i := range uint32(100) {
		s.call(80, 0, s.fns["thread"], driverShared-0x800, driverShared, 0)
		s.waitWord(i)
		s.call(42, 0, s.bytes(le.AppendUint32(le.AppendUint64(nil, 0), 1e6)), 0)
	}
	s.run()
	if n := s.load32(driverShared); n != 100 {
		t.Errorf("%d threads ran", n)
	}
}

func TestClassicFutex(t *testing.T) {
	s := newScript(t)
	word := s.u32(5)
	past, soon := s.bytes(le.AppendUint32(le.AppendUint64(nil, 1), 0)), s.bytes(make([]byte, 16))
	s.fails(120, unix.EAGAIN, word, 6, 0)
	s.fails(120, unix.ETIMEDOUT, word, 5, past)
	s.fails(120, unix.ETIMEDOUT, word, 5, s.bytes(le.AppendUint32(le.AppendUint64(nil, ^uint64(0)), 0)))
	s.call(44, 0, 0, soon)
	s.fails(120, unix.ETIMEDOUT, word, 5, soon)
	s.fails(120, unix.EFAULT, 0, 5, 0)
	s.fails(120, unix.EFAULT, 0xfffffffe, 5, 0)
	s.fails(120, unix.EFAULT, 0x70000000, 5, 0)
	s.fails(120, unix.EFAULT, word, 5, 0xfffffff8)
	s.call(121, 0, word, 1)
	s.call(121, 0, 0, 1)
	s.call(121, 0, 0xffffffff, 1)
	s.call(121, 0, word, 0xffffffff)
	s.run()
}

// TestClassicFutexWake: a wake wakes as many as it says, and those who wait for another
// word not at all.
func TestClassicFutexWake(t *testing.T) {
	s := newScript(t)
	const stack, one, two = driverShared - 0x800, driverShared + 0x70, driverShared + 0x74
	start := func(i int, word uint64) {
		top := uint64(stack - 0x100*i)
		s.fn("poke", top, top, word)
		s.call(80, 0, s.fns["waiter"], top-8, driverShared, 0)
	}
	for i := range 4 {
		start(i, one)
	}
	start(4, two)
	// They are asleep by then, or the test is an easier one.
	s.fn("await", 5, driverShared+0x68, 5)
	s.call(42, 0, s.bytes(le.AppendUint32(le.AppendUint64(nil, 0), 50e6)), 0)
	s.fn("wake", 2, one, 2)
	s.waitWord(0)
	s.fn("wake", 2, one, 2) // the two that are left
	s.call(121, 0, one, 100)
	s.fn("wake", 1, two, 1)
	s.call(121, 0, two, 1)
	s.call(121, 0, one, 0)
	for i := range uint32(5) {
		s.waitWord(i)
	}
	s.run()
}

// TestClassicSync: mutexes, condition variables and semaphores.
func TestClassicSync(t *testing.T) {
	s := newScript(t)
	stat := s.space(104)
	past := s.bytes(le.AppendUint32(le.AppendUint64(nil, 1), 0))
	s.call(70, 3) // mutex
	s.call(74, 4) // condition variable
	s.call(100, 5, 2)
	s.fails(100, unix.ENOMEM, 0xffffffff)
	for fd, mode := range map[uint64]uint32{3: classicModeMutex, 4: classicModeCond, 5: classicModeSem} {
		s.call(17, 0, fd, stat)
		s.peek(stat+16, mode)
	}
	s.fails(73, unix.EPERM, 3)
	s.fails(75, unix.EPERM, 4, 3)
	s.call(71, 0, 3)
	s.fails(72, unix.EBUSY, 3)
	s.fails(79, unix.ETIMEDOUT, 4, 3, past)
	s.fails(72, unix.EBUSY, 3) // it is locked again
	s.fails(79, unix.EFAULT, 4, 3, 0)
	s.call(73, 0, 3)
	s.call(72, 0, 3)
	s.call(73, 0, 3)
	s.call(76, 0, 4)
	s.call(77, 0, 4)
	s.call(101, 0, 5)
	s.call(101, 0, 5)
	s.call(102, 0, 5)
	s.call(101, 0, 5)
	s.fails(103, unix.EINVAL, 5)
	for _, n := range []uint32{71, 72, 73, 76, 77, 101, 102} {
		s.fails(n, unix.EBADF, 77)
		s.fails(n, unix.EINVAL, 1)
	}
	s.fails(75, unix.EBADF, 77, 3)
	s.fails(75, unix.EBADF, 4, 77)
	s.fails(75, unix.EINVAL, 4, 4)
	s.call(100, 6, 0x7fffffff)
	s.fails(102, unix.ERANGE, 6)
	s.fails(12, unix.EINVAL, 3, stat, 4)
	for fd := range uint64(4) {
		s.call(11, 0, 3+fd)
	}
	s.call(70, 3)
	s.run()
}

// TestClassicContention: threads that count under a mutex lose nothing, and a
// condition variable wakes one who waits.
func TestClassicContention(t *testing.T) {
	s := newScript(t)
	const threads = 4
	s.call(70, 3)
	s.fn("poke", driverShared+0x30, driverShared+0x30, 3)
	for i := range uint64(threads) {
		s.call(80, 0, s.fns["locker"], driverShared-0x800-0x200*i, driverShared, 0)
	}
	for i := range uint32(threads) {
		s.waitWord(i)
	}
	s.call(74, 4)
	s.call(100, 5, 0)
	s.fn("poke", driverShared+0x38, driverShared+0x38, 4)
	s.fn("poke", driverShared+0x40, driverShared+0x40, 5)
	s.call(71, 0, 3)
	s.call(80, 0, s.fns["signaller"], driverShared-0x800, driverShared, 0)
	s.call(75, 0, 4, 3)
	s.peek(driverShared+0x3c, 1)
	s.fails(72, unix.EBUSY, 3)
	s.call(73, 0, 3)
	s.call(101, 0, 5)
	s.run()
	// The waits above return at any change; the last count may still be open.
	if n := s.load32(driverShared + 0x34); s.load32(driverShared) == threads && n != threads*1000 {
		t.Errorf("%d of %d", n, threads*1000)
	}
}

// TestClassicExceptions: what a handler is told, where its stack is, and that the
// program goes on.
func TestClassicExceptions(t *testing.T) {
	s := newScript(t)
	handler := s.fns["handler"]
	old := s.space(4)
	s.fails(87, unix.EFAULT, handler+1, 0)
	s.fails(87, unix.EFAULT, nexe.RodataAddr, 0)
	s.fails(87, unix.EFAULT, handler, 0xffffffff)
	s.call(87, 0, 0, old)
	s.peek(old, 0)
	s.call(87, 0, handler, old)
	s.peek(old, 0)
	s.call(87, 0, handler, old)
	s.peek(old, uint32(handler))
	type fault struct {
		at  int
		pc  uint64
		top uint64
	}
	var faults []fault
	raise := func(name string, top uint64, args ...uint64) {
		faults = append(faults, fault{len(s.records), s.fns[name], top})
		s.add(name, s.fns[name], 0, func(v uint64) bool { return v != 0 }, args)
	}
	for _, name := range []string{"fault_illegal", "fault_read", "fault_halt", "fault_divide"} {
		raise(name, 0)
	}
	raise("jump", 0, 0x40000000) // where nothing is
	raise("poke", 0, 0x20000, 1) // code
	for size := range uint64(33) {
		s.call(88, 0, driverShared-0x800, 0x400+size)
		raise("fault_illegal", driverShared-0x400+size)
	}
	s.fails(88, unix.EINVAL, 0xfffffff0, 0x11)
	s.call(88, 0, 0, 0)
	raise("fault_registers", 0)
	s.run()
	base := uint64(s.p.Domain().Cage().Base())
	for i, f := range faults {
		ctx := s.load64(uint64(driverScript + f.at*driverRecord + 56))
		if f.top != 0 {
			// The frame is right below the top, up to alignment.
			if end := ctx - 8 + 232; ctx%16 != 0 || end > f.top || f.top-end > 15 {
				t.Errorf("fault %d: context at %#x for a stack that ends at %#x", i, ctx, f.top)
			}
		}
		if i < len(faults)-1 {
			continue // overwritten by those after it
		}
		for j, want := range []uint32{220, 208, 12, 62, 144} {
			if got := s.load32(ctx + uint64(4*j)); got != want {
				t.Errorf("word %d of the context: %d, want %d", j, got, want)
			}
		}
		regs := ctx + 64
		want := map[string]uint64{
			"rax": 0x1111111111111111, "rcx": 0x3333333333333333, "rdx": 0x4444444444444444, "rbx": 0x2222222222222222,
			"rsi": 0x5555555555555555, "rdi": 0x6666666666666666, "r8": 0x8888888888888888, "r9": 0x9999999999999999,
			"r10": 0xaaaaaaaaaaaaaaaa, "r11": 0xbbbbbbbbbbbbbbbb, "r14": 0xeeeeeeeeeeeeeeee, "r15": base,
		}
		for j, name := range []string{"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip"} {
			got := s.load64(regs + uint64(8*j))
			if w, ok := want[name]; ok && got != w {
				t.Errorf("%s = %#x, want %#x", name, got, w)
			}
			if (name == "rsp" || name == "rbp" || name == "rip") && got>>32 != base>>32 {
				t.Errorf("%s = %#x is not in the sandbox", name, got)
			}
		}
		rsp, rip := s.load64(regs+32), s.load64(regs+128)
		if rip-base < f.pc || rip-base > f.pc+0xa0 {
			t.Errorf("rip %#x, function at %#x", rip-base, f.pc)
		}
		for j, want := range []uint64{rip, rsp, s.load64(regs + 40)} {
			if got := s.load32(ctx + 208 + uint64(4*j)); got != uint32(want) {
				t.Errorf("portable word %d: %#x, want %#x", j, got, want)
			}
		}
		if want := (rsp - base - 128 - 224) &^ 15; ctx != want {
			t.Errorf("context at %#x, stack pointer %#x", ctx, rsp-base)
		}
		if s.load64(ctx-8) != 0 {
			t.Error("there is a return address")
		}
	}
}

// TestClassicCrash: faults that no handler gets end the program as a fault.
func TestClassicCrash(t *testing.T) {
	for _, test := range []struct {
		name   string
		set    func(s *script)
		fault  string
		signal unix.Signal
	}{
		{"none", func(*script) {}, "fault_illegal", unix.SIGILL},
		{"removed", func(s *script) { s.call(87, 0, s.fns["handler"], 0); s.call(87, 0, 0, 0) }, "fault_illegal", unix.SIGILL},
		{"faults itself", func(s *script) { s.call(87, 0, s.fns["badhandler"], 0) }, "fault_read", unix.SIGILL},
		{"no code there", func(s *script) { s.call(87, 0, 0x1000, 0) }, "fault_read", unix.SIGSEGV},
		{"stack in read-only data", func(s *script) {
			s.call(87, 0, s.fns["handler"], 0)
			s.call(88, 0, nexe.RodataAddr, 0x1000)
		}, "fault_illegal", unix.SIGILL},
		{"stack in code", func(s *script) {
			s.call(87, 0, s.fns["handler"], 0)
			s.call(88, 0, 0x20000, 0x1000)
		}, "fault_illegal", unix.SIGILL},
		{"stack below everything", func(s *script) {
			s.call(87, 0, s.fns["handler"], 0)
			s.call(88, 0, 0, 100)
		}, "fault_illegal", unix.SIGILL},
	} {
		s := newScript(t)
		test.set(s)
		s.fn(test.fault, 0)
		s.load()
		status, err := s.p.Run(context.Background())
		f, ok := err.(*runtime.FaultError)
		if !ok || status.Signal != int(test.signal) || f.Signal != int(test.signal) {
			t.Errorf("%s: %v, %v", test.name, status, err)
		}
	}
}

// TestClassicStop: a program that spins is stopped, on all its threads.
func TestClassicStop(t *testing.T) {
	s := newScript(t)
	s.call(80, 0, s.fns["spinner"], driverShared-0x800, driverShared, 0)
	s.fn("spinner", 0)
	s.load()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if status, err := s.p.Run(ctx); err != context.DeadlineExceeded || status.Signal != int(unix.SIGKILL) {
		t.Errorf("%v, %v", status, err)
	}
}

// returns is a function of the classic ABI that returns v.
func returns(v uint32) []byte {
	b := append([]byte{0xb8}, le.AppendUint32(nil, v)...)
	b = append(b, 0x41, 0x5b, 0x41, 0x83, 0xe3, 0xe0, 0x4d, 0x01, 0xfb, 0x41, 0xff, 0xe3)
	for len(b)%32 != 0 {
		b = append(b, 0xf4)
	}
	return b
}

// TestClassicDyncode: the cases of Native Client's own test.
func TestClassicDyncode(t *testing.T) {
	s := newScript(t)
	const start, end = 0x30000, nexe.RodataAddr
	one, two := s.bytes(returns(1)), s.bytes(returns(2))
	bad := s.bytes(append([]byte{0xcd, 0x80, 0xc3}, bytes.Repeat([]byte{0x90}, 29)...))
	run := func(at uint64, want uint64) {
		s.add(fmt.Sprintf("run %#x", at), at, 0, equals(want), nil)
	}
	s.fails(104, unix.EFAULT, start, 0, 32)
	s.call(104, 0, start, one, 0)
	s.fails(104, unix.EINVAL, start, bad, 32)
	s.call(104, 0, start, one, 32) // the failure reserved nothing
	run(start, 1)
	s.fails(104, unix.EINVAL, start, one, 32)
	s.call(104, 0, start+32, two, 32)
	run(start+32, 2)
	for _, off := range []uint64{1, 4} {
		s.fails(104, unix.EINVAL, start+64+off, one, 32)
	}
	for _, n := range []uint64{31, 28, 33} {
		s.fails(104, unix.EINVAL, start+64, one, n)
	}
	for _, at := range []uint64{0x20000, 0x10000, nexe.DataAddr, end, end - 32} {
		s.fails(104, unix.EFAULT, at, one, 32)
	}
	s.fails(104, unix.EFAULT, end-64, s.bytes(append(returns(1), returns(2)...)), 64)
	s.call(104, 0, end-64, one, 32)
	run(end-64, 1)
	s.peek(start+64, 0xf4f4f4f4)
	s.peek(end-32, 0xf4f4f4f4)
	s.fails(21, unix.EINVAL, start, 0x10000, 3, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED, 0xffffffff, s.word(0))
	s.fails(22, unix.EINVAL, start, 0x10000)
	// Modify: constants may change, anything else may not.
	three := s.bytes(returns(3))
	s.call(105, 0, start, one, 0)
	s.call(105, 0, start, three, 32)
	run(start, 3)
	s.call(105, 0, start+1, s.u32(0x44332211), 4)
	run(start, 0x44332211)
	other := returns(3)
	other[0] = 0xbb // another register
	s.fails(105, unix.EINVAL, start, s.bytes(other), 32)
	s.fails(105, unix.EINVAL, start, bad, 32)
	s.fails(105, unix.EFAULT, start+16, one, 32)
	s.fails(105, unix.EFAULT, 0x20000, one, 32)
	s.fails(105, unix.EFAULT, 0, one, 32)
	s.fails(105, unix.EFAULT, start, 0, 32)
	run(start, 0x44332211)
	// Delete: exactly one piece.
	s.call(106, 0, 0, 0)
	for _, r := range [][2]uint64{{start, 64}, {start + 32, 64}, {start + 64, 32}, {start - 32, 64}, {0, 32}, {0x20000, 32}} {
		s.fails(106, unix.EFAULT, r[0], r[1])
	}
	s.call(106, 0, start, 32)
	s.peek(start, 0xf4f4f4f4)
	s.fails(106, unix.EFAULT, start, 32)
	s.call(104, 0, start, two, 32)
	run(start, 2)
	s.run()
}

// TestClassicDyncodeNone: a program that leaves no room.
func TestClassicDyncodeNone(t *testing.T) {
	s := newScript(t)
	one := s.bytes(returns(1))
	s.fails(104, unix.EFAULT, 0x30000, 0, 0)
	s.fails(104, unix.EINVAL, 0x30000, one, 32)
	s.fails(104, unix.EINVAL, 0x30000, one, 0)
	s.fails(105, unix.EINVAL, 0x30000, one, 32)
	s.fails(106, unix.EINVAL, 0x30000, 32)
	s.rodata = 0x30000
	s.run()
}

// TestClassicDyncodeCheckIn: deleted code is not used again before every thread has
// made a call of its own that says so.
func TestClassicDyncodeCheckIn(t *testing.T) {
	s := newScript(t)
	const start = 0x30000
	one := s.bytes(returns(1))
	s.call(104, 0, start, one, 32)
	s.call(80, 0, s.fns["spinner"], driverShared-0x800, driverShared, 0)
	s.fails(106, unix.EAGAIN, start, 32)
	s.fails(104, unix.EINVAL, start, one, 32)
	s.fn("poke", driverShared+0x20, driverShared+0x20, 1)
	// It ends, and is not waited for any more.
	for range 50 {
		s.any(42, s.bytes(le.AppendUint32(le.AppendUint64(nil, 0), 1e6)), 0)
	}
	s.call(106, 0, start, 32)
	s.call(104, 0, start, one, 32)
	s.add("run", start, 0, equals(1), nil)
	s.run()
}

// TestClassicDyncodeRunning: code is modified while other threads run it, with one
// store where that is possible, and behind a hlt where it is not.
func TestClassicDyncodeRunning(t *testing.T) {
	for _, before := range []int{0, 1, 2, 5, 6, 13, 14} {
		s := newScript(t)
		const start = 0x30000
		piece := func(v uint32) uint64 {
			f := returns(v)
			b := append(bytes.Repeat([]byte{0x90}, before), f[:len(f)-before]...)
			return s.bytes(b[:32])
		}
		one, two := piece(1), piece(2)
		s.call(104, 0, start, one, 32)
		s.fn("poke", driverShared+0x50, driverShared+0x50, start)
		for i := range uint64(2) {
			s.call(80, 0, s.fns["caller"], driverShared-0x800-0x200*i, driverShared, 0)
		}
		for range 40 {
			s.call(105, 0, start, two, 32)
			s.call(32, 0)
			s.call(105, 0, start, one, 32)
		}
		s.any(42, s.bytes(le.AppendUint32(le.AppendUint64(nil, 0), 1e6)), 0)
		s.fn("poke", driverShared+0x20, driverShared+0x20, 1)
		s.waitWord(0)
		s.run()
		if s.load32(driverShared+0x5c) != 0 || s.load32(driverShared+0x58) == 0 {
			t.Errorf("%d bytes in front: %d of %d calls returned something else", before, s.load32(driverShared+0x5c), s.load32(driverShared+0x58))
		}
	}
}

// TestClassicMapCode: code of a file, mapped for good.
func TestClassicMapCode(t *testing.T) {
	s := newScript(t)
	dir := t.TempDir()
	good := append(returns(9), bytes.Repeat([]byte{0x90}, 0x20000-32)...)
	check(t, os.WriteFile(filepath.Join(dir, "good"), good, 0o644))
	bad := append([]byte{0x0f, 0x05}, good[2:]...)
	check(t, os.WriteFile(filepath.Join(dir, "bad"), bad, 0o644))
	w, err := namespace.HostDir(dir, testID)
	check(t, err)
	s.cfg.Namespace = namespace.New()
	check(t, s.cfg.Namespace.Mount("/w", w, namespace.MountOptions{}))
	const start, page, rx = 0x30000, 0x10000, unix.PROT_READ | unix.PROT_EXEC
	const private, fixed = unix.MAP_PRIVATE, unix.MAP_PRIVATE | unix.MAP_FIXED
	zero, off := s.word(0), s.word(page)
	s.call(10, 3, s.str("/w/good"), unix.O_RDONLY, 0)
	s.call(10, 4, s.str("/w/bad"), unix.O_RDONLY, 0)
	s.call(10, 5, s.str("/w/good"), unix.O_RDWR, 0)
	s.fails(21, unix.EINVAL, start, page, rx, private, 3, zero)
	s.fails(21, unix.EINVAL, start, page, rx|unix.PROT_WRITE, fixed, 3, zero)
	s.fails(21, unix.EINVAL, start+0x1000, page, rx, fixed, 3, zero)
	s.fails(21, unix.EINVAL, start, page-1, rx, fixed, 3, zero)
	s.fails(21, unix.EINVAL, start, 4*page, rx, fixed, 3, zero)
	s.fails(21, unix.EINVAL, start, page, rx, fixed, 3, s.word(0x1000))
	s.fails(21, unix.EINVAL, start, page, rx, fixed, 4, zero)
	s.fails(21, unix.EINVAL, start, page, rx, fixed, 5, zero)
	s.fails(21, unix.EINVAL, start, page, rx, unix.MAP_FIXED, 3, zero)
	s.fails(21, unix.EINVAL, nexe.DataAddr, page, rx, fixed, 3, zero)
	s.fails(21, unix.EINVAL, 0x20000, page, rx, fixed, 3, zero)
	s.call(21, start, start, page, rx, fixed, 3, zero)
	s.add("run", start, 0, equals(9), nil)
	s.call(21, start+page, start+page, page, rx, unix.MAP_SHARED|unix.MAP_FIXED, 3, off)
	s.peek(start+page, 0x90909090)
	s.fails(21, unix.EINVAL, start, page, rx, fixed, 3, zero)
	s.fails(22, unix.EINVAL, start, page)
	s.fails(24, unix.EACCES, start, page, 3)
	s.fails(105, unix.EFAULT, start, s.bytes(returns(1)), 32)
	s.fails(106, unix.EFAULT, start, page)
	s.run()
	// What becomes of the file does not matter.
	check(t, os.WriteFile(filepath.Join(dir, "good"), bad, 0o644))
	if b := s.memory(start, 32); !bytes.Equal(b, returns(9)) {
		t.Errorf("% x", b)
	}
}

// irt finds the word of a table that has been queried to at.
func (s *script) irt(what string, at uint64, i int, want int64, args ...uint64) {
	s.t.Helper()
	s.add(what, 0, at+uint64(4*i), equals(uint64(uint32(want))), args)
}

// TestClassicIRT: every interface is there, in its size, and its functions do what
// they should.
func TestClassicIRT(t *testing.T) {
	s := newScript(t)
	query := func(name string, size int) uint64 {
		at := s.space(size)
		s.add("query "+name, trampoline(irtQuerySlot), 0, equals(uint64(size)), []uint64{s.str(name), at, uint64(size)})
		return at
	}
	q := trampoline(irtQuerySlot)
	buf, out, stat := s.space(64), s.space(16), s.space(104)
	for _, bad := range []string{"nacl-irt-basic-0.2", "", "nacl-irt-basic-0.1x", "nacl-irt-private-pnacl-translator-link-0.1"} {
		s.add("query "+bad, q, 0, equals(0), []uint64{s.str(bad), buf, 64})
	}
	s.add("query without room", q, 0, equals(0), []uint64{s.str("nacl-irt-basic-0.1"), buf, 23})
	s.peek(buf, 0)
	s.add("query at 0", q, 0, equals(0), []uint64{0, buf, 64})
	s.add("query to 0", q, 0, equals(0), []uint64{s.str("nacl-irt-basic-0.1"), 0, 64})
	for name, size := range map[string]int{
		"nacl-irt-dev-fdio-0.1": 32, "nacl-irt-dev-fdio-0.2": 52, "nacl-irt-filename-0.1": 8, "nacl-irt-dev-filename-0.2": 28,
		"nacl-irt-cond-0.1": 24, "nacl-irt-resource-open-0.1": 4, "nacl-irt-dyncode-0.1": 12,
	} {
		query(name, size)
	}
	basic := query("nacl-irt-basic-0.1", 24)
	s.irt("gettod", basic, 1, 0, buf)
	s.irt("gettod(0)", basic, 1, int64(unix.EFAULT), 0)
	s.irt("clock", basic, 2, 0, out)
	s.irt("nanosleep(0)", basic, 3, int64(unix.EFAULT), 0, 0)
	s.irt("sched_yield", basic, 4, 0)
	s.irt("sysconf", basic, 5, 0, 2, out)
	s.peek(out, 0x10000)
	s.irt("sysconf(99)", basic, 5, int64(unix.EINVAL), 99, out)
	files := query("nacl-irt-dev-filename-0.3", 64)
	fdio := query("nacl-irt-dev-fdio-0.3", 56)
	name, text := s.str("/tmp/f"), s.str("hello")
	s.irt("open none", files, 0, int64(unix.ENOENT), name, 0, 0, out)
	s.irt("open", files, 0, 0, name, unix.O_CREAT|unix.O_RDWR, 0o600, out)
	s.peek(out, 3)
	s.irt("write", fdio, 4, 0, 3, text, 5, out)
	s.peek(out, 5)
	s.irt("seek", fdio, 5, 0, 3, ^uint64(3), unix.SEEK_CUR, out) // -4, by value
	s.peek(out, 1)
	s.irt("read", fdio, 3, 0, 3, buf, 60, out)
	s.peek(out, 4)
	s.irt("read closed", fdio, 3, int64(unix.EBADF), 77, buf, 60, out)
	s.peek(out, 4)
	s.irt("dup", fdio, 1, 0, 3, out)
	s.peek(out, 4)
	s.irt("dup2", fdio, 2, 0, 3, 9)
	s.irt("close", fdio, 0, 0, 4)
	s.irt("fstat", fdio, 6, 0, 3, stat)
	s.peek(stat+40, 5)
	s.irt("ftruncate", fdio, 12, 0, 3, 2)
	s.irt("isatty", fdio, 13, int64(unix.ENOTTY), 3, out)
	s.irt("truncate", files, 7, 0, name, 1000)
	s.irt("stat", files, 1, 0, name, stat)
	s.peek(stat+40, 1000)
	s.irt("unlink", files, 6, 0, name)
	m1, m2, m3 := query("nacl-irt-memory-0.1", 12), query("nacl-irt-memory-0.2", 16), query("nacl-irt-memory-0.3", 12)
	brk, addr := s.u32(0), s.u32(0)
	s.irt("sysbrk", m1, 0, 0, brk)
	s.peek(brk, nexe.DataAddr+0x20000)
	s.irt("sysbrk high", m1, 0, int64(unix.ENOMEM), s.u32(0xff800000))
	s.irt("mmap 0.1", m1, 1, 0, addr, 0x10000, 7, 0x22, 0xffffffff, 0)
	s.peek(addr, driverTop-0x10000)
	s.irt("mmap 0.2", m2, 1, int64(unix.EINVAL), addr, 0x10000, 7, 0x22, 0xffffffff, 0)
	s.irt("mmap offset", m2, 1, int64(unix.EINVAL), addr, 0x10000, 3, 0x22, 0xffffffff, 1<<40|1)
	s.irt("mprotect", m3, 2, 0, driverTop-0x10000, 0x10000, 1)
	s.irt("munmap", m3, 1, 0, driverTop-0x10000, 0x10000)
	tls := query("nacl-irt-tls-0.1", 8)
	s.irt("tls_init", tls, 0, 0, driverShared)
	s.irt("tls_get", tls, 1, driverShared)
	futex := query("nacl-irt-futex-0.1", 8)
	s.irt("futex_wait", futex, 0, int64(unix.EAGAIN), driverShared, 7, 0)
	s.irt("futex_wake", futex, 1, 0, driverShared, 7, out)
	s.peek(out, 0)
	mutex := query("nacl-irt-mutex-0.1", 20)
	s.irt("mutex_create", mutex, 0, 0, out)
	s.peek(out, 4)
	s.irt("mutex_lock", mutex, 2, 0, 4)
	s.irt("mutex_trylock", mutex, 4, int64(unix.EBUSY), 4)
	s.irt("mutex_unlock", mutex, 3, 0, 4)
	s.irt("mutex_destroy", mutex, 1, 0, 4)
	sem := query("nacl-irt-sem-0.1", 16)
	s.irt("sem_create", sem, 0, 0, out, 1)
	s.peek(out, 4)
	s.irt("sem_wait", sem, 3, 0, 4)
	s.irt("sem_post", sem, 2, 0, 4)
	random := query("nacl-irt-random-0.1", 4)
	s.irt("random", random, 0, 0, buf+32, 8, out)
	s.peek(out, 8)
	clocks := query("nacl-irt-clock_get-0.1", 8)
	s.irt("clock_gettime", clocks, 1, 0, 1, buf+48)
	s.irt("clock_getres", clocks, 0, int64(unix.EINVAL), 9, 0)
	pid := query("nacl-irt-dev-getpid-0.1", 4)
	s.irt("getpid", pid, 0, 0, out)
	maps := query("nacl-irt-dev-list-mappings-0.1", 4)
	s.irt("list_mappings", maps, 0, 0, buf, 0, out)
	s.irt("list_mappings(0)", maps, 0, -int64(unix.EFAULT), 0, 5, out)
	thread := query("nacl-irt-thread-0.1", 12)
	s.irt("thread_create", thread, 0, 0, s.fns["thread"], driverShared-0x800, 0x2000)
	s.waitWord(0)
	exception := query("nacl-irt-exception-handling-0.1", 12)
	s.irt("exception_handler", exception, 0, int64(unix.EFAULT), 1, 0)
	s.irt("exception_stack", exception, 1, 0, 0, 0)
	s.irt("exception_clear_flag", exception, 2, 0)
	alloc := query("nacl-irt-code-data-alloc-0.1", 4)
	const page, sep, first = 0x10000, 0x20000000, 0x30000
	s.irt("alloc 1", alloc, 0, 0, 0, page, sep, page, out)
	s.peek(out, first)
	s.irt("alloc 2", alloc, 0, 0, 0, page, sep, 2*page, out)
	s.peek(out, first+page)
	s.irt("alloc 3", alloc, 0, 0, 0, page, sep, page, out)
	s.peek(out, first+3*page)
	s.irt("alloc 4", alloc, 0, 0, first+13*page, page, sep, page, out)
	s.peek(out, first+13*page)
	s.irt("alloc 5", alloc, 0, 0, 0, page, 0, 0, out)
	s.peek(out, first+14*page)
	for _, bad := range [][4]uint64{{0, 0, 0, 0}, {1, page, 0, 0}, {0, page + 1, 0, 0}, {0, page, 0x10000000 - page, page}, {0, page, sep, 1}} {
		s.irt("alloc bad", alloc, 0, int64(unix.EINVAL), bad[0], bad[1], bad[2], bad[3], out)
	}
	s.irt("alloc much", alloc, 0, int64(unix.ENOMEM), 0, sep, 0, 0, out)
	hooks := query("nacl-irt-blockhook-0.1", 4)
	s.irt("hooks(0)", hooks, 0, int64(unix.EINVAL), 0, s.fns["posthook"])
	s.irt("hooks", hooks, 0, 0, s.fns["prehook"], s.fns["posthook"])
	s.irt("hooks again", hooks, 0, int64(unix.EBUSY), s.fns["prehook"], s.fns["posthook"])
	s.irt("sched_yield", basic, 4, 0)
	s.irt("read closed", fdio, 3, int64(unix.EBADF), 77, buf, 60, out)
	s.irt("close", fdio, 0, 0, 9) // does not block
	s.peek(driverShared+0x10, 2)
	s.peek(driverShared+0x14, 2)
	s.run()
	if b := s.memory(buf, 4); string(b) != "ello" && !bytes.Equal(b, []byte("ello")) {
		t.Logf("buf holds %q", b)
	}
}

// TestClassicIRTTables: interfaces of several versions have their functions in common.
func TestClassicIRTTables(t *testing.T) {
	s := newScript(t)
	table := map[string]uint64{}
	for name, size := range map[string]int{
		"nacl-irt-memory-0.1": 12, "nacl-irt-memory-0.2": 16, "nacl-irt-memory-0.3": 12, "nacl-irt-fdio-0.1": 32, "nacl-irt-dev-fdio-0.3": 56,
		"nacl-irt-filename-0.1": 8, "nacl-irt-dev-filename-0.3": 64, "nacl-irt-thread-0.1": 12, "nacl-irt-tls-0.1": 8,
	} {
		at := s.space(size)
		s.add("query "+name, trampoline(irtQuerySlot), 0, equals(uint64(size)), []uint64{s.str(name), at, 1000})
		table[name] = at
	}
	s.run()
	get := func(name string, i int) uint32 { return s.load32(table["nacl-irt-"+name] + uint64(4*i)) }
	for _, same := range [][2]uint32{
		{get("memory-0.1", 0), get("memory-0.2", 0)}, {get("memory-0.1", 2), get("memory-0.2", 2)}, {get("memory-0.3", 0), get("memory-0.2", 1)},
		{get("memory-0.3", 1), get("memory-0.2", 2)}, {get("memory-0.3", 2), get("memory-0.2", 3)}, {get("fdio-0.1", 3), get("dev-fdio-0.3", 3)},
		{get("filename-0.1", 1), get("dev-filename-0.3", 1)},
	} {
		if same[0] != same[1] {
			t.Errorf("%#x and %#x should be one", same[0], same[1])
		}
	}
	if get("memory-0.1", 1) == get("memory-0.2", 1) {
		t.Error("the first version's mmap knows of executable memory")
	}
	seen := map[uint32]bool{}
	for i := range 16 {
		at := get("dev-filename-0.3", i)
		if at%32 != 0 || at < 0x10000 || at >= 0x20000 || seen[at] {
			t.Errorf("function %d is at %#x", i, at)
		}
		seen[at] = true
	}
}
