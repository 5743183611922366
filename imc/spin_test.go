package imc

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// answers is an attempt that succeeds when it is made the nth time.
type answers struct {
	n    int
	each func()
}

func (a *answers) try(*kfd) error {
	if a.each != nil {
		a.each()
	}
	if a.n--; a.n > 0 {
		return errAgain
	}
	return nil
}

const never = 1 << 30

// Trying again is given up where it is of no use, and comes back where it is.
func TestSpins(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("with one processor there is none")
	}
	if runtime.GOMAXPROCS(0) < 2 {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	}
	var s spins
	skipped := func() (n int) {
		t.Helper()
		for !s.begin() {
			if n++; n > 10*maxLeft {
				t.Fatal("it never comes back")
			}
		}
		return n
	}
	for _, want := range []int{0, 1, 3, 7, 15, 31, 63, 127, 255, 255} {
		if n := skipped(); n != want {
			t.Fatalf("left out %d times, want %d", n, want)
		}
		want := &answers{n: never}
		if err := s.try(nil, want); err != errAgain || never-want.n < 2 {
			t.Fatalf("%v after %d tries", err, never-want.n)
		}
	}
	skipped()
	must(t, s.try(nil, &answers{n: 1})) // it was there already, which says nothing
	if n := s.next.Load(); n != maxLeft {
		t.Errorf("left out %d times after the next failure, want %d", n, maxLeft)
	}
	for range 3 {
		if skipped() != 0 {
			t.Error("left out without a failure")
		}
		must(t, s.try(nil, &answers{n: 2}))
	}
	skipped()
	if err := s.try(nil, &answers{n: never}); err != errAgain {
		t.Error(err)
	}
	if n := skipped(); n != 1 {
		t.Errorf("left out %d times after the first failure, want once", n)
	}
	// Not more at once than there may be.
	most := int32(min(runtime.GOMAXPROCS(0), runtime.NumCPU()) / 2)
	var others [64]spins
	var began int32 = 1
	for i := range others {
		if others[i].begin() {
			began++
		}
	}
	if want := min(most, 1+int32(len(others))); began != want {
		t.Errorf("%d at once, want %d", began, want)
	}
	for range began {
		must(t, s.try(nil, &answers{n: 1}))
	}
	if n := spinning.Load(); n != 0 {
		t.Errorf("%d are left", n)
	}
}

// Only receivers that may wait do it.
func TestSpinsNot(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	k, far := newKfd(fds[0]), newKfd(fds[1])
	defer k.release()
	defer far.release()
	for _, out := range []bool{false, true} {
		a := &answers{n: never}
		if err := k.do(nil, nil, true, out, a); err != errAgain || a.n != never-1 {
			t.Errorf("%v after %d tries, want EAGAIN after one", err, never-a.n)
		}
	}
}
