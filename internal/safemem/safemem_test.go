package safemem_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/internal/engine"
	"github.com/halite-run/halite/internal/safemem"
)

const (
	at = 0x40000000 // two pages, then nothing
	rw = cage.ProtRead | cage.ProtWrite
)

func newMemory(tb testing.TB) (*cage.Cage, safemem.Memory) {
	tb.Helper()
	if err := engine.Init(); err != nil {
		tb.Fatal(err)
	}
	c, err := cage.New(cage.Config{Trampolines: engine.Trampolines()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	if _, err := c.Map(at, 2*cage.PageSize, rw, cage.Fixed); err != nil {
		tb.Fatal(err)
	}
	return c, safemem.New(c.Base())
}

func wantFault(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, safemem.ErrFault) {
		t.Errorf("%s: %v, want a fault", what, err)
	}
}

// TestSizes copies every length at every alignment, up to and over the edge of
// what is mapped.
func TestSizes(t *testing.T) {
	_, m := newMemory(t)
	sizes := []int{0, 255, 256, 257, 300, 319, 320, 321, 1000, 2047, 2048, 2049, 4096, 8192}
	for n := range 140 {
		sizes = append(sizes, n)
	}
	for _, n := range sizes {
		want := make([]byte, n)
		for i := range want {
			want[i] = byte(i*7 + n)
		}
		for _, shift := range []uint32{0, 1, 3, 7, 8, 15, 16, 31} {
			if n+int(shift)+16 > 8192 {
				continue
			}
			guard := bytes.Repeat([]byte{0xee}, n+16)
			if err := m.Write(at+shift, guard); err != nil {
				t.Fatal(err)
			}
			if err := m.Write(at+shift+8, want); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, n+16)
			if err := m.Read(at+shift, got); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got[8:8+n], want) || !bytes.Equal(got[:8], guard[:8]) || !bytes.Equal(got[8+n:], guard[:8]) {
				t.Fatalf("%d bytes at %d came back wrong", n, shift)
			}
			if err := m.Zero(at+shift+8, uint64(n)); err != nil {
				t.Fatal(err)
			}
			if err := m.Read(at+shift, got); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got[8:8+n], make([]byte, n)) || !bytes.Equal(got[:8], guard[:8]) || !bytes.Equal(got[8+n:], guard[:8]) {
				t.Fatalf("zeroing %d bytes at %d went wrong", n, shift)
			}
		}
		// The last byte is the first that is not mapped.
		if n == 0 {
			continue
		}
		over := uint32(at + 2*cage.PageSize - n + 1)
		wantFault(t, fmt.Sprintf("reading %d bytes over the edge", n), m.Read(over, make([]byte, n)))
		wantFault(t, fmt.Sprintf("writing %d bytes over the edge", n), m.Write(over, want))
		wantFault(t, fmt.Sprintf("zeroing %d bytes over the edge", n), m.Zero(over, uint64(n)))
		if err := m.Read(over-1, make([]byte, n)); err != nil {
			t.Errorf("%d bytes up to the edge: %v", n, err)
		}
	}
}

func TestValues(t *testing.T) {
	_, m := newMemory(t)
	const v = 0x8877665544332211
	if err := m.Store64(at, v); err != nil {
		t.Fatal(err)
	}
	a, err1 := m.Load8(at)
	b, err2 := m.Load16(at)
	c, err3 := m.Load32(at)
	d, err4 := m.Load64(at)
	if a != 0x11 || b != 0x2211 || c != 0x44332211 || d != v || errors.Join(err1, err2, err3, err4) != nil {
		t.Errorf("%#x %#x %#x %#x %v", a, b, c, d, errors.Join(err1, err2, err3, err4))
	}
	err1, err2, err3 = m.Store8(at, 0xff), m.Store16(at+2, 0xeeee), m.Store32(at+4, 0xdddddddd)
	if d, _ = m.Load64(at); d != 0xddddddddeeee22ff || errors.Join(err1, err2, err3) != nil {
		t.Errorf("%#x %v", d, errors.Join(err1, err2, err3))
	}
	if ok, err := m.CompareAndSwap32(at, 1, 2); ok || err != nil {
		t.Errorf("swapped what was not there: %v", err)
	}
	if ok, err := m.CompareAndSwap32(at, 0xeeee22ff, 2); !ok || err != nil {
		t.Errorf("did not swap: %v", err)
	}
	if d, _ = m.Load64(at); d != 0xdddddddd00000002 {
		t.Errorf("%#x", d)
	}
}

