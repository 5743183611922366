// Package ld is the dynamic linker of a domain. It runs in the host: the guest
// asks for dlopen, dlsym and the rest through private system calls and is
// handed addresses; it never parses a file.
//
// # What
//
// A Linker belongs to one cage. LoadProgram collects the objects that a program
// needs, gives each a place, has its code validated there, relocates its data,
// and orders the constructors. Open, Sym, Close and the others serve the guest
// while it runs; Syscall offers the same by number. Closure answers what
// `halite ldd` asks, without a cage.
//
// All binding is done when an object is loaded: there is no lazy binding, and
// RTLD_LAZY means RTLD_NOW. A program that relies on an undefined function that
// it never calls does not start.
//
// # Invariants
//
//   - What the linker decides by (names, symbols, versions, the graph) is read
//     once, into host memory. What it writes for the guest to read (link_map,
//     names) it never reads back.
//   - Only data is relocated, only data of the object that the relocation
//     belongs to, and only in segments that the file declares writable. It
//     happens in a host buffer, before the pages exist in the guest.
//   - Loading is all or nothing: after an error the cage holds what it held
//     before.
//   - Where code was unloaded, no other code is put while a control stack may
//     hold a return address into it. The place is kept for the same file; when
//     there are many, Config.Retire proves which ones are out of use, and their
//     addresses are given back.
//
// # Order of initialisation
//
// Dependencies come first. From each object its dependencies are visited in the
// order in which it names them, depth first, and an object that is met again on
// the way (a cycle) is skipped: the order depends on the files alone. This is
// what musl does. Destructors run in the reverse order of the constructors'
// beginnings.
//
// # Lock order
//
// Linker.mu, then the cage's mutex, then the loader's text cache. Linker.mu is
// held while files are opened and read (Config.Open must not call back) and
// while code is validated, so that a dlopen delays other threads' dlsym; it is
// not held while constructors and destructors run, nor while NextInit waits for
// another thread's constructors. Trace and Warn are called with it held.
//
// # Not promised
//
// IFUNC, TLS descriptors, relocations into code (DT_TEXTREL), lazy binding,
// auditing, several name spaces of symbols (dlmopen).
//
// # Thread-local storage
//
// The host gives modules their numbers and places; the C library makes blocks
// and copies images, on threads of the guest. Initial-exec access to the storage
// of an object that dlopen brings in takes one of the few spare bytes that every
// thread has, which must be filled in all of them before anybody knows of the
// object: Open leaves it in the list of AddedTLS, and the C library works that off
// before it runs constructors. Before Unload frees a number, the C library clears
// it in the vectors of all threads (RemovedTLS). A guest that does neither confuses
// itself alone.
package ld
