package imc

import (
	"runtime"
	"sync/atomic"
	"time"
)

// spins decides whether receiving from a socket begins with trying again and again, for
// a moment. It is worth it while the other side answers at once: neither side sleeps
// then, and none has to be woken, which is most of what a round trip costs. Each time
// that it was for nothing, it is left out twice as often as before.
type spins struct {
	left atomic.Uint32 // how often it is left out from now on
	next atomic.Uint32 // how often after it was for nothing
}

const (
	// spinTime is longer than it takes to wake a process that answers then, so that two
	// who answer each other come to do it both.
	spinTime = 50 * time.Microsecond
	// maxLeft makes it cost less than a microsecond where it never helps.
	maxLeft = 255
)

// spinning is how many do it now: half of the processors at most, since others have
// something to do meanwhile. With one processor nobody does, since nobody could answer.
var spinning atomic.Int32

// begin tells whether to do it; then try must follow.
func (s *spins) begin() bool {
	if n := s.left.Load(); n > 0 {
		s.left.Store(n - 1)
		return false
	}
	if spinning.Add(1) <= int32(min(runtime.GOMAXPROCS(0), runtime.NumCPU())/2) {
		return true
	}
	spinning.Add(-1)
	return false
}

// try is EAGAIN when its time is over.
func (s *spins) try(k *kfd, a attempt) error {
	defer spinning.Add(-1)
	err := a.try(k)
	if err != errAgain {
		return err
	}
	for began := time.Now(); time.Since(began) < spinTime; {
		if err = a.try(k); err != errAgain {
			s.next.Store(0)
			return err
		}
	}
	n := min(2*s.next.Load()+1, maxLeft)
	s.next.Store(n)
	s.left.Store(n)
	return err
}
