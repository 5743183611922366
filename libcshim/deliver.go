package libcshim

import (
	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/runtime"
)

// Layout of what a handler finds on its stack: siginfo_t and ucontext_t of
// Linux x86-64.
const (
	siginfoSize  = 128
	siSigno      = 0
	siErrno      = 4
	siCode       = 8
	siPID        = 16 // kill: pid, uid, value
	siUID        = 20
	siValue      = 24
	siAddr       = 16 // faults
	siTimerID    = 16 // timers: id, overrun, value
	siOverrun    = 20
	ucontextSize = 936
	ucFlags      = 0
	ucLink       = 8
	ucStack      = 16 // ss_sp, ss_flags, ss_size
	ucGregs      = 40
	ucFpregs     = 224
	ucSigmask    = 296
	ucFpmem      = 424
)

// Indices in uc_mcontext.gregs.
const (
	regR8 = iota
	regR9
	regR10
	regR11
	regR12
	regR13
	regR14
	regR15
	regRDI
	regRSI
	regRBP
	regRBX
	regRDX
	regRAX
	regRCX
	regRSP
	regRIP
	regEFL
	regCSGSFS
	regErr
	regTrapNo
	regOldMask
	regCR2
)

// Codes of SIGSEGV.
const (
	segvMapErr = 1
	segvAccErr = 2
)

const (
	ssOnStack = 1
	ssDisable = 2
	// ssAutoDisarm turns the alternate stack off while a handler runs on it.
	ssAutoDisarm = 1 << 31
	minSigStack  = 2048
)

// handlerTag is what is remembered about a handler that runs.
type handlerTag struct {
	mask sigset // to come back, unless the handler changed it in its ucontext
	uc   uint32 // where that is
	// The alternate stack as it was, when it was turned off.
	disarmed         bool
	altAddr, altSize uint64
	altFlags         uint32
}

// Attention delivers what is pending. It implements runtime.Personality.
func (p *Process) Attention(t *runtime.Thread) {
	k, ok := t.Local().(*task)
	if !ok {
		return
	}
	for !t.Exiting() {
		s := &p.signals
		s.mu.Lock()
		i, found := k.sig.pending.take(^k.sig.mask)
		if !found {
			i, found = s.pending.take(^k.sig.mask)
		}
		if !found {
			s.mu.Unlock()
			return
		}
		a := s.actions[i.signo]
		s.mu.Unlock()
		if !k.deliver(i, a, nil) {
			return
		}
	}
}

// deliver does what a signal's action says; false when the domain ends.
func (k *task) deliver(i siginfo, a action, fault *runtime.FaultError) bool {
	switch {
	case a.handler == sigIgn, a.handler == sigDfl && ignoredByDefault.has(i.signo):
		return true
	case a.handler == sigDfl:
		k.p.tracer.signal(k, i, "killed")
		k.p.dom.End(runtime.Ending{Signal: i.signo})
		return false
	}
	k.p.tracer.signal(k, i, "")
	if err := k.pushHandler(i, a, fault); err != nil {
		// No stack for the handler: as on Linux, that is the end.
		k.p.dom.End(runtime.Ending{Signal: int(unix.SIGSEGV), Err: faultOrNil(fault)})
		return false
	}
	return true
}

func faultOrNil(f *runtime.FaultError) error {
	if f == nil {
		return nil
	}
	return f
}

// onAltStack reports whether an address lies on the alternate stack.
func (k *task) onAltStack(sp uint64) bool {
	return k.sig.altSize > 0 && sp > k.sig.altAddr && sp-k.sig.altAddr <= k.sig.altSize
}

// pushHandler builds the handler's frame and starts it.
func (k *task) pushHandler(i siginfo, a action, fault *runtime.FaultError) error {
	s := &k.p.signals
	regs := k.t.Registers()
	sp := regs.RSP - 128 // leaf functions own nothing below, but it costs nothing
	s.mu.Lock()
	defer s.mu.Unlock()
	tag := handlerTag{mask: k.sig.mask}
	if k.sig.hasRestore {
		tag.mask, k.sig.hasRestore = k.sig.restore, false
	}
	altFlags := k.altState(regs.RSP)
	if a.flags&saOnStack != 0 && altFlags == 0 {
		sp = k.sig.altAddr + k.sig.altSize
	}
	oldAlt := [3]uint64{k.sig.altAddr, uint64(altFlags), k.sig.altSize}
	uc := (sp - ucontextSize) &^ 15
	info := (uc - siginfoSize) &^ 15
	if info > 1<<32 {
		return unix.EFAULT
	}
	if err := k.write(uc, encodeUcontext(&regs, tag.mask, oldAlt, fault)); err != nil {
		return err
	}
	if err := k.write(info, i.encode()); err != nil {
		return err
	}
	tag.uc = uint32(uc)
	if k.sig.altFlags&ssAutoDisarm != 0 && k.sig.altSize > 0 {
		tag.disarmed = true
		tag.altAddr, tag.altSize, tag.altFlags = k.sig.altAddr, k.sig.altSize, k.sig.altFlags
		k.sig.altAddr, k.sig.altSize, k.sig.altFlags = 0, 0, 0
	}
	err := k.t.PushHandler(runtime.Handler{
		Entry: uint32(a.handler), Stack: uint32(info),
		Args:    []uint64{uint64(i.signo), info, uc},
		Restart: a.flags&saRestart != 0,
		Tag:     tag,
	})
	if err != nil {
		return err
	}
	k.sig.mask |= a.mask
	if a.flags&saNoDefer == 0 {
		k.sig.mask |= bit(i.signo)
	}
	k.sig.mask &^= unblockable
	if a.flags&saResetHand != 0 {
		s.actions[i.signo].handler = sigDfl
	}
	return nil
}

