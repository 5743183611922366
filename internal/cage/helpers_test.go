package cage

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"
)

// testTrampolines stands in for the engine's.
var testTrampolines = sync.OnceValues(func() (*Text, error) {
	return NewText("trampolines", make([]byte, TrampolineEnd-TrampolineStart), TrampolineStart)
})

func newCage(tb testing.TB, conf Config) *Cage {
	tb.Helper()
	t, err := testTrampolines()
	if err != nil {
		tb.Fatal(err)
	}
	conf.Trampolines = t
	c, err := New(conf)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Close(); err != nil && !errors.Is(err, ErrClosed) {
			tb.Error(err)
		}
	})
	return c
}

func newText(tb testing.TB, at uint32, pages int, fill byte) *Text {
	tb.Helper()
	code := make([]byte, pages*PageSize-100)
	for i := range code {
		code[i] = fill
	}
	t, err := NewText("test", code, at)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(t.Release)
	return t
}

// byteAt is a byte of a page that the test has mapped.
func (c *Cage) byteAt(off uint32) *byte {
	addr := c.base + uintptr(off)
	return *(**byte)(unsafe.Pointer(&addr))
}

// vma is a line of /proc/self/maps.
type vma struct {
	start, end uint64
	perms      string
}

func readMaps(tb testing.TB) []vma {
	tb.Helper()
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	var out []vma
	for s := bufio.NewScanner(f); s.Scan(); {
		var v vma
		if _, err := fmt.Sscanf(s.Text(), "%x-%x %s", &v.start, &v.end, &v.perms); err != nil {
			tb.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

// check compares the cage's map with the kernel's, and both with the
// invariants.
func (c *Cage) check(tb testing.TB) {
	tb.Helper()
	base := uint64(c.base)
	at := base
	for _, v := range readMaps(tb) {
		if v.end <= base || v.start >= base+Size {
			continue
		}
		if v.start > at {
			tb.Fatalf("C-RESERVED: hole at 0x%x, 0x%x bytes", at-base, v.start-at)
		}
		if v.start < base || v.end > base+Size {
			// A neighbour's pages without access may have been joined.
			if v.perms[:3] != "---" {
				tb.Fatalf("mapping %x-%x reaches out of the cage at %x", v.start, v.end, base)
			}
		}
		at = v.end
		if v.perms[1] == 'w' && v.perms[2] == 'x' {
			tb.Fatalf("C-WX: %x-%x is %s", v.start, v.end, v.perms)
		}
		start, end := max(v.start, base)-base, min(v.end, base+Size)-base
		for off := start; off < end; {
			next, perms := end, "---"
			i := c.maps.search(off)
			if i < len(c.maps) {
				if e := &c.maps[i]; e.start <= off {
					next, perms = min(next, e.end), e.prot.String()
				} else {
					next = min(next, e.start)
				}
			}
			if v.perms[:3] != perms {
				tb.Fatalf("0x%x-0x%x is %s, the map says %s", off, next, v.perms, perms)
			}
			off = next
		}
	}
	if at < base+Size {
		tb.Fatalf("C-RESERVED: hole at the end, from 0x%x", at-base)
	}
	var memory uint64
	for i, e := range c.maps {
		if e.start >= e.end || i > 0 && c.maps[i-1].end > e.start {
			tb.Fatalf("map out of order at 0x%x", e.start)
		}
		if i > 0 && c.maps[i-1].joins(&e) {
			tb.Fatalf("entries at 0x%x should be one", e.start)
		}
		if e.charged {
			memory += e.len()
		}
		if e.start < TrampolineStart || e.end > Size-TopGuard {
			tb.Fatalf("C-EDGE: 0x%x-0x%x", e.start, e.end)
		}
		if e.prot&ProtExec != 0 != (e.kind == KindText || e.kind == KindTrampolines || e.kind == KindDynamic && e.charged) {
			tb.Fatalf("C-WX: 0x%x is %v, %v", e.start, e.kind, e.prot)
		}
	}
	if memory != c.memory {
		tb.Fatalf("memory in use is %d, the map says %d", c.memory, memory)
	}
	if want := int64(baseVMAs + 2*(len(c.maps)-1) + len(c.dynamic)); c.vmas != want {
		tb.Fatalf("budget of %d mappings, want %d", c.vmas, want)
	}
}

func wantErr(tb testing.TB, err, want error) {
	tb.Helper()
	if !errors.Is(err, want) {
		tb.Errorf("error %v, want %v", err, want)
	}
}

func tempFile(tb testing.TB, contents string) *os.File {
	tb.Helper()
	f, err := os.CreateTemp(tb.TempDir(), "")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { f.Close() })
	if _, err := f.WriteString(contents); err != nil {
		tb.Fatal(err)
	}
	return f
}

func page(b string) string { return strings.Repeat(b, PageSize/len(b)) }

func isErrno(err error, n syscall.Errno) bool { return Errno(err) == n }
