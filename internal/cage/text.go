package cage

import (
	"bytes"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// hlt fills what is left of a text's last page: running into it is a fault.
const hlt = 0xf4

// Text is code in a memfd that nobody can change any more. Several cages map
// the same Text; the pages exist once. The creator and every cage that maps
// it hold a reference each.
type Text struct {
	file *os.File
	size uint64 // bytes mapped, whole pages
	at   uint32 // the only offset it may stand at
	name string
	refs atomic.Int64
}

// NewText seals code that was found safe at sandbox offset at, a multiple of
// the page size. The rest of the last page becomes hlt instructions.
//
// This is the one door for code (C-WX). NewText takes its caller's word that
// the code was validated for exactly this offset; a test of the repository
// holds the list of callers.
func NewText(name string, code []byte, at uint32) (*Text, error) {
	if len(code) == 0 || at%PageSize != 0 || uint64(len(code)) > Size {
		return nil, ErrInvalid
	}
	f, err := newMemfd("halite-text", unix.MFD_EXEC)
	if err != nil {
		return nil, fmt.Errorf("cage: text of %s: %w", name, err)
	}
	t := &Text{file: f, at: at, name: name, size: roundUp(uint64(len(code)))}
	t.refs.Store(1)
	if err := t.fill(code); err != nil {
		f.Close()
		return nil, fmt.Errorf("cage: text of %s: %w", name, err)
	}
	return t, nil
}

func (t *Text) fill(code []byte) error {
	if _, err := t.file.Write(code); err != nil {
		return err
	}
	if pad := bytes.Repeat([]byte{hlt}, int(t.size-uint64(len(code)))); len(pad) > 0 {
		if _, err := t.file.Write(pad); err != nil {
			return err
		}
	}
	return seal(t.file)
}

// Len returns the bytes that the text takes up, a multiple of the page size.
func (t *Text) Len() uint64 { return t.size }

// Offset returns the sandbox offset that the text was made for.
func (t *Text) Offset() uint32 { return t.at }

// Name returns what NewText was told.
func (t *Text) Name() string { return t.name }

// Release gives up the creator's reference. Cages keep what they have mapped.
func (t *Text) Release() { t.release() }

// retain takes one more reference; false when the text is gone already.
func (t *Text) retain() bool {
	for {
		n := t.refs.Load()
		if n <= 0 {
			return false
		}
		if t.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (t *Text) release() {
	if t.refs.Add(-1) == 0 {
		t.file.Close()
	}
}

// same reports whether both hold the same bytes for the same offset. It reads
// them, if it must: both are sealed.
//
// Preconditions: the caller holds a reference to each.
func (t *Text) same(u *Text) bool {
	if t == u {
		return true
	}
	if t.at != u.at || t.size != u.size {
		return false
	}
	const piece = 64 << 10
	var a, b [piece]byte
	for at := uint64(0); at < t.size; at += piece {
		n := min(piece, t.size-at)
		if _, err := t.file.ReadAt(a[:n], int64(at)); err != nil {
			return false
		}
		if _, err := u.file.ReadAt(b[:n], int64(at)); err != nil || !bytes.Equal(a[:n], b[:n]) {
			return false
		}
	}
	return true
}

func (t *Text) fd() int { return int(t.file.Fd()) }

func roundUp(n uint64) uint64 { return (n + PageSize - 1) &^ (PageSize - 1) }

// kernel prot bits for p; exec is added by the text calls alone.
func (p Prot) bits() uintptr {
	var b uintptr
	if p&ProtRead != 0 {
		b |= syscall.PROT_READ
	}
	if p&ProtWrite != 0 {
		b |= syscall.PROT_WRITE
	}
	return b
}
