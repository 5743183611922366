// Package loader reads ELF files that nobody vouches for, and puts executable
// images into a cage.
//
// # What
//
// ReadELF is a strict reader for 64-bit little-endian x86-64 programs and
// shared objects. It reads everything it will ever look at once, into memory of
// its own, checks it, and hands out tables whose accessors cannot fail badly:
// an index or an offset that comes from the file is compared with the table it
// points into before it is used. Loader.Stage and Image.Place give a file a place in a cage,
// Image.CheckText validates its code, Image.Commit and Image.InstallText put data
// and code there. Verify checks
// the code of a file without loading it.
//
// ReadClassic and MapClassic do the same for static programs of Native Client
// (classic.go): their headers are checked as sel_ldr did, with its numbers.
//
// # Invariant
//
// Executable pages of a cage hold whole pages of bytes that the validator
// accepted at the very offset where they stand, and that nobody can write
// afterwards. There is one door, checkText: it fills the last page with hlt,
// adjusts the thread pointer's displacement in its private copy, validates the
// result, and only then makes a cage.Text of it. (mapClassicText is the same for
// the classic ABI.)
//
// # Cost of a hostile file
//
// Memory: at most MaxImageBytes for the contents and a small multiple of the
// dynamic tables for the parsed form. Time: linear in the bytes read; hash
// chains longer than MaxHashChain, more than MaxVersions versions and relative
// relocations (RELR) that do not ascend are refused, so that later look-ups are
// bounded too. Section headers are read by Verify alone.
//
// # Lock order
//
// The text cache has a mutex that is held for map operations only, never while
// a cage or the validator is called. A File is read-only after ReadELF and may
// be used by any number of goroutines. An Image belongs to one goroutine at a
// time.
//
// # Not promised
//
// Shared objects of the classic ABI and files of x86-32 are recognised and
// refused; lazy reading of large files; anything about debug sections.
package loader
