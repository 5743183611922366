// Package cage owns the address space of one sandbox: 4 GiB, aligned to
// 4 GiB, reserved as a whole from New to Close.
//
// # What is where
//
//	0x00000000  never mapped (null pointers)
//	0x00010000  trampolines, one memfd shared by every cage of the process
//	0x00020000  free for programs, libraries, heaps and stacks
//	0xffff0000  never mapped (an access that runs over the end)
//
// A cage for the classic ABI has 40 GiB before and behind it that are reserved
// without access (Config.Guard), because its code computes addresses that reach
// so far; the other parts are the same.
//
// # Invariants
//
//   - C-RESERVED: every page of the 4 GiB belongs to the cage as long as it is
//     open. What the guest unmaps becomes inaccessible, never free for others,
//     so that a stray guest address can't reach memory of the host. No system
//     call here leaves a hole, not even for a moment.
//   - C-WX: no page is writable and executable, and no page is executable at
//     one address and writable at another that a guest can reach. Executable
//     pages come from a Text, a memfd sealed against every change before its
//     first mapping, or from a Dynamic, whose one writable view is the host's
//     and sealed against a second. That view is gone before a Snapshot shares the
//     pages; who is to write in a cage made from it gets a copy of them. Map, MapFile and Protect refuse ProtExec (ErrExec).
//   - C-TEXT: text and trampolines are never unmapped, replaced or protected
//     otherwise through the calls that serve guests (ErrText). The same goes
//     for the range of a Dynamic, whether there is code in it or not. UnmapText
//     retires the range: it takes up no memory, but nothing else is put there
//     until ReleaseText, because return addresses into it may still stand on
//     a control stack.
//   - C-EDGE: the first and the last 64 KiB are never mapped, and neither are the
//     64 KiB behind the sandbox (Behind), which belong to the cage too.
//   - C-GUARD: what lies within Config.Guard of either end belongs to the cage
//     as long as it is open, and is never accessible.
//   - C-BOUND: offsets and lengths from a guest are checked before they are
//     added; none overflows. Memory, entries and kernel mappings are bounded,
//     so that a guest can't use up what the host process needs itself.
//
// # Lock order
//
// Dynamic.mu, then Cage.mu, then the reference count of a Text (atomic, no
// lock). Nothing of another package is called under Cage.mu but the kernel.
//
// # Not promised
//
// A cage knows nothing of threads. Close while somebody runs inside, or while
// safemem accesses the memory, is the caller's mistake; it is not detected.
// Contents of memory are whatever the guest makes of them. Placement is
// random, which makes host addresses harder to guess; the sandbox does not
// rely on that.
package cage
