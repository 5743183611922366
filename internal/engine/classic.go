package engine

import (
	"sync"
	"syscall"

	"github.com/halite-run/halite/internal/cage"
)

// What a guest of the classic ABI needs beside what all need: trampolines of its
// own, and a proof that they work here. Made when the first one asks.
var classicMachine struct {
	once        sync.Once
	err         error
	trampolines *cage.Text
}

// InitClassic is Init for guests of the classic ABI.
func InitClassic() error {
	if err := Init(); err != nil {
		return err
	}
	m := &classicMachine
	m.once.Do(func() {
		if m.trampolines, m.err = makeClassicTrampolines(); m.err == nil {
			m.err = classicSelfTest()
		}
	})
	return m.err
}

// ClassicTrampolines is Trampolines for guests of the classic ABI.
func ClassicTrampolines() *cage.Text {
	if InitClassic() != nil {
		return nil
	}
	return classicMachine.trampolines
}

// makeClassicTrampolines writes the entry points of the classic ABI, which are as
// those of the other ABI: the same for all sandboxes, without any address.
//
//	41 5a               pop  %r10          return address, in the guest's memory
//	41 bb n             mov  $n,%r11d
//	d9 e5               fxam
//	64 ff 24 25 disp    jmp  *%fs:disp
//	f4...               hlt
//
// The pop is here, and not in the host, because the stack pointer may be anything
// in the sandbox or a little beside it: the fault is the guest's.
//
// The two thread pointers are read without leaving the sandbox. NaCl changes eax,
// ecx, edx and r11 there, and rounds the return address up to a bundle as it
// does for every call:
//
//	64 8b 04 25 disp    mov  %fs:disp,%eax
//	41 5b               pop  %r11
//	44 89 d9            mov  %r11d,%ecx
//	31 d2               xor  %edx,%edx
//	41 83 c3 1f         add  $31,%r11d
//	41 83 e3 e0         and  $-32,%r11d
//	4d 01 fb            add  %r15,%r11
//	41 ff e3            jmp  *%r11
//
// A function that the host calls returns to a trampoline that pops nothing.
func makeClassicTrampolines() (*cage.Text, error) {
	const size, slots = 32, (cage.TrampolineEnd - cage.TrampolineStart) / 32
	words := uint32(nearWords)
	if machine.far {
		words = farWords
	}
	disp := func(d uint32) []byte { return []byte{byte(d), byte(d >> 8), byte(d >> 16), byte(d >> 24)} }
	code := make([]byte, 0, slots*size)
	for n := range uint32(slots) {
		switch n {
		case slotTLSGet, slotTLS2Get:
			at := words + slotTP
			if n == slotTLS2Get {
				at += 4
			}
			code = append(append(code, 0x64, 0x8b, 0x04, 0x25), disp(at)...)
			code = append(code, 0x41, 0x5b, 0x44, 0x89, 0xd9, 0x31, 0xd2,
				0x41, 0x83, 0xc3, 0x1f, 0x41, 0x83, 0xe3, 0xe0, 0x4d, 0x01, 0xfb, 0x41, 0xff, 0xe3)
		case slotNone:
		default:
			if n != SlotClassicReturn {
				code = append(code, 0x41, 0x5a)
			}
			code = append(append(code, 0x41, 0xbb), disp(n)...)
			code = append(code, 0xd9, 0xe5, 0x64, 0xff, 0x24, 0x25)
			code = append(code, disp(words+8)...)
		}
		for len(code) < int(n+1)*size {
			code = append(code, 0xf4)
		}
	}
	return cage.NewText("trampolines", code, cage.TrampolineStart)
}

// Classic reports whether the guest is one of the classic ABI. Its RSP in Regs is
// then the stack pointer of the guest, inside the sandbox; after ExitCall it is
// what it was before the call of the trampoline.
func (c *Context) Classic() bool { return c.classic }

// SetSecondThreadPointer sets what second_tls_get returns to code of the classic
// ABI.
func (c *Context) SetSecondThreadPointer(tp uint32) { c.core.tp2 = tp }

// SecondThreadPointer returns what SetSecondThreadPointer set.
func (c *Context) SecondThreadPointer() uint32 { return c.core.tp2 }

