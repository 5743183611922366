package cage

import (
	"os"
	"syscall"
)

const (
	Size            = 1 << 32
	PageSize        = 4096
	NullSize        = 0x10000
	TrampolineStart = 0x10000
	TrampolineEnd   = 0x20000
	TopGuard        = 0x10000
)

// Error is a failure with a sentinel and the errno a guest gets for it.
type Error struct {
	Text  string
	Errno syscall.Errno
}

func (e *Error) Error() string { return "cage: " + e.Text }
func (e *Error) Unwrap() error { return e.Errno }

var (
	ErrExec      = &Error{"executable memory comes from validated text only", syscall.EACCES}
	ErrText      = &Error{"range holds text or trampolines", syscall.EACCES}
	ErrInvalid   = &Error{"bad range", syscall.EINVAL}
	ErrNoSpace   = &Error{"no room in the sandbox", syscall.ENOMEM}
	ErrLimit     = &Error{"memory limit of the domain reached", syscall.ENOMEM}
	ErrExists    = &Error{"something is mapped there already", syscall.EEXIST}
	ErrNotMapped = &Error{"nothing is mapped there", syscall.ENOMEM}
	ErrClosed    = &Error{"closed", syscall.ENOMEM}
)

type Prot uint8

const (
	ProtNone  Prot = 0
	ProtRead  Prot = 1
	ProtWrite Prot = 2
	ProtExec  Prot = 4 // always refused: ErrExec
)

type MapMode uint8

const (
	Hint MapMode = iota
	Fixed
	FixedNoReplace
)

type Kind uint8

const (
	KindAnon Kind = iota
	KindFile
	KindShared
	KindReserved
	KindTrampolines
	KindText
	KindRetired
)

// Mapping is one entry of the cage's map.
type Mapping struct {
	Offset uint32
	Len    uint64
	Prot   Prot
	Kind   Kind
	Name   string
}

type Config struct {
	Trampolines *Text
	MaxMemory   uint64 // bytes of memory that is or was writable; 0 = 4 GiB
	MaxMappings int    // 0 = 8192
}

type Cage struct{ base uintptr }

func New(c Config) (*Cage, error)   { panic("skeleton") }
func (c *Cage) Base() uintptr       { return c.base }
func (c *Cage) Close() error        { panic("skeleton") }
func (c *Cage) Mappings() []Mapping { panic("skeleton") }
func (c *Cage) MemoryInUse() uint64 { panic("skeleton") }
func (c *Cage) Map(off uint32, n uint64, prot Prot, mode MapMode) (uint32, error) {
	panic("skeleton")
}
func (c *Cage) MapFile(off uint32, n uint64, prot Prot, mode MapMode, f *os.File, fileOff int64, shared bool) (uint32, error) {
	panic("skeleton")
}
func (c *Cage) Unmap(off uint32, n uint64) error              { panic("skeleton") }
func (c *Cage) Protect(off uint32, n uint64, prot Prot) error { panic("skeleton") }
func (c *Cage) Discard(off uint32, n uint64) error            { panic("skeleton") }
func (c *Cage) Remap(off uint32, oldn, newn uint64, mayMove bool) (uint32, error) {
	panic("skeleton")
}

// Reserve finds n bytes and reserves them (PROT_NONE) for a library image.
func (c *Cage) Reserve(n, align uint64) (uint32, error) { panic("skeleton") }

// ReserveAt reserves a fixed range that must be free.
func (c *Cage) ReserveAt(off uint32, n uint64) error { panic("skeleton") }
func (c *Cage) MapText(off uint32, t *Text) error    { panic("skeleton") }

// UnmapText takes text away; its range stays out of use until ReleaseText.
func (c *Cage) UnmapText(off uint32) error { panic("skeleton") }

// ReleaseText frees a range that UnmapText retired: the caller has proved
// that no control stack and no saved instruction pointer refers to it.
func (c *Cage) ReleaseText(off uint32) error { panic("skeleton") }

// Text is validated code in a sealed memfd. It is reference counted.
type Text struct{}

// NewText seals code that was validated for sandbox offset at.
func NewText(name string, code []byte, at uint32) (*Text, error) { panic("skeleton") }
func (t *Text) Len() int                                         { panic("skeleton") }
func (t *Text) Offset() uint32                                   { panic("skeleton") }

// Release gives up the creator's reference; cages hold their own.
func (t *Text) Release() { panic("skeleton") }
