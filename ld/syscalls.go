package ld

import (
	"errors"
	"syscall"

	"github.com/halite-run/halite/internal/safemem"
	"github.com/halite-run/halite/loader"
)

// Numbers of the private system calls that the guest's C library uses.
const (
	SysTLSModule = 0x4000 // (i, *{image, filesz, memsz, align, offset, id})
	SysNextInit  = 0x4001 // (handle) -> address or 0
	SysNextFini  = 0x4002 // (token) -> address or 0
	SysOpen      = 0x4003 // (path, flags, caller) -> handle, and forTLS if SysTLSAdded has something to tell
	SysSym       = 0x4004 // (handle, name, version, caller, *{addr, module, offset})
	SysClose     = 0x4005 // (handle) -> token or 0, and forTLS if SysTLSRemoved has
	SysUnload    = 0x4006 // (token)
	SysError     = 0x4007 // (buf, len) -> length of the message
	SysAddr      = 0x4008 // (addr, *Dl_info) -> 1 or 0
	SysPhdr      = 0x4009 // (i, *dl_phdr_info), with the module's offset in place of dlpi_tls_data
	SysInfo      = 0x400a // (handle, request, result) of dlinfo

	SysTLSStart   = 0x400b // (spare, align, *{modules, bytes, align})
	SysTLSAdded   = 0x400c // (*{image, filesz, memsz, align, offset, id}) -> 1, or 0
	SysTLSRemoved = 0x400d // (token, i) -> id or 0

	sysFirst = SysTLSModule
	sysLast  = SysTLSRemoved
)

// forTLS is added to a handle or a token, which have 32 bits.
const forTLS = 1 << 32

// IsSyscall tells whether a system call is the linker's.
func IsSyscall(nr uint64) bool { return nr >= sysFirst && nr <= sysLast }

// Limits of strings from the guest.
const (
	maxPath = 4096
	maxName = loader.MaxName
)

// Syscall serves one of the private system calls: the result, or -errno. The
// text of an error is kept for the thread until it asks for it (SysError).
func (l *Linker) Syscall(t Thread, nr uint64, a [6]uint64) int64 {
	v, err := l.serve(t, nr, a)
	if err == nil {
		return v
	}
	switch {
	case errors.Is(err, safemem.ErrFault):
		return -int64(syscall.EFAULT)
	case errors.Is(err, errNoMore):
		return -int64(syscall.ENOENT)
	case errors.Is(err, ErrInterrupted):
		return -int64(syscall.EINTR)
	}
	l.mu.Lock()
	l.errors[t.ID] = err.Error()
	l.mu.Unlock()
	l.traceError(err)
	return -int64(errno(err))
}

func (l *Linker) traceError(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trace("error: %v", err)
}

// errNoMore ends an enumeration; it leaves no message.
var errNoMore = errors.New("ld: no more")

// pointer takes a guest address from a register.
func pointer(v uint64) uint32 { return uint32(v) }

// word is a guest value that must fit 32 bits.
func handleOf(v uint64) uint32 {
	if v == ^uint64(0) {
		return HandleNext
	}
	return uint32(v)
}

// writeWords stores 64-bit words one behind the other.
func (l *Linker) writeWords(addr uint32, words ...uint64) error {
	var buf [64]byte
	b := buf[:0]
	for _, w := range words {
		b = le.AppendUint64(b, w)
	}
	return l.mem.Write(addr, b)
}

func (l *Linker) writeModule(addr uint32, m TLSModule) error {
	return l.writeWords(addr, uint64(m.Image), uint64(m.FileSize), uint64(m.MemSize), uint64(m.Align), uint64(m.Offset), uint64(m.ID))
}

