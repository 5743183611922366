// Package safemem reads and writes the memory of a sandbox, which may vanish
// at any moment: another guest thread unmaps or protects it, or somebody
// truncates the file behind it.
//
// # How
//
// Every access is made by a few assembly functions. When one of them faults
// (SIGSEGV or SIGBUS), the engine's signal handler looks the program counter
// up in the list that Fixups returns and continues at a landing function with
// the same frame, which reports the fault. A fault costs a signal, about two
// microseconds; an access that does not fault costs no more than a call.
//
// # Invariants
//
//   - M-RANGE: no byte outside of the sandbox's 4 GiB is touched. A range that
//     ends beyond is ErrFault before anything is accessed. A single load or
//     store can't cross the end, because the last 64 KiB are never mapped.
//   - M-ONCE: what was checked is what is used: contents are copied out before
//     anybody looks at them, since the guest may change them at any time.
//
// # Not promised
//
// engine.Init must have run: it installs the signal handler, and without it a
// bad address ends the process. The sandbox must stay reserved (cage.Close
// not called) during an access. A copy that faults has perhaps copied a part.
// Only 32-bit loads, stores and CompareAndSwap32 on aligned addresses, and
// aligned ones of the other sizes, are atomic; copies are not.
package safemem

import (
	"bytes"
	"errors"
)

// ErrFault says that some of the bytes asked for are not there (or not with
// the access that was wanted). System calls answer it with EFAULT.
var ErrFault = errors.New("safemem: bad guest address")

// ErrTooLong says that a string has no NUL within the allowed length.
var ErrTooLong = errors.New("safemem: string too long")

// size of every sandbox.
const size = 1 << 32

// Memory is the memory of one sandbox seen from the host. It is a plain
// value. The zero Memory is the lowest 4 GiB of the process itself and must
// not be used.
type Memory struct {
	base uintptr
}

// New returns the memory of the sandbox at base, which is 4 GiB-aligned.
func New(base uintptr) Memory { return Memory{base} }

// Base returns the address of offset 0.
func (m Memory) Base() uintptr { return m.base }

// Read copies the bytes at off to p.
func (m Memory) Read(off uint32, p []byte) error {
	if uint64(off)+uint64(len(p)) > size {
		return ErrFault
	}
	if len(p) == 0 {
		return nil
	}
	if copyOut(p, m.base+uintptr(off)) != 0 {
		return ErrFault
	}
	return nil
}

// Write copies p to off.
func (m Memory) Write(off uint32, p []byte) error {
	if uint64(off)+uint64(len(p)) > size {
		return ErrFault
	}
	if len(p) == 0 {
		return nil
	}
	if copyIn(m.base+uintptr(off), p) != 0 {
		return ErrFault
	}
	return nil
}

// Zero writes n zero bytes at off.
func (m Memory) Zero(off uint32, n uint64) error {
	if n > size || uint64(off)+n > size {
		return ErrFault
	}
	if n == 0 {
		return nil
	}
	if zero(m.base+uintptr(off), 0, uintptr(n)) != 0 {
		return ErrFault
	}
	return nil
}

// ReadString returns the string at off without its NUL. A string with no NUL
// in the first max+1 bytes is ErrTooLong.
func (m Memory) ReadString(off uint32, max int) (string, error) {
	n, err := m.stringLen(off, max)
	if err != nil {
		return "", err
	}
	b := make([]byte, n)
	if n, err = m.readString(off, b); err != nil {
		return "", err
	}
	return string(b[:n]), nil
}

// ReadStringInto puts the string at off into buf, without its NUL, and returns its
// length. A string that is longer than buf is ErrTooLong.
func (m Memory) ReadStringInto(off uint32, buf []byte) (n int, err error) {
	if n, err = m.stringLen(off, len(buf)); err != nil {
		return 0, err
	}
	return m.readString(off, buf[:n])
}

func (m Memory) stringLen(off uint32, max int) (int, error) {
	if max < 0 {
		return 0, ErrTooLong
	}
	limit := min(uint64(max)+1, size-uint64(off))
	n, found := strlen(m.base+uintptr(off), uintptr(limit))
	switch {
	case found == strFault:
		return 0, ErrFault
	case found == strNone && limit > uint64(max):
		return 0, ErrTooLong
	case found == strNone:
		return 0, ErrFault // it runs over the end of the sandbox
	}
	return int(n), nil
}

// readString reads a string of len(b) bytes, which a guest thread may have shortened
// meanwhile.
func (m Memory) readString(off uint32, b []byte) (int, error) {
	if err := m.Read(off, b); err != nil {
		return 0, err
	}
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return i, nil
	}
	return len(b), nil
}

// Load8 returns the byte at off.
func (m Memory) Load8(off uint32) (uint8, error) {
	v, ok := load8(m.base + uintptr(off))
	if ok == 0 {
		return 0, ErrFault
	}
	return uint8(v), nil
}

// Load16 returns the 16-bit value at off.
func (m Memory) Load16(off uint32) (uint16, error) {
	v, ok := load16(m.base + uintptr(off))
	if ok == 0 {
		return 0, ErrFault
	}
	return uint16(v), nil
}

// Load32 returns the 32-bit value at off. It is atomic if off is aligned.
func (m Memory) Load32(off uint32) (uint32, error) {
	v, ok := load32(m.base + uintptr(off))
	if ok == 0 {
		return 0, ErrFault
	}
	return uint32(v), nil
}

// Load64 returns the 64-bit value at off.
func (m Memory) Load64(off uint32) (uint64, error) {
	v, ok := load64(m.base + uintptr(off))
	if ok == 0 {
		return 0, ErrFault
	}
	return v, nil
}

// Store8 writes the byte v at off.
func (m Memory) Store8(off uint32, v uint8) error {
	if store8(m.base+uintptr(off), uint64(v)) == 0 {
		return ErrFault
	}
	return nil
}

// Store16 writes v at off.
func (m Memory) Store16(off uint32, v uint16) error {
	if store16(m.base+uintptr(off), uint64(v)) == 0 {
		return ErrFault
	}
	return nil
}

// Store32 writes v at off. It is atomic if off is aligned. Whoever stores and
// then looks for sleepers must take a lock or use an atomic operation between
// the two, as on any memory.
func (m Memory) Store32(off uint32, v uint32) error {
	if store32(m.base+uintptr(off), uint64(v)) == 0 {
		return ErrFault
	}
	return nil
}

// Store64 writes v at off.
func (m Memory) Store64(off uint32, v uint64) error {
	if store64(m.base+uintptr(off), v) == 0 {
		return ErrFault
	}
	return nil
}

// CompareAndSwap32 replaces old by new at off if it is there, atomically, and
// reports whether it was. An address that is not aligned is ErrFault, because
// the CPU would lock the bus for it.
func (m Memory) CompareAndSwap32(off, old, new uint32) (bool, error) {
	if off%4 != 0 {
		return false, ErrFault
	}
	switch cas32(m.base+uintptr(off), old, new) {
	case 0:
		return false, ErrFault
	case 1:
		return false, nil
	}
	return true, nil
}
