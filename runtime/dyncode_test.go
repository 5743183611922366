package runtime

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/dyncode"
	"github.com/halite-run/halite/internal/cage"
)

// dynamic puts code, padded to bundles, at the i-th bundle of the region.
func dynamic(t testing.TB, d *Domain, i uint32, code ...byte) (*dyncode.Region, uint32) {
	t.Helper()
	r, err := d.Dyncode()
	if err != nil {
		t.Fatal(err)
	}
	start, _ := r.Extent()
	at := start + 32*i
	for len(code)%32 != 0 {
		code = append(code, 0x90)
	}
	if err := r.Create(at, code); err != nil {
		t.Fatal(err)
	}
	return r, at
}

func imm(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }

func returns(v uint32) []byte { return append(append([]byte{0xb8}, imm(v)...), 0xc3) }

// TestDyncodeRuns: the host makes code and calls it; changed and replaced code
// does what it says.
func TestDyncodeRuns(t *testing.T) {
	d := newGuest(t, nil)
	h, err := d.NewHostThread(0)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	want := func(at, v uint32) {
		t.Helper()
		if got, err := h.Call(context.Background(), at); err != nil || uint32(got) != v {
			t.Errorf("%d, %v; want %d", got, err, v)
		}
	}
	r, at := dynamic(t, d, 0, returns(1234)...)
	want(at, 1234)
	if err := r.Modify(at+1, imm(5678)); err != nil {
		t.Fatal(err)
	}
	want(at, 5678)
	if err := d.DeleteCode(nil, at, 32); err != nil {
		t.Fatal(err)
	}
	dynamic(t, d, 0, append([]byte{0x90}, returns(9)...)...)
	want(at, 9)
	// A page of functions, back to back.
	for i := uint32(1); i < 0x10000/32; i++ {
		_, at := dynamic(t, d, i, returns(i)...)
		want(at, i)
	}
	if err := d.DeleteCode(nil, at, 32); err != nil {
		t.Fatal(err)
	}
	// Deleted code is a fault to call.
	var f *FaultError
	if _, err := h.Call(context.Background(), at); !errors.As(err, &f) || f.Signal != int(unix.SIGSEGV) {
		t.Errorf("calling deleted code: %v", err)
	}
}

// TestDyncodeCalls: the guest's calls, with what is wrong with their arguments in
// NaCl's order.
func TestDyncodeCalls(t *testing.T) {
	d := newGuest(t, nil)
	r, err := d.Dyncode()
	if err != nil {
		t.Fatal(err)
	}
	start, end := r.Extent()
	code := append(returns(7), bytes.Repeat([]byte{0x90}, 26)...)
	if err := d.Memory().Write(guestData, code); err != nil {
		t.Fatal(err)
	}
	th, err := d.newThread()
	if err != nil {
		t.Fatal(err)
	}
	defer th.release()
	call := func(slot, a, b, c uint32) int64 {
		regs := th.ctx.Regs()
		regs.RDI, regs.RSI, regs.RDX = uint64(a), uint64(b), uint64(c)
		return th.naclCall(slot)
	}
	const (
		fault  = -int64(unix.EFAULT)
		inval  = -int64(unix.EINVAL)
		create = naclDyncodeCreate
		modify = naclDyncodeModify
		delet  = naclDyncodeDelete
	)
	for _, c := range []struct {
		what          string
		slot, a, b, c uint32
		want          int64
	}{
		{"null source, no size", create, start, 0, 0, fault},
		{"source before alignment", create, start + 1, 0xffff0000, 32, fault},
		{"source over the end", create, start, 0xffffffe0, 64, fault},
		{"alignment before destination", create, 1, guestData, 32, inval},
		{"no destination", create, 0, guestData, 32, fault},
		{"static code", create, guestText, guestData, 32, fault},
		{"last bundle", create, end - 32, guestData, 32, fault},
		{"larger than the region", create, start, guestData, 0x8000000, fault},
		{"larger than the region, from nowhere", create, start, 0x40000000, 0x8000000, fault},
		{"larger than the sandbox", create, start, guestData, 0xffffffe0, fault},
		{"no size", create, start, guestData, 0, 0},
		{"create", create, start, guestData, 32, 0},
		{"again", create, start, guestData, 32, inval},
		{"modify nothing", modify, 0, 0, 0, 0},
		{"modify from nowhere", modify, start, 0, 32, fault},
		{"modify nothing that is there", modify, start + 32, guestData, 32, fault},
		{"modify", modify, start, guestData, 32, 0},
		{"modify too much", modify, start, guestData, 0x8000000, fault},
		{"delete nothing", delet, 0, 0, 0, 0},
		{"delete too much", delet, start, 64, 0, fault},
		{"delete", delet, start, 32, 0, 0},
		{"delete again", delet, start, 32, 0, fault},
		{"where it begins", naclSysconf, scDyncodeStart, guestData + 64, 0, 0},
		{"where it ends", naclSysconf, scDyncodeEnd, guestData + 72, 0, 0},
	} {
		if got := call(c.slot, c.a, c.b, c.c); got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
	if a, b := load(t, d, guestData+64), load(t, d, guestData+72); uint32(a) != start || uint32(b) != end {
		t.Errorf("sysconf says %#x..%#x, want %#x..%#x", a, b, start, end)
	}
}

// TestDyncodeManyLarge: a guest whose threads all ask for large pieces at once
// costs the host one copy at a time.
func TestDyncodeManyLarge(t *testing.T) {
	d := newGuest(t, nil)
	r, err := d.Dyncode()
	if err != nil {
		t.Fatal(err)
	}
	start, _ := r.Extent()
	const size = 8 << 20
	at, err := d.Cage().Map(0, size, cage.ProtRead|cage.ProtWrite, cage.Hint)
	if err != nil {
		t.Fatal(err)
	}
	done := r.Admit(size)
	var wg sync.WaitGroup
	var results atomic.Int64
	for range 16 {
		th, err := d.newThread()
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer th.release()
			results.Add(th.naclDyncode(naclDyncodeCreate, start, at, size))
		})
	}
	var before, m runtime.MemStats
	runtime.ReadMemStats(&before)
	time.Sleep(20 * time.Millisecond)
	runtime.ReadMemStats(&m)
	if n := m.TotalAlloc - before.TotalAlloc; n > size {
		t.Errorf("%d bytes allocated by those who wait", n)
	}
	d.Exit(0) // those who wait leave without a copy
	done()
	wg.Wait()
	if results.Load() != 0 {
		t.Errorf("results add up to %d", results.Load())
	}
}

