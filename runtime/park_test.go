package runtime

import (
	"context"
	"errors"
	"sync"
	"testing"
)

// TestParkIn: the context of a wait on the thread's own goroutine ends with a Kick, also
// with one that came before and was not attended to; not with one that was, nor with
// Unpark.
func TestParkIn(t *testing.T) {
	th := waiters(t, newGuest(t, nil), 1)[0]
	attended := func() { th.attention.Store(false) }
	for range 300 {
		entered, ended := make(chan context.Context), make(chan error, 1)
		go func() {
			ended <- th.ParkIn(func(ctx context.Context) error {
				entered <- ctx
				<-ctx.Done()
				return ctx.Err()
			})
		}()
		ctx := <-entered
		th.Unpark()
		th.interrupt() // the end of a Kick whose beginning was attended to
		if ctx.Err() != nil {
			t.Fatal("it ended and nobody kicked")
		}
		th.Kick()
		if err := <-ended; err != context.Canceled {
			t.Fatal(err)
		}
		if err := th.ParkIn(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }); err != context.Canceled {
			t.Fatal(err)
		}
		attended()
		// What f returns is returned, and the next context is as good as new.
		for range 2 {
			mine := errors.New("mine")
			if err := th.ParkIn(func(ctx context.Context) error { return errors.Join(mine, ctx.Err()) }); !errors.Is(err, mine) || errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
		}
	}
	// Kicks at any moment, one for each wait: each ends its wait.
	for range 2000 {
		var kick sync.WaitGroup
		kick.Go(th.Kick)
		if err := th.ParkIn(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }); err != context.Canceled {
			t.Fatal(err)
		}
		kick.Wait()
		attended()
	}
}