// altState is what sigaltstack reports in ss_flags. The caller holds the lock.
func (k *task) altState(sp uint64) uint32 {
	switch {
	case k.sig.altSize == 0:
		return ssDisable
	case k.sig.altFlags&ssAutoDisarm == 0 && k.onAltStack(sp):
		return ssOnStack
	}
	return 0
}

// HandlerReturn puts back the mask: the one in the handler's ucontext, which it
// may have changed. It implements runtime.Personality.
func (p *Process) HandlerReturn(t *runtime.Thread, tag any) {
	k := t.Local().(*task)
	h := tag.(handlerTag)
	if m, err := p.mem.Load64(h.uc + ucSigmask); err == nil {
		h.mask = sigset(m)
	}
	if h.disarmed {
		p.signals.mu.Lock()
		k.sig.altAddr, k.sig.altSize, k.sig.altFlags = h.altAddr, h.altSize, h.altFlags
		p.signals.mu.Unlock()
	}
	k.setMask(h.mask)
}

// Fault turns a fault into its signal, if the guest has a handler for it that is
// not blocked. It implements runtime.Personality.
func (p *Process) Fault(t *runtime.Thread, f *runtime.FaultError) bool {
	k, ok := t.Local().(*task)
	if !ok || f.Signal < 1 || f.Signal > numSignals {
		return false
	}
	p.signals.mu.Lock()
	a := p.signals.actions[f.Signal]
	blocked := k.sig.mask.has(f.Signal)
	p.signals.mu.Unlock()
	i := siginfo{signo: f.Signal, code: f.Code, addr: uint64(f.Addr), hasAddr: true}
	switch {
	case f.Signal == int(unix.SIGSEGV) && f.HasAddr:
		// What the cage has reserved is there for the kernel, without access;
		// for the guest there is nothing.
		i.code = segvAccErr
		if p.mapped(f.Addr&^(cage.PageSize-1), 1) != nil {
			i.code = segvMapErr
		}
	case !f.HasAddr && f.Code != siKernel:
		// Faults of instructions have their own address.
		i.addr = f.Registers.RIP
	}
	if blocked || a.handler == sigDfl || a.handler == sigIgn {
		p.tracer.signal(k, i, "killed")
		return false
	}
	return k.deliver(i, a, f) || t.Exiting()
}

// encode makes the siginfo_t.
func (i *siginfo) encode() []byte {
	b := make([]byte, siginfoSize)
	le.PutUint32(b[siSigno:], uint32(i.signo))
	le.PutUint32(b[siErrno:], uint32(i.errno))
	le.PutUint32(b[siCode:], uint32(i.code))
	switch {
	case i.hasAddr:
		le.PutUint64(b[siAddr:], i.addr)
	case i.code == siTimer:
		le.PutUint32(b[siTimerID:], uint32(i.timer))
		le.PutUint32(b[siOverrun:], uint32(i.overrun))
		le.PutUint64(b[siValue:], i.value)
	default:
		le.PutUint32(b[siPID:], uint32(i.pid))
		le.PutUint32(b[siUID:], uint32(i.uid))
		le.PutUint64(b[siValue:], i.value)
	}
	return b
}

// encodeUcontext makes the ucontext_t. Floating-point state is left out: its
// pointer is NULL.
func encodeUcontext(r *runtime.Registers, mask sigset, alt [3]uint64, fault *runtime.FaultError) []byte {
	b := make([]byte, ucontextSize)
	le.PutUint64(b[ucStack:], alt[0])
	le.PutUint32(b[ucStack+8:], uint32(alt[1]))
	le.PutUint64(b[ucStack+16:], alt[2])
	put := func(i int, v uint64) { le.PutUint64(b[ucGregs+8*i:], v) }
	put(regR8, r.R8)
	put(regR9, r.R9)
	put(regR10, r.R10)
	put(regR11, r.R11)
	put(regR12, r.R12)
	put(regR13, r.R13)
	put(regR14, r.R14)
	put(regR15, r.R15)
	put(regRDI, r.RDI)
	put(regRSI, r.RSI)
	put(regRBP, r.RBP)
	put(regRBX, r.RBX)
	put(regRDX, r.RDX)
	put(regRAX, r.RAX)
	put(regRCX, r.RCX)
	put(regRSP, r.RSP)
	put(regRIP, r.RIP)
	put(regEFL, r.RFLAGS)
	put(regCSGSFS, 0x33)
	put(regOldMask, uint64(mask))
	if fault != nil {
		put(regTrapNo, uint64(fault.Trap))
		put(regCR2, uint64(fault.Addr))
	}
	le.PutUint64(b[ucSigmask:], uint64(mask))
	return b
}
