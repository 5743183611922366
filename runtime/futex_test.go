package runtime

import (
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/halite-run/halite/internal/cage"
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
	b, key := d.futex(addr, true)
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for w := b.first; w != nil; w = w.next {
		if w.key == key {
			n++
		}
	}
	return n
}

func TestFutexValueDiffers(t *testing.T) {
	d := newGuest(t, nil)
	th := waiters(t, d, 1)[0]
	if err := th.FutexWait(guestData, false, 1, allBits, time.Time{}); err != ErrFutexValue {
		t.Error(err)
	}
	if err := th.FutexWait(0, false, 0, allBits, time.Time{}); err == nil || err == ErrFutexValue {
		t.Error("a wait at an address that is not mapped:", err)
	}
}

func TestFutexTimeout(t *testing.T) {
	d := newGuest(t, nil)
	th := waiters(t, d, 1)[0]
	start := time.Now()
	if err := th.FutexWait(guestData, false, 0, allBits, start.Add(20*time.Millisecond)); err != ErrFutexTimeout {
		t.Error(err)
	}
	if time.Since(start) < 20*time.Millisecond {
		t.Error("too early")
	}
	if err := th.FutexWait(guestData, false, 0, allBits, start); err != ErrFutexTimeout {
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
			if err := th.FutexWait(guestData, false, 0, 1<<(i%2), time.Time{}); err != nil {
				t.Error(err)
			}
			woken.Add(1)
		})
	}
	eventually(t, "six wait", func() bool { return queued(d, guestData) == 6 })
	if n := d.FutexWake(guestData, false, 10, 4); n != 0 {
		t.Errorf("%d woken with other bits", n)
	}
	if n := d.FutexWake(guestData+4, false, 10, allBits); n != 0 {
		t.Errorf("%d woken at another address", n)
	}
	if n := d.FutexWake(guestData, false, 2, 1); n != 2 {
		t.Errorf("%d woken of two", n)
	}
	if n := d.FutexWake(guestData, false, 10, 3); n != 4 {
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
		if d.futexes.bucket(futexKey{at: uint64(a)}) == d.futexes.bucket(futexKey{at: guestData}) {
			same = a
		} else {
			other = a
		}
	}
	for _, target := range []uint32{same, other} {
		var done sync.WaitGroup
		for _, th := range list {
			done.Go(func() {
				if err := th.FutexWait(guestData, false, 0, allBits, time.Time{}); err != nil {
					t.Error(err)
				}
			})
		}
		eventually(t, "five wait", func() bool { return queued(d, guestData) == 5 })
		wrong := uint32(1)
		if _, _, err := d.FutexRequeue(guestData, false, 1, target, 9, &wrong); err != ErrFutexValue {
			t.Error(err)
		}
		if woken, moved, err := d.FutexRequeue(guestData, false, 1, target, 3, nil); woken != 1 || moved != 3 || err != nil {
			t.Errorf("woken %d, moved %d, %v", woken, moved, err)
		}
		if a, b := queued(d, guestData), queued(d, target); a != 1 || b != 3 {
			t.Errorf("%d stayed, %d moved", a, b)
		}
		if n := d.FutexWake(target, false, 9, allBits) + d.FutexWake(guestData, false, 9, allBits); n != 4 {
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
		go func() { done <- th.FutexWait(guestData, false, 0, allBits, time.Time{}) }()
		eventually(t, "it waits", func() bool { return queued(d, guestData) == 1 })
		var requeue sync.WaitGroup
		requeue.Go(func() { _, _, _ = d.FutexRequeue(guestData, false, 0, guestData+64, 1, nil) })
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
			_ = th.FutexWait(word, false, 2, allBits, deadline)
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
					d.FutexWake(word, false, 1, allBits)
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
			go func() { ch <- list[who].FutexWait(a, false, 0, bits, time.Time{}) }()
			eventually(t, "sleeps", func() bool { return queued(d, a) == before+1 })
			asleep[who] = ch
			model = append(model, sleeper{who, a, bits})
		case op == 2:
			limit, bits := rnd.IntN(4), uint32(1+rnd.IntN(7))
			got := d.FutexWake(a, false, limit, bits)
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
			_, got, err := d.FutexRequeue(a, false, 0, to, move, nil)
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
		d.FutexWake(a, false, n, allBits)
	}
	for _, ch := range asleep {
		<-ch
	}
}

