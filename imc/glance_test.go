package imc

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A glance ends when something happens and when nobody wants it any more, and what
// ended one does not end the next.
func TestGlance(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 2 {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	}
	time.Sleep(time.Millisecond) // Go's own poller has its descriptors from the first timer on
	before := descriptorsOf(t)
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	k, far := newKfd(fds[0]), newKfd(fds[1])
	// What is done meanwhile may end the glance.
	glance := func(want bool, h *handle, done <-chan struct{}, stop *atomic.Bool, meanwhile func()) {
		t.Helper()
		for glances.Load() != 0 { // waits of earlier tests, for a moment yet
			runtime.Gosched()
		}
		got := make(chan bool, 1)
		go func() { got <- k.glance(false, h, done, stop) }()
		if meanwhile != nil {
			for began := time.Now(); len(got) == 0 && time.Since(began) < glanceTime/4; {
				runtime.Gosched()
			}
			meanwhile()
		}
		select {
		case g := <-got:
			if g != want {
				t.Errorf("%v, want %v", g, want)
			}
		case <-time.After(time.Minute):
			t.Fatal("it goes on")
		}
	}
	send := func() {
		if err := unix.Send(far.fd, []byte("x"), 0); err != nil {
			t.Error(err)
		}
	}
	receive := func() {
		if _, err := unix.Read(k.fd, make([]byte, 10)); err != nil {
			t.Error(err)
		}
	}
	for range 3 {
		glance(false, nil, nil, nil, nil) // its time is over
		send()
		glance(true, nil, nil, nil, nil)
		receive()
		go send()
		for !k.glance(false, nil, nil, nil) {
		}
		receive()
		var h handle
		glance(false, &h, nil, nil, func() { h.closed.Store(true) })
		send()
		glance(true, nil, nil, nil, nil)
		receive()
		ctx, cancel := context.WithCancel(t.Context())
		glance(false, nil, ctx.Done(), nil, cancel)
		send()
		glance(true, nil, nil, nil, nil)
		receive()
		var stop atomic.Bool
		glance(false, nil, nil, &stop, func() { stop.Store(true) })
		glance(false, nil, nil, &stop, nil)
		glance(false, &h, nil, nil, nil)
		glance(false, nil, ctx.Done(), nil, nil)
	}
	lookouts.mu.Lock()
	if n := len(lookouts.active); n != 0 {
		t.Errorf("%d glances are left", n)
	}
	lookouts.mu.Unlock()
	// As many as there are processors, and no more.
	most := runtime.GOMAXPROCS(0)
	done := make(chan struct{})
	results := make(chan bool, most)
	for range most {
		go func() { results <- k.glance(false, nil, done, nil) }()
	}
	for glances.Load() < int32(most) && len(results) == 0 {
		runtime.Gosched()
	}
	_ = k.glance(false, nil, nil, nil)
	close(done)
	for range most {
		<-results
	}
	// Without a descriptor there is none, and nobody waits.
	closed := func() {
		noLookouts()
		var old unix.Rlimit
		must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &old))
		must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: old.Max}))
		defer func() { must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &old)) }()
		if k.glance(false, nil, nil, nil) {
			t.Error("something happened")
		}
	}
	closed()
	// The far end's end is something that happens.
	far.release()
	glance(true, nil, nil, nil, nil)
	k.release()
	if after := descriptorsOf(t); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}
