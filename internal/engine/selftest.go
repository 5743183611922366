package engine

import (
	"fmt"

	"github.com/halite-run/halite/internal/cage"
)

// selfTestCode calls a trampoline, adds, and returns; bundle 1 faults.
//
//	00: b8 07 00 00 00        mov  $7,%eax
//	05: e8 xx xx xx xx        call trampoline 1024
//	0a: 83 c0 01              add  $1,%eax
//	0d: c3                    ret
//	20: 0f 0b                 ud2
var selfTestCode = [64]byte{
	0x00: 0xb8, 7, 0, 0, 0, 0xe8, 0, 0, 0, 0, 0x83, 0xc0, 1, 0xc3,
	0x20: 0x0f, 0x0b,
}

// selfTest runs a guest that calls, returns and faults, before anybody else's
// does. Code runs only if the trampolines, the words at %fs, the gs base and
// the signal handler all work here.
func selfTest() error {
	const at = cage.TrampolineEnd
	const tramp = cage.TrampolineStart + 32*slotLinux
	code := selfTestCode
	rel := uint32(tramp - (at + 10) + 1<<32)
	code[6], code[7], code[8], code[9] = byte(rel), byte(rel>>8), byte(rel>>16), byte(rel>>24)
	text, err := cage.NewText("self-test", code[:], at)
	if err != nil {
		return err
	}
	defer text.Release()
	box, err := cage.New(cage.Config{Trampolines: machine.trampolines})
	if err != nil {
		return err
	}
	defer box.Close()
	if err := box.MapText(at, text); err != nil {
		return err
	}
	c, err := newContext(box.Base(), ContextOptions{ControlStackSize: pageSize})
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetCall(at, 0)
	if x := c.Resume(); x != (Exit{ExitCall, slotLinux}) || c.Regs().RAX != 7 {
		return unsupported("self-test: a call of the host came out as %v, rax %d", x, c.Regs().RAX)
	}
	c.Regs().RAX = 41
	if x := c.Resume(); x.Reason != ExitReturn || c.Regs().RAX != 42 {
		return unsupported("self-test: a return came out as %v, rax %d", x, c.Regs().RAX)
	}
	c.SetCall(at+0x20, 0)
	if x := c.Resume(); x.Reason != ExitFault || c.Fault().Kind != FaultIllegal || c.Fault().PC != at+0x20 {
		return unsupported("self-test: an illegal instruction came out as %v, %v", x, c.Fault())
	}
	if c.Leave(); c.ControlDepth() != 0 {
		return fmt.Errorf("engine: self-test: %d words left on the control stack", c.ControlDepth())
	}
	return nil
}