// TestSharedFutexes: a futex in shared memory is one wherever that is mapped, for the
// domains that share a table, and for no others.
func TestSharedFutexes(t *testing.T) {
	const first, second, other = guestData + 0x10000, guestData + 0x30000, guestData + 0x50000
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(4 * cage.PageSize); err != nil {
		t.Fatal(err)
	}
	table := NewFutexes()
	var domains []*Domain
	for _, set := range []*Futexes{table, table, NewFutexes(), nil} {
		d := newGuestWith(t, Config{Futexes: set})
		for _, m := range []struct {
			at     uint32
			off    int64
			shared bool
		}{{first, 0, true}, {second, cage.PageSize, true}, {other, 0, false}} {
			if _, err := d.Cage().MapFile(m.at, 3*cage.PageSize, cage.ProtRead|cage.ProtWrite, cage.Fixed, f, m.off, m.shared); err != nil {
				t.Fatal(err)
			}
		}
		domains = append(domains, d)
	}
	a, b := domains[0], domains[1]
	th := waiters(t, a, 1)[0]
	// The second page of the file, twice in each.
	const word, same = first + cage.PageSize + 8, second + 8
	sleep := func(shared bool) chan error {
		done := make(chan error, 1)
		go func() { done <- th.FutexWait(word, shared, 0, allBits, time.Time{}) }()
		return done
	}
	for _, by := range []struct {
		d  *Domain
		at uint32
	}{{a, word}, {a, same}, {b, word}, {b, same}} {
		done := sleep(true)
		eventually(t, "it waits", func() bool { return queued(a, word) == 1 })
		if n := queued(b, same); n != 1 {
			t.Fatalf("%d wait there for another domain", n)
		}
		for i, d := range domains {
			for _, at := range []uint32{word, same, first + 8, second + 4, other + cage.PageSize + 8} {
				private := d.FutexWake(at, false, 9, allBits)
				var strange int
				if i > 1 || at != word && at != same {
					strange = d.FutexWake(at, true, 9, allBits)
				}
				if private+strange != 0 {
					t.Errorf("domain %d wakes somebody at 0x%x", i, at)
				}
			}
		}
		if n := by.d.FutexWake(by.at, true, 9, allBits); n != 1 {
			t.Errorf("%d woken", n)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	// From here it is moved to a word of the waiter's own, and back.
	done := sleep(true)
	eventually(t, "it waits", func() bool { return queued(a, word) == 1 })
	for _, move := range [][2]uint32{{same, guestData}, {guestData, word}} {
		if _, n, err := a.FutexRequeue(move[0], true, 0, move[1], 9, nil); n != 1 || err != nil {
			t.Errorf("%d moved, %v", n, err)
		}
	}
	if n := b.FutexWake(same, true, 9, allBits); n != 1 {
		t.Errorf("%d woken", n)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	// A private wait is nobody else's.
	done = sleep(false)
	key := futexKey{at: word}
	eventually(t, "it waits", func() bool {
		bucket := a.futexes.bucket(key)
		bucket.mu.Lock()
		defer bucket.mu.Unlock()
		return bucket.first != nil
	})
	if n := b.FutexWake(word, true, 9, allBits) + a.FutexWake(same, true, 9, allBits); n != 0 {
		t.Errorf("%d woken", n)
	}
	if n := a.FutexWake(word, false, 9, allBits); n != 1 {
		t.Errorf("%d woken", n)
	}
	<-done
	// The end of a domain takes its waiters out.
	done = sleep(true)
	eventually(t, "it waits", func() bool { return queued(b, word) == 1 })
	a.End(Ending{Signal: sigKill})
	if err := <-done; err != ErrFutexInterrupted {
		t.Error(err)
	}
	if n := queued(b, word); n != 0 {
		t.Errorf("%d of a domain that has ended wait", n)
	}
}
