// Package runtime gives a cage of guest memory its behaviour: threads,
// blocking, faults, invocations and an end.
//
// A Domain is one sandbox. Each guest thread is a goroutine that alternates
// between the engine (guest code runs) and ordinary Go (a call of the guest is
// served); a guest that blocks is a goroutine that blocks. What a system call
// means is the business of a Personality; libcshim has the one that musl
// needs. The runtime itself serves the handful of NaCl slots that need nothing
// but threads, clocks and futexes.
//
// # Invariants
//
//   - A guest address is a uint32 offset into the cage. No Go pointer to guest
//     memory exists anywhere; every access goes through safemem.
//   - A registers block is touched only by the goroutine of its thread, and only
//     while the guest is not running.
//   - A domain ends once, for one reason (Ending). From then on no thread of it
//     enters the guest again, every blocked one is woken, and Done is closed.
//     When the last thread has left, Gone is closed; only then may Close unmap.
//   - Every wait of a thread is a Park in a loop that checks its own condition
//     after it has registered for the wake-up: a wake-up is never lost, and one
//     too many does no harm.
//
// # What a signal handler of the guest sees
//
// A Personality may run a guest function in front of whatever a thread was
// doing (Thread.PushHandler). The complete state is set aside in the host and
// comes back when the handler returns. A handler that never returns (siglongjmp)
// is noticed because the control stack is then below the place where the handler
// was started; the state set aside is dropped.
//
// # Lock order
//
// Locks are taken in this order, and none of those in a line with another of it
// unless said:
//
//  1. dyncode.Region's and ld.Linker's own, which deletions of code are made under
//  2. callContext.mu: held during a nested call of the host, one context inside
//     of another
//  3. callers.adding: held while the starter runs guest code to make a thread
//  4. cpuClock.mu, the only one that is the process's; hostFuncs.mu, which nothing
//     is taken under
//  5. callers.mu; Domain.mu
//  6. retirements.mu and suspension.mu, both under Domain.mu or alone
//  7. futex buckets in ascending order
//  8. Thread.mu, then the engine's and the parker's; Profile.mu, which nothing is taken
//     under
//
// Nothing of the engine or of a Personality is called with a bucket lock held,
// except Thread.Unpark; and no Personality, no Go function of the host and no guest
// code with any but 1 to 3.
//
// # Suspension
//
// Suspend stops a domain's threads in front of their next entry of the guest. A
// thread stands still when it has said so (suspension.hold), is between calls of the
// host (Thread.idle) or waits for one (callers). It is kicked before that is looked
// at: what moves again meets the gate.
//
// # Not promised
//
// A domain that ended in the middle of guest code can not be used again. Host
// goroutines may call into one domain at once only on a HostThread each.
package runtime