func (l *Linker) serve(t Thread, nr uint64, a [6]uint64) (int64, error) {
	switch nr {
	case SysTLSModule:
		if a[0] > 1<<30 {
			return 0, errNoMore
		}
		m, ok := l.TLSModule(int(a[0]))
		if !ok {
			return 0, errNoMore
		}
		return 0, l.writeModule(pointer(a[1]), m)
	case SysTLSStart:
		modules, bytes, align, err := l.StartTLS(a[0], a[1])
		if err != nil {
			return 0, err
		}
		return 0, l.writeWords(pointer(a[2]), uint64(modules), uint64(bytes), uint64(align))
	case SysTLSAdded:
		m, ok := l.AddedTLS()
		if !ok {
			return 0, nil
		}
		return 1, l.writeModule(pointer(a[0]), m)
	case SysTLSRemoved:
		return int64(l.RemovedTLS(uint32(a[0]), a[1])), nil
	case SysNextInit:
		addr, err := l.NextInit(t, handleOf(a[0]))
		return int64(addr), err
	case SysNextFini:
		return int64(l.NextFini(uint32(a[0]))), nil
	case SysOpen:
		path := ""
		if pointer(a[0]) != 0 {
			var err error
			if path, err = l.mem.ReadString(pointer(a[0]), maxPath); err != nil {
				return 0, err
			}
		}
		h, err := l.Open(t, path, int(int32(a[1])), pointer(a[2]))
		if err == nil && l.hasAddedTLS() {
			return int64(h) | forTLS, nil
		}
		return int64(h), err
	case SysSym:
		var buf [maxRemembered]byte
		n, err := l.mem.ReadStringInto(pointer(a[1]), buf[:])
		if err == nil && pointer(a[2]) == 0 {
			if s, ok := l.foundBefore(handleOf(a[0]), buf[:n], pointer(a[3])); ok {
				return 0, l.writeWords(pointer(a[4]), uint64(s.Addr), uint64(s.TLSModule), uint64(s.TLSOffset))
			}
		}
		name, version := string(buf[:n]), ""
		if errors.Is(err, safemem.ErrTooLong) {
			name, err = l.mem.ReadString(pointer(a[1]), maxName)
		}
		if err != nil {
			return 0, err
		}
		if pointer(a[2]) != 0 {
			if version, err = l.mem.ReadString(pointer(a[2]), maxName); err != nil {
				return 0, err
			}
		}
		s, err := l.Sym(handleOf(a[0]), name, version, pointer(a[3]))
		if err != nil {
			return 0, err
		}
		return 0, l.writeWords(pointer(a[4]), uint64(s.Addr), uint64(s.TLSModule), uint64(s.TLSOffset))
	case SysClose:
		token, err := l.Close(handleOf(a[0]))
		if token != 0 && l.RemovedTLS(token, 0) != 0 {
			return int64(token) | forTLS, nil
		}
		return int64(token), err
	case SysUnload:
		return 0, l.Unload(uint32(a[0]))
	case SysError:
		return l.lastError(t, pointer(a[0]), a[1])
	case SysAddr:
		info, ok := l.AddrInfo(pointer(a[0]))
		if !ok {
			return 0, nil
		}
		return 1, l.writeWords(pointer(a[1]), uint64(info.NameAddr), uint64(info.Base), uint64(info.SymName), uint64(info.SymAddr))
	case SysPhdr:
		if a[0] > 1<<30 {
			return 0, errNoMore
		}
		o, adds, subs, ok := l.Object(int(a[0]))
		if !ok {
			return 0, errNoMore
		}
		return 0, l.writeWords(pointer(a[1]), uint64(o.Bias), uint64(o.NameAddr), uint64(o.Phdr), uint64(uint16(o.Phnum)),
			adds, subs, uint64(o.TLSModule), uint64(o.TLSOffset))
	case SysInfo:
		return l.dlinfo(handleOf(a[0]), int(int32(a[1])), pointer(a[2]))
	}
	return 0, syscall.ENOSYS
}

// lastError hands out and forgets a thread's message.
func (l *Linker) lastError(t Thread, buf uint32, size uint64) (int64, error) {
	l.mu.Lock()
	msg := l.errors[t.ID]
	delete(l.errors, t.ID)
	l.mu.Unlock()
	if msg == "" {
		return 0, nil
	}
	if size > 0 {
		n := min(uint64(len(msg)), size-1)
		if err := l.mem.Write(buf, append([]byte(msg[:n]), 0)); err != nil {
			return 0, err
		}
	}
	return int64(len(msg)), nil
}