// TestDyncodeReturnAddress: code that a thread will return into stays what it is,
// whether the thread is blocked in the host or waits where it can be asked.
//
// Attack: code that changes while it runs.
func TestDyncodeReturnAddress(t *testing.T) {
	for _, parked := range []bool{false, true} {
		entered, leave := make(chan struct{}), make(chan struct{})
		d := newGuest(t, &scripted{syscall: func(th *Thread, _ uint64, _ [6]uint64) int64 {
			select {
			case <-entered:
			default:
				close(entered)
			}
			if parked {
				for th.Park(time.Time{}) != Interrupted {
				}
				select {
				case <-leave:
					return 5
				default:
					return Restart
				}
			}
			<-leave
			return 5
		}})
		r, err := d.Dyncode()
		if err != nil {
			t.Fatal(err)
		}
		at, _ := r.Extent()
		// nop; call linux; add $1,%eax; ret: the return address is no bundle.
		code := append([]byte{0x90, 0xe8}, imm(0x18000-(at+6))...)
		dynamic(t, d, 0, append(code, 0x83, 0xc0, 0x01, 0xc3)...)
		h, err := d.NewHostThread(0)
		if err != nil {
			t.Fatal(err)
		}
		result := make(chan uint64, 1)
		go func() {
			v, err := h.Call(context.Background(), at)
			if err != nil {
				t.Error(err)
			}
			result <- v
		}()
		<-entered
		for range 3 {
			if err := d.DeleteCode(nil, at, 32); !errors.Is(err, unix.EAGAIN) {
				t.Errorf("parked %v: deleting code with a caller: %v", parked, err)
			}
		}
		if err := r.Create(at, bytes.Repeat([]byte{0x90}, 32)); !errors.Is(err, unix.EINVAL) {
			t.Errorf("parked %v: code was put where a thread returns to: %v", parked, err)
		}
		close(leave)
		h.Thread().Kick()
		if v := <-result; v != 6 {
			t.Errorf("parked %v: the caller came back with %d, want 6", parked, v)
		}
		if err := d.DeleteCode(nil, at, 32); err != nil {
			t.Errorf("parked %v: nobody is left: %v", parked, err)
		}
		h.Close()
	}
}

// TestDyncodePreempted: a thread that was stopped in the middle of a bundle and
// never calls anything holds its code, too.
func TestDyncodePreempted(t *testing.T) {
	d := newGuest(t, nil)
	_, at := dynamic(t, d, 0, 0x90, 0x90, 0x90, 0x90, 0xeb, 0xfe) // 1: jmp 1b at 4
	_, other := dynamic(t, d, 1, returns(1)...)
	th, err := d.NewThread(ThreadConfig{Entry: at, Stack: guestStack})
	if err != nil {
		t.Fatal(err)
	}
	th.Start()
	eventually(t, "the thread runs", func() bool { return !th.idle.Load() })
	if err := d.DeleteCode(nil, other, 32); err != nil {
		// It may be that the thread found no processor: then it is later.
		eventually(t, "code that nobody uses is deleted", func() bool { return d.DeleteCode(nil, other, 32) == nil })
	}
	for range 3 {
		if err := d.DeleteCode(nil, at, 32); !errors.Is(err, unix.EAGAIN) {
			t.Errorf("deleting code that a thread executes: %v", err)
		}
	}
	d.Exit(0)
	<-d.Gone()
	if err := d.DeleteCode(nil, at, 32); err != nil {
		t.Errorf("the thread is gone: %v", err)
	}
}

