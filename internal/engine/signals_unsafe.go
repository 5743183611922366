package engine

import (
	"fmt"
	"sync"
	"syscall"
	"unsafe"
)

// ksigaction is the kernel's struct sigaction.
type ksigaction struct {
	handler  uintptr
	flags    uintptr
	restorer uintptr
	mask     uint64
}

const numSignals = 64

func sigaction(sig syscall.Signal, set, old *ksigaction) error {
	_, _, e := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(sig),
		uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(old)), 8, 0, 0)
	if e != 0 {
		return e
	}
	return nil
}

// vital signals are those that the engine itself lives on.
var vital = [...]syscall.Signal{
	syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGILL, syscall.SIGTRAP, syscall.SIGURG,
}

var installMu sync.Mutex

// install puts our handler before Go's, for every signal that Go handles: a
// signal of any kind may interrupt a guest.
func install() error {
	installMu.Lock()
	defer installMu.Unlock()
	m := &machine
	var act ksigaction
	if err := sigaction(syscall.SIGSEGV, nil, &act); err != nil {
		return fmt.Errorf("engine: read the signal handler: %w", err)
	}
	const siginfo, onstack, restorer = 4, 0x08000000, 0x04000000
	if act.handler <= 1 || act.flags&(siginfo|onstack|restorer) != siginfo|onstack|restorer {
		return unsupported("SIGSEGV is not handled by Go")
	}
	handler.old, m.flags, m.restorer, m.mask = act.handler, act.flags, act.restorer, act.mask
	for sig := syscall.Signal(1); sig <= numSignals; sig++ {
		if sigaction(sig, nil, &act) != nil || act.handler != handler.old {
			continue
		}
		act.handler = m.signal
		if err := sigaction(sig, &act, nil); err != nil {
			return fmt.Errorf("engine: install the handler of %v: %w", sig, err)
		}
	}
	return reinstallLocked()
}

// reinstall puts our handler back where os/signal has installed Go's alone:
// Notify does so for a signal that had been ignored. A signal that is ignored,
// or that somebody else handles, is an error: to take it by force would make
// Go forward it to us and us to Go, for ever.
func reinstall() error {
	installMu.Lock()
	defer installMu.Unlock()
	return reinstallLocked()
}

func reinstallLocked() error {
	m := &machine
	for _, sig := range vital {
		var act ksigaction
		if err := sigaction(sig, nil, &act); err != nil {
			return fmt.Errorf("engine: read the handler of %v: %w", sig, err)
		}
		switch act.handler {
		case m.signal:
			continue
		case handler.old:
		default:
			return fmt.Errorf("engine: signal %d (%v) is ignored, or handled by others than Go; guests need it (signal.Notify undoes signal.Ignore)", int(sig), sig)
		}
		act = ksigaction{m.signal, m.flags, m.restorer, m.mask}
		if err := sigaction(sig, &act, nil); err != nil {
			return fmt.Errorf("engine: install the handler of %v: %w", sig, err)
		}
	}
	return nil
}

// kick sends SIGURG to a thread.
func kick(tid uint64) {
	syscall.RawSyscall(syscall.SYS_TGKILL, uintptr(machine.pid), uintptr(tid), uintptr(syscall.SIGURG))
}
