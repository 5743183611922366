package safemem

import (
	"errors"
	"fmt"
)

// ErrFault says that some of the bytes asked for are not there (or not with
// the access that was wanted). System calls answer it with EFAULT.
var ErrFault = errors.New("safemem: bad guest address")

// ErrTooLong says that a string has no NUL within the allowed length.
var ErrTooLong = fmt.Errorf("safemem: string without an end")

// Memory is one sandbox seen from the host. It is a plain value.
type Memory struct {
	base uintptr
}

// New returns the memory of the sandbox at base, which must be 4 GiB-aligned.
func New(base uintptr) Memory { return Memory{base} }

func (m Memory) Base() uintptr                                  { return m.base }
func (m Memory) Read(off uint32, p []byte) error                { panic("skeleton") }
func (m Memory) Write(off uint32, p []byte) error               { panic("skeleton") }
func (m Memory) ReadString(off uint32, max int) (string, error) { panic("skeleton") }
func (m Memory) Zero(off uint32, n uint64) error                { panic("skeleton") }
func (m Memory) Load8(off uint32) (uint8, error)                { panic("skeleton") }
func (m Memory) Load16(off uint32) (uint16, error)              { panic("skeleton") }
func (m Memory) Load32(off uint32) (uint32, error)              { panic("skeleton") }
func (m Memory) Load64(off uint32) (uint64, error)              { panic("skeleton") }
func (m Memory) Store8(off uint32, v uint8) error               { panic("skeleton") }
func (m Memory) Store16(off uint32, v uint16) error             { panic("skeleton") }
func (m Memory) Store32(off uint32, v uint32) error             { panic("skeleton") }
func (m Memory) Store64(off uint32, v uint64) error             { panic("skeleton") }
func (m Memory) CompareAndSwap32(off, old, new uint32) (bool, error) {
	panic("skeleton")
}
