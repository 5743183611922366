package cage

import (
	"math/rand/v2"
	"syscall"

	"golang.org/x/sys/unix"
)

// The kernel calls, on absolute addresses. Raw numbers instead of unsafe
// pointers: none of these addresses is Go memory.

const anonymous = syscall.MAP_PRIVATE | syscall.MAP_ANON | syscall.MAP_NORESERVE

func mmap(addr uintptr, n uint64, prot uintptr, flags int, fd int, off int64) (uintptr, error) {
	r, _, e := syscall.Syscall6(syscall.SYS_MMAP, addr, uintptr(n), prot, uintptr(flags), uintptr(fd), uintptr(off))
	if e != 0 {
		return 0, e
	}
	return r, nil
}

func munmap(addr uintptr, n uint64) error {
	if _, _, e := syscall.Syscall(syscall.SYS_MUNMAP, addr, uintptr(n), 0); e != 0 {
		return e
	}
	return nil
}

func mprotect(addr uintptr, n uint64, prot uintptr) error {
	if _, _, e := syscall.Syscall(syscall.SYS_MPROTECT, addr, uintptr(n), prot); e != 0 {
		return e
	}
	return nil
}

func madvise(addr uintptr, n uint64, advice int) error {
	if _, _, e := syscall.Syscall(syscall.SYS_MADVISE, addr, uintptr(n), uintptr(advice)); e != 0 {
		return e
	}
	return nil
}

func mremap(addr uintptr, oldn, newn uint64, flags int, to uintptr) (uintptr, error) {
	r, _, e := syscall.Syscall6(syscall.SYS_MREMAP, addr, uintptr(oldn), uintptr(newn), uintptr(flags), to, 0)
	if e != 0 {
		return 0, e
	}
	return r, nil
}

// Where cages are put: clear of the Go heap's usual place, of the race
// detector's shadow, and of what the kernel hands out from the top.
const (
	placeLow   = 0x4000_0000_0000
	placeHigh  = 0x7000_0000_0000
	placeTries = 32
)

// reserve takes n bytes of address space without access, aligned to 4 GiB.
func reserve(n uint64) (uintptr, error) {
	for range placeTries {
		at := uintptr(placeLow + rand.Uint64N((placeHigh-placeLow-n)/Size)*Size)
		p, err := mmap(at, n, 0, anonymous|unix.MAP_FIXED_NOREPLACE, -1, 0)
		if err == nil && p == at {
			return p, nil
		}
		if err == nil { // a kernel before 4.17 takes the address for a hint
			munmap(p, n)
			break
		}
		if err != syscall.EEXIST {
			return 0, err
		}
	}
	return reserveTrimmed(n)
}

// reserveTrimmed is for when the usual place is nearly full, or not there: it
// takes 4 GiB more anywhere and keeps the aligned part.
func reserveTrimmed(n uint64) (uintptr, error) {
	p, err := mmap(0, n+Size, 0, anonymous, -1, 0)
	if err != nil {
		return 0, err
	}
	base := (p + Size - 1) &^ (Size - 1)
	if base > p {
		munmap(p, uint64(base-p))
	}
	if end, kept := p+uintptr(n)+Size, base+uintptr(n); end > kept {
		munmap(kept, uint64(end-kept))
	}
	return base, nil
}
