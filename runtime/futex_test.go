package runtime

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const allBits = ^uint32(0)

// waiters makes threads that never run guest code, to wait with.
func waiters(t testing.TB, d *Domain, n int) []*Thread {
	t.Helper()
	list := make([]*Thread, n)
	for i := range list {
		list[i] = thread(t, d, "spin")
		t.Cleanup(list[i].Drop)
	}
	return list
}

// queued counts the waiters of an address.
func queued(d *Domain, addr uint32) int {
	b := d.futexes.bucket(addr)
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for w := b.first; w != nil; w = w.next {
		if w.addr == addr {
			n++
		}
	}
	return n
}

func TestFutexValueDiffers(t *testing.T) {
	d := newGuest(t, nil)
	th := waiters(t, d, 1)[0]
	if err := th.FutexWait(guestData, 1, allBits, time.Time{}); err != ErrFutexValue {
		t.Error(err)
	}
	if err := th.FutexWait(0, 0, allBits, time.Time{}); err == nil || err == ErrFutexValue {
		t.Error("a wait at an address that is not mapped:", err)
	}
}

func TestFutexTimeout(t *testing.T) {
	d := newGuest(t, nil)
	th := waiters(t, d, 1)[0]
	start := time.Now()
	if err := th.FutexWait(guestData, 0, allBits, start.Add(20*time.Millisecond)); err != ErrFutexTimeout {
		t.Error(err)
	}
	if time.Since(start) < 20*time.Millisecond {
		t.Error("too early")
	}
	if err := th.FutexWait(guestData, 0, allBits, start); err != ErrFutexTimeout {
		t.Error(err)
	}
	if queued(d, guestData) != 0 {
		t.Error("a waiter is left in the queue")
	}
}

func TestFutexWakeCountsAndBits(t *testing.T) {
	d := newGuest(t, nil)
	list := waiters(t, d, 6)
	var done sync.WaitGroup
	var woken atomic.Int32
	for i, th := range list {
		done.Go(func() {
			if err := th.FutexWait(guestData, 0, 1<<(i%2), time.Time{}); err != nil {
				t.Error(err)
			}
			woken.Add(1)
		})
	}
	eventually(t, "six wait", func() bool { return queued(d, guestData) == 6 })
	if n := d.FutexWake(guestData, 10, 4); n != 0 {
		t.Errorf("%d woken with other bits", n)
	}
	if n := d.FutexWake(guestData+4, 10, allBits); n != 0 {
		t.Errorf("%d woken at another address", n)
	}
	if n := d.FutexWake(guestData, 2, 1); n != 2 {
		t.Errorf("%d woken of two", n)
	}
	if n := d.FutexWake(guestData, 10, 3); n != 4 {
		t.Errorf("%d woken of the last four", n)
	}
	done.Wait()
}

func TestFutexRequeue(t *testing.T) {
	d := newGuest(t, nil)
	list := waiters(t, d, 5)
	// Two addresses of one bucket, and one of another.
	same, other := uint32(0), uint32(0)
	for a := uint32(guestData + 4); same == 0 || other == 0; a += 4 {
		if d.futexes.bucket(a) == d.futexes.bucket(guestData) {
			same = a
		} else {
			other = a
		}
	}
	for _, target := range []uint32{same, other} {
		var done sync.WaitGroup
		for _, th := range list {
			done.Go(func() {
				if err := th.FutexWait(guestData, 0, allBits, time.Time{}); err != nil {
					t.Error(err)
				}
			})
		}
		eventually(t, "five wait", func() bool { return queued(d, guestData) == 5 })
		wrong := uint32(1)
		if _, _, err := d.FutexRequeue(guestData, 1, target, 9, &wrong); err != ErrFutexValue {
			t.Error(err)
		}
		if woken, moved, err := d.FutexRequeue(guestData, 1, target, 3, nil); woken != 1 || moved != 3 || err != nil {
			t.Errorf("woken %d, moved %d, %v", woken, moved, err)
		}
		if a, b := queued(d, guestData), queued(d, target); a != 1 || b != 3 {
			t.Errorf("%d stayed, %d moved", a, b)
		}
		if n := d.FutexWake(target, 9, allBits) + d.FutexWake(guestData, 9, allBits); n != 4 {
			t.Errorf("%d woken in the end", n)
		}
		done.Wait()
	}
}

// TestFutexInterrupt: an interruption takes the waiter out of whatever queue it
// is in by then.
func TestFutexInterrupt(t *testing.T) {
	d := newGuest(t, nil)
	th := waiters(t, d, 1)[0]
	for range 200 {
		th.attention.Store(false)
		done := make(chan error)
		go func() { done <- th.FutexWait(guestData, 0, allBits, time.Time{}) }()
		eventually(t, "it waits", func() bool { return queued(d, guestData) == 1 })
		var requeue sync.WaitGroup
		requeue.Go(func() { _, _, _ = d.FutexRequeue(guestData, 0, guestData+64, 1, nil) })
		th.Kick()
		if err := <-done; err != ErrFutexInterrupted {
			t.Fatal(err)
		}
		requeue.Wait()
		if queued(d, guestData)+queued(d, guestData+64) != 0 {
			t.Fatal("it is still queued")
		}
		for len(th.park.token) > 0 {
			<-th.park.token
		}
	}
}