// TestFaults: everything, everywhere it can't be.
func TestFaults(t *testing.T) {
	c, m := newMemory(t)
	if _, err := c.Map(0x50000000, cage.PageSize, cage.ProtRead, cage.Fixed); err != nil {
		t.Fatal(err)
	}
	for _, off := range []uint32{0, 1, 0xffff, at - 1, at + 2*cage.PageSize, 0x80000000, 0xffff0000, 0xfffffff9, 0xffffffff} {
		_, e1 := m.Load8(off)
		_, e2 := m.Load16(off)
		_, e3 := m.Load32(off)
		_, e4 := m.Load64(off)
		if off == at-1 {
			e1 = safemem.ErrFault
		}
		for _, e := range []error{e1, e2, e3, e4} {
			wantFault(t, fmt.Sprintf("load at %#x", off), e)
		}
		_, err := m.ReadString(off, 100)
		wantFault(t, fmt.Sprintf("string at %#x", off), err)
		wantFault(t, fmt.Sprintf("read at %#x", off), m.Read(off, make([]byte, 40)))
	}
	for _, off := range []uint32{0, at - 1, at + 2*cage.PageSize, 0x50000000, cage.TrampolineStart, 0xffffffff} {
		if off != at-1 {
			wantFault(t, "store8", m.Store8(off, 1))
		}
		wantFault(t, "store16", m.Store16(off, 1))
		wantFault(t, "store32", m.Store32(off, 1))
		wantFault(t, "store64", m.Store64(off, 1))
		_, err := m.CompareAndSwap32(off, 0, 1)
		wantFault(t, "compare and swap", err)
		wantFault(t, "write", m.Write(off, make([]byte, 300)))
		wantFault(t, "zero", m.Zero(off, 300))
	}
	_, err := m.CompareAndSwap32(at+2, 0, 1)
	wantFault(t, "unaligned compare and swap", err)
	// M-RANGE: over the end of the sandbox, whatever lies behind.
	wantFault(t, "read", m.Read(0xffffffff, make([]byte, 2)))
	wantFault(t, "write", m.Write(0xffff0000, make([]byte, 0x10001)))
	wantFault(t, "zero", m.Zero(1, 1<<32))
	wantFault(t, "zero", m.Zero(0xffffffff, ^uint64(0)))
	if m.Read(0, nil) != nil || m.Write(0xffffffff, nil) != nil || m.Zero(0, 0) != nil {
		t.Error("nothing at all is a fault")
	}
	if v, err := m.Load32(cage.TrampolineStart); err != nil || v&0xffffff != 0xca8949 { // mov %rcx,%r10
		t.Errorf("reading text: %#x, %v", v, err)
	}
}

func TestString(t *testing.T) {
	_, m := newMemory(t)
	edge := uint32(at + 2*cage.PageSize)
	for n := range 70 {
		s := strings.Repeat("x", n)
		for shift := range uint32(20) {
			m.Write(at+shift, append([]byte(s), 0, 'y', 'y', 0))
			buf := make([]byte, n)
			if k, err := m.ReadStringInto(at+shift, buf); err != nil || string(buf[:k]) != s {
				t.Fatalf("%d bytes at %#x: %q, %v", n, at+shift, buf[:k], err)
			}
			if n > 0 {
				if _, err := m.ReadStringInto(at+shift, buf[:n-1]); !errors.Is(err, safemem.ErrTooLong) {
					t.Fatalf("%d bytes into %d: %v", n, n-1, err)
				}
			}
			if got, err := m.ReadString(at+shift, n); err != nil || got != s {
				t.Fatalf("string of %d at %d: %q, %v", n, shift, got, err)
			}
			if n > 0 {
				if _, err := m.ReadString(at+shift, n-1); !errors.Is(err, safemem.ErrTooLong) {
					t.Fatalf("string of %d at %d, limit %d: %v", n, shift, n-1, err)
				}
			}
		}
		// Up to the edge, with and without the NUL.
		m.Write(edge-uint32(n)-1, append([]byte(s), 0))
		if got, err := m.ReadString(edge-uint32(n)-1, 100); err != nil || got != s {
			t.Fatalf("string of %d at the edge: %q, %v", n, got, err)
		}
		m.Write(edge-uint32(n), []byte(s))
		if _, err := m.ReadStringInto(edge-uint32(n), make([]byte, 100)); !errors.Is(err, safemem.ErrFault) {
			t.Errorf("over the edge: %v", err)
		}
		_, err := m.ReadString(edge-uint32(n), 100)
		wantFault(t, fmt.Sprintf("string of %d over the edge", n), err)
	}
	if _, err := m.ReadString(at, -1); !errors.Is(err, safemem.ErrTooLong) {
		t.Error(err)
	}
	if _, err := m.ReadString(0x80000000, 1<<62); !errors.Is(err, safemem.ErrFault) {
		t.Error(err)
	}
}