// classicReturn makes of the call of SlotClassicReturn what it means: the end of
// the innermost invocation. A guest may call it whenever it likes; without an
// invocation there is nothing to return from.
func (c *Context) classicReturn() Exit {
	k := c.core
	if len(c.frames) == 0 {
		c.fault = &Fault{Signal: syscall.SIGILL, Trap: trapIllegal, PC: cage.TrampolineStart + 32*SlotClassicReturn, Kind: FaultIllegal, Regs: k.regs}
		return Exit{Reason: ExitFault}
	}
	c.leave()
	k.mode = modeNone
	return Exit{Reason: ExitReturn}
}

// flagDirection is DF, which says that strings go downwards.
const flagDirection = 0x400

// Redirect makes a guest of the classic ABI that has stopped with a fault go on at a
// bundle with another stack pointer and argument: a handler of exceptions of its own. All
// other registers keep their values. It is false, and changes nothing, if the guest
// has not stopped, or in the middle of setting its stack or frame pointer.
func (c *Context) Redirect(entry, sp, arg uint32) bool {
	k := c.core
	base := uint64(k.base)
	if !c.classic || k.mode != modeFull || k.regs.RSP>>32 != base>>32 || k.regs.RBP>>32 != base>>32 {
		return false
	}
	k.regs.RIP = base + uint64(entry&^31)
	k.regs.RSP = base + uint64(sp)
	k.regs.RDI = uint64(arg)
	k.regs.RFLAGS &^= flagDirection
	c.fault = nil
	return true
}

// classicSelfTestCode calls a trampoline from the middle of a bundle, adds, and
// goes to the trampoline that returns; its third bundle faults.
//
//	00: b8 07 00 00 00        mov  $7,%eax
//	05: e8 xx xx xx xx        call trampoline 1
//	20: 83 c0 01              add  $1,%eax
//	23: e9 xx xx xx xx        jmp  trampoline 2046
//	40: 0f 0b                 ud2
var classicSelfTestCode = [96]byte{
	0x00: 0xb8, 7, 0, 0, 0, 0xe8, 0, 0, 0, 0, 0xf4,
	0x20: 0x83, 0xc0, 1, 0xe9, 0, 0, 0, 0, 0xf4,
	0x40: 0x0f, 0x0b,
}

// classicSelfTest is selfTest for the classic ABI.
func classicSelfTest() error {
	const at, stack = cage.TrampolineEnd, 0x100000
	code := classicSelfTestCode
	for _, j := range []struct{ at, to uint32 }{
		{6, cage.TrampolineStart + 32*1}, {0x24, cage.TrampolineStart + 32*SlotClassicReturn},
	} {
		rel := j.to - (at + j.at + 4)
		code[j.at], code[j.at+1], code[j.at+2], code[j.at+3] = byte(rel), byte(rel>>8), byte(rel>>16), byte(rel>>24)
	}
	text, err := cage.NewText("self-test", code[:], at)
	if err != nil {
		return err
	}
	defer text.Release()
	box, err := cage.New(cage.Config{Trampolines: classicMachine.trampolines, Guard: cage.ClassicGuard})
	if err != nil {
		return err
	}
	defer box.Close()
	if err := box.MapText(at, text); err != nil {
		return err
	}
	if _, err := box.Map(stack, cage.PageSize, cage.ProtRead|cage.ProtWrite, cage.Fixed); err != nil {
		return err
	}
	c, err := newContext(box.Base(), ContextOptions{Classic: true})
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetCall(at, stack+cage.PageSize-8)
	if x := c.Resume(); x != (Exit{ExitCall, 1}) || uint32(c.Regs().RAX) != 7 || uint32(c.Regs().RIP) != at+10 {
		return unsupported("self-test: a call of the host came out as %v, rax %d", x, c.Regs().RAX)
	}
	c.Regs().RAX = 41
	if x := c.Resume(); x.Reason != ExitReturn || uint32(c.Regs().RAX) != 42 {
		return unsupported("self-test: a return came out as %v, rax %d", x, c.Regs().RAX)
	}
	c.SetCall(at+0x40, stack+cage.PageSize-8)
	if x := c.Resume(); x.Reason != ExitFault || c.Fault().Kind != FaultIllegal || c.Fault().PC != at+0x40 {
		return unsupported("self-test: an illegal instruction came out as %v, %v", x, c.Fault())
	}
	c.Leave()
	return nil
}