// TestFutexMutex builds the usual three-state mutex from the operations and lets
// threads fight for it, with time-outs and stray wake-ups between: a lost wake-up
// would stop them all.
func TestFutexMutex(t *testing.T) {
	d := newGuest(t, nil)
	const word, rounds = guestData, 3000
	mem := d.Memory()
	lock := func(th *Thread, rnd *rand.Rand) {
		for {
			if ok, _ := mem.CompareAndSwap32(word, 0, 1); ok {
				return
			}
			for {
				v, _ := mem.Load32(word)
				if v == 2 {
					break
				}
				if v == 0 {
					if ok, _ := mem.CompareAndSwap32(word, 0, 2); ok {
						return
					}
					continue
				}
				if ok, _ := mem.CompareAndSwap32(word, 1, 2); ok {
					break
				}
			}
			var deadline time.Time
			if rnd.IntN(4) == 0 {
				deadline = time.Now().Add(time.Duration(rnd.IntN(50)) * time.Microsecond)
			}
			_ = th.FutexWait(word, 2, allBits, deadline)
			if ok, _ := mem.CompareAndSwap32(word, 0, 2); ok {
				return
			}
		}
	}
	unlock := func() {
		for {
			v, _ := mem.Load32(word)
			if ok, _ := mem.CompareAndSwap32(word, v, 0); ok {
				if v == 2 {
					d.FutexWake(word, 1, allBits)
				}
				return
			}
		}
	}
	// Read and written in two steps: the race detector does not see the mutex.
	var counter atomic.Int64
	var done sync.WaitGroup
	list := waiters(t, d, 8)
	for i, th := range list {
		done.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(i)))
			for range rounds {
				lock(th, rnd)
				counter.Store(counter.Load() + 1)
				unlock()
				if rnd.IntN(8) == 0 {
					list[rnd.IntN(len(list))].Unpark()
				}
			}
		})
	}
	finished := make(chan struct{})
	go func() { done.Wait(); close(finished) }()
	select {
	case <-finished:
	case <-time.After(60 * time.Second):
		t.Fatal("they sleep")
	}
	if n := counter.Load(); n != int64(len(list)*rounds) {
		t.Errorf("%d, want %d", n, len(list)*rounds)
	}
}

// TestFutexModel compares random operations with a list: who sleeps where, and
// who is woken.
func TestFutexModel(t *testing.T) {
	d := newGuest(t, nil)
	const n = 12
	list := waiters(t, d, n)
	rnd := rand.New(rand.NewPCG(7, 7))
	addrs := []uint32{guestData, guestData + 4, guestData + 64, guestData + 4096}
	type sleeper struct {
		who  int
		addr uint32
		bits uint32
	}
	var model []sleeper
	asleep := map[int]chan error{}
	for step := range 2000 {
		a := addrs[rnd.IntN(len(addrs))]
		switch op := rnd.IntN(4); {
		case op <= 1:
			who := rnd.IntN(n)
			if asleep[who] != nil {
				continue
			}
			bits := uint32(1) << rnd.IntN(3)
			ch := make(chan error, 1)
			before := queued(d, a)
			go func() { ch <- list[who].FutexWait(a, 0, bits, time.Time{}) }()
			eventually(t, "sleeps", func() bool { return queued(d, a) == before+1 })
			asleep[who] = ch
			model = append(model, sleeper{who, a, bits})
		case op == 2:
			limit, bits := rnd.IntN(4), uint32(1+rnd.IntN(7))
			got := d.FutexWake(a, limit, bits)
			want := 0
			kept := model[:0]
			for _, s := range model {
				if s.addr != a || s.bits&bits == 0 || want == limit {
					kept = append(kept, s)
					continue
				}
				want++
				if err := <-asleep[s.who]; err != nil {
					t.Fatalf("step %d: %v", step, err)
				}
				delete(asleep, s.who)
			}
			model = kept
			if got != want {
				t.Fatalf("step %d: woke %d, the model %d", step, got, want)
			}
		default:
			to := addrs[rnd.IntN(len(addrs))]
			move := rnd.IntN(4)
			if to == a {
				continue
			}
			_, got, err := d.FutexRequeue(a, 0, to, move, nil)
			want := 0
			var kept, moved []sleeper
			for _, s := range model {
				if s.addr == a && want < move {
					want++
					s.addr = to
					moved = append(moved, s)
					continue
				}
				kept = append(kept, s)
			}
			model = append(kept, moved...)
			if got != want || err != nil {
				t.Fatalf("step %d: moved %d, the model %d, %v", step, got, want, err)
			}
		}
	}
	for _, a := range addrs {
		d.FutexWake(a, n, allBits)
	}
	for _, ch := range asleep {
		<-ch
	}
}
