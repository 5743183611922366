package engine

import (
	"runtime"
	"sync"
	"testing"
)

// TestGSByKernel: where the kernel must be asked to set the gs base, guests of
// different sandboxes on one thread each reach their own memory; between them runs
// one of the classic ABI, which asks for none.
func TestGSByKernel(t *testing.T) {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			a, c := newGuest(t)
			b, d := newGuest(t)
			_, e := newClassicGuest(t)
			if machine.gs == gsInstruction {
				c.core.gs, d.core.gs = gsKernel, gsKernel
			}
			for i := range uint64(200) {
				call(t, c, "write", guestOut, i)
				callClassic(t, e, "nothing")
				call(t, d, "write", guestOut, i+1000)
				runtime.Gosched()
				if x, y := *a.word(guestOut), *b.word(guestOut); x != i || y != i+1000 {
					t.Errorf("turn %d: the sandboxes hold %d and %d", i, x, y)
					return
				}
			}
		})
	}
	wg.Wait()
}