// TestTruncated: a file behind a mapping may be cut off (SIGBUS).
func TestTruncated(t *testing.T) {
	c, m := newMemory(t)
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.Truncate(2 * cage.PageSize)
	if _, err := c.MapFile(0x60000000, 2*cage.PageSize, rw, cage.Fixed, f, 0, true); err != nil {
		t.Fatal(err)
	}
	if err := m.Store32(0x60001000, 5); err != nil {
		t.Fatal(err)
	}
	f.Truncate(cage.PageSize)
	_, err = m.Load32(0x60001000)
	wantFault(t, "load", err)
	wantFault(t, "store", m.Store32(0x60001000, 5))
	wantFault(t, "read", m.Read(0x60000800, make([]byte, 4096)))
	if _, err := m.Load32(0x60000ffc); err != nil {
		t.Error(err)
	}
}

// TestVanishing: memory that comes and goes under its readers and writers.
func TestVanishing(t *testing.T) {
	c, m := newMemory(t)
	d := 500 * time.Millisecond
	if testing.Short() {
		d = 100 * time.Millisecond
	}
	var stop atomic.Bool
	time.AfterFunc(d, func() { stop.Store(true) })
	var wg sync.WaitGroup
	var ok, faults atomic.Int64
	count := func(err error) {
		switch {
		case err == nil:
			ok.Add(1)
		case errors.Is(err, safemem.ErrFault):
			faults.Add(1)
		default:
			t.Error(err)
		}
	}
	for range 3 {
		wg.Go(func() {
			p := make([]byte, 6000)
			for !stop.Load() {
				count(m.Read(at+100, p))
				count(m.Write(at+100, p))
				_, err := m.Load32(at + 4)
				count(err)
				count(m.Store64(at+4090, 1))
				_, err = m.CompareAndSwap32(at, 0, 0)
				count(err)
				_, err = m.ReadString(at, 8000)
				if !errors.Is(err, safemem.ErrTooLong) {
					count(err)
				}
				count(m.Zero(at, 8192))
			}
		})
	}
	for i := 0; !stop.Load(); i++ {
		switch i % 3 {
		case 0:
			c.Unmap(at+cage.PageSize, cage.PageSize)
		case 1:
			c.Map(at, 2*cage.PageSize, rw, cage.Fixed)
		case 2:
			c.Protect(at, cage.PageSize, cage.ProtRead)
		}
		time.Sleep(20 * time.Microsecond)
	}
	wg.Wait()
	t.Logf("%d accesses, %d faults", ok.Load(), faults.Load())
	if ok.Load() == 0 || faults.Load() == 0 {
		t.Error("nothing was tested")
	}
}

// TestAtomic: compare-and-swap counts right.
func TestAtomic(t *testing.T) {
	_, m := newMemory(t)
	const each = 20000
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range each {
				for {
					v, _ := m.Load32(at)
					if ok, err := m.CompareAndSwap32(at, v, v+1); err != nil {
						t.Error(err)
						return
					} else if ok {
						break
					}
				}
			}
		})
	}
	wg.Wait()
	if v, _ := m.Load32(at); v != 4*each {
		t.Errorf("counted to %d, want %d", v, 4*each)
	}
}

// TestHostFault: a fault of the host itself is still Go's.
func TestHostFault(t *testing.T) {
	if err := engine.Init(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	var p *int
	*p = 1
}

func BenchmarkCopy(b *testing.B) {
	_, m := newMemory(b)
	for _, n := range []int{8, 64, 256, 1024, 4096} {
		p := make([]byte, n)
		b.Run(fmt.Sprintf("read%d", n), func(b *testing.B) {
			for b.Loop() {
				m.Read(at, p)
			}
		})
		q := make([]byte, n)
		b.Run(fmt.Sprintf("copy%d", n), func(b *testing.B) {
			for b.Loop() {
				copy(q, p)
			}
		})
	}
}

func BenchmarkLoad32(b *testing.B) {
	_, m := newMemory(b)
	for b.Loop() {
		m.Load32(at)
	}
}

func BenchmarkStore32(b *testing.B) {
	_, m := newMemory(b)
	for b.Loop() {
		m.Store32(at, 1)
	}
}

func BenchmarkString(b *testing.B) {
	_, m := newMemory(b)
	m.Write(at, []byte("/usr/lib/lua/5.4/lpeg.so"))
	for b.Loop() {
		m.ReadString(at, 4096)
	}
}

func BenchmarkFault(b *testing.B) {
	_, m := newMemory(b)
	for b.Loop() {
		m.Load32(0)
	}
}
