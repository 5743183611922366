// Package dyncode changes the code of a running domain: create, modify, delete,
// as NaCl's system calls of these names do, for guests and for the host.
//
// # What
//
// A Region is a range of a cage set aside for code. Nothing in it can be
// executed until Create puts validated bundles there. It is laid out as in
// NaCl: pages appear 64 KiB at a time, filled with hlt, at the first Create
// that touches them, and stay; the last bundle of the range is never written.
//
// # Invariants
//
//   - D-VALID: what is written was validated by the package validator for the
//     very place, in a private copy that nobody else can change. Bytes of the
//     guest are read once, before.
//   - D-WX: the guest has no writable view of the pages, ever. The one that
//     exists is the host's (cage.Dynamic).
//   - D-HEAD: while code is put into place or taken away, the first
//     instruction of every bundle that a thread may enter is hlt, the old one
//     or the new one, never a mixture. Create writes the tails of the bundles
//     first and their heads last; Modify changes an instruction by one aligned
//     store, or behind a hlt.
//   - D-REUSE: deleted text is put to other use only after Config.Threads has
//     proved that no thread can still execute or return into it. Until then
//     Delete says EAGAIN, and can be called again.
//
// # Copies
//
// A Region whose cage has become a Snapshot does not change any more. Copy makes that of
// a cage made from it, which shares code and tables until the first change.
//
// # Errors
//
// Every refusal is an *Error with the number that NaCl's call would return;
// errors.Is finds it. The order in which arguments are checked is NaCl's.
//
// # Lock order
//
// The lock of the Region's cage.Dynamic is held during a call, validation
// included; then what Config.Threads takes, and the cage's mutex.
//
// # Not promised
//
// Threads of the guest that execute an instruction while Modify changes it may
// meet its hlt; the runtime resumes them (Region.Retry). Contents are not kept
// secret: the guest can read its code.
package dyncode
