// Package engine runs validated guest code on the calling goroutine's thread
// and brings it back: by return, by a call for the host, by a fault, or
// because somebody interrupted it. No cgo; Linux on x86-64; the halite ABI and the
// classic one.
//
// README.md in this folder tells how it works, step by step.
//
// # Invariants
//
//   - E-ENTER: a guest starts with nothing of the host in any register: the
//     general, vector, x87 and MMX registers, flags and control words hold
//     what the Context says, or zero. (x87 condition codes excepted: they tell
//     what FXAM saw in the last trampoline on the thread.)
//   - E-LEAVE: nothing that a guest did to registers or flags survives into
//     Go: direction flag, x87 and SSE control words, a pending x87 exception.
//   - E-HOST: Go code never runs on a control stack, and a signal handler of
//     Go never sees a guest's stack pointer.
//   - E-ADDR: no address of the host reaches a register that a guest or a
//     guest's signal handler can read. The control stack is read and moved
//     for the guest by trusted code that knows its bounds.
//   - E-KEEP: a call out of the guest keeps every register but rax, rcx and
//     r11, and r10, which has what rcx had, except in the trampolines of
//     Linux calls and of the control stack; an interruption between any two instructions keeps all of them.
//     In the classic ABI a call keeps what NaCl's keep, and the rest is zero.
//   - E-PREEMPT: Go's scheduler and garbage collector can always stop a guest,
//     and Interrupt always ends a Resume that runs or comes after it.
//
// # Lock order
//
// Context.mu (Interrupt against Close) before pool.mu and installMu (the signal
// handlers), which are never held together. None is held while
// a guest runs.
//
// # Not promised
//
// A Context is used by one goroutine at a time, Interrupt excepted. The engine
// does not check code: what runs must come from a cage.Text, and the cage must
// stay open while a Context is inside. Side channels of the CPU are not
// closed. A program must not tell
// os/signal to ignore SIGURG, SIGSEGV, SIGBUS, SIGFPE, SIGILL or SIGTRAP: with
// SIGURG ignored, neither Go's scheduler nor Interrupt can stop a guest that
// runs already; NewContext refuses to make more.
package engine