// TestDyncodeModifyConcurrent: threads that execute an instruction while it is
// changed see it as it was or as it will be, wherever it stands in a bundle.
//
// Attack: code that changes while it runs.
func TestDyncodeModifyConcurrent(t *testing.T) {
	const a, b = 0x11223344, 0x55667788
	for _, off := range []int{0, 3, 4, 5, 6, 7} { // the immediate is within 4 or 8 bytes, or across
		t.Run(fmt.Sprint(off), func(t *testing.T) {
			d := newGuest(t, nil)
			code := bytes.Repeat([]byte{0x90}, 32)
			code = code[:off]
			top := len(code)
			code = append(append(code, 0xb8), imm(a)...) // mov $a,%eax
			code = append(append(code, 0x3d), imm(a)...) // cmp $a,%eax
			code = append(code, 0x74, 7)                 // je 1f
			code = append(append(code, 0x3d), imm(b)...) // cmp $b,%eax
			code = append(code, 0x75, 4, 0xff, 0xcf)     // jne 2f; 1: dec %edi
			code = append(code, 0x75, byte(top-len(code)-2), 0xc3)
			if len(code) > 32 {
				// The comparisons go to another function then.
				t.Fatalf("%d bytes", len(code))
			}
			r, at := dynamic(t, d, 0, code...)
			var wg sync.WaitGroup
			var stop atomic.Bool
			for range 3 {
				h, err := d.NewHostThread(0)
				if err != nil {
					t.Fatal(err)
				}
				wg.Go(func() {
					defer h.Close()
					for !stop.Load() {
						if v, err := h.Call(context.Background(), at, 5000); err != nil || v != a && v != b {
							t.Errorf("%#x, %v", v, err)
							return
						}
					}
				})
			}
			for i := range 600 {
				v := uint32(a)
				if i&1 == 0 {
					v = b
				}
				if err := r.Modify(at+uint32(top)+1, imm(v)); err != nil {
					t.Error(err)
					break
				}
			}
			stop.Store(true)
			wg.Wait()
		})
	}
}

// TestDyncodeDeleteConcurrent: threads run through a call that is redirected from
// one version of a function to the next; the old one is deleted as soon as each
// thread has come round, and its place used for the one after.
//
// Attack: code that changes while it runs.
func TestDyncodeDeleteConcurrent(t *testing.T) {
	d := newGuest(t, nil)
	r, err := d.Dyncode()
	if err != nil {
		t.Fatal(err)
	}
	start, _ := r.Extent()
	version := func(n uint32) (at uint32) {
		at = start + 0x1000 + n%2*64
		code := append([]byte{0x90, 0xe8}, imm(26)...) // call the next bundle
		code = append(append(code, 0x05), imm(n)...)   // add $n,%eax
		code = append(code, 0xc3)
		code = append(code, bytes.Repeat([]byte{0x90}, 32-len(code))...)
		code = append(code, 0x31, 0xc0, 0xc3) // xor %eax,%eax; ret
		dynamic(t, d, (at-start)/32, code...)
		return at
	}
	distance := func(to uint32) []byte { return imm(to - (start + 8)) }
	current := version(1)
	loop := append([]byte{0x90, 0x90, 0x90, 0xe8}, distance(current)...)
	dynamic(t, d, 0, append(loop, 0xff, 0xcf, 0x75, 0xf7, 0xc3)...) // dec %edi; jnz; ret
	var (
		wg    sync.WaitGroup
		stop  atomic.Bool
		turns [3]atomic.Uint64
		last  atomic.Uint32
	)
	last.Store(1)
	defer wg.Wait()
	defer stop.Store(true)
	for i := range turns {
		h, err := d.NewHostThread(0)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer h.Close()
			for !stop.Load() {
				before := last.Load()
				v, err := h.Call(context.Background(), start, 100)
				if err != nil || uint32(v) < before-1 || uint32(v) > last.Load()+1 {
					t.Errorf("version %d, %v; it was %d", v, err, before)
					stop.Store(true)
				}
				if turns[i].Add(1)%16 == 0 {
					runtime.Gosched()
				}
			}
		})
	}
	for n := uint32(2); n < 200 && !stop.Load(); n++ {
		next := version(n)
		if err := r.Modify(start+4, distance(next)); err != nil {
			t.Fatal(err)
		}
		last.Store(n)
		for i := range turns {
			for from := turns[i].Load(); turns[i].Load() < from+2 && !stop.Load(); {
				time.Sleep(10 * time.Microsecond)
			}
		}
		eventually(t, "the old version is deleted", func() bool {
			err := d.DeleteCode(nil, current, 64)
			if err != nil && !errors.Is(err, unix.EAGAIN) {
				t.Fatal(err)
			}
			return err == nil
		})
		current = next
	}
}
