package engine

import (
	"io"
	"runtime/pprof"
	"testing"
)

// TestSamples: where a guest computes, and who called it, is known after a profile.
func TestSamples(t *testing.T) {
	_, c := newGuest(t)
	_, other := newGuest(t)
	if err := c.Profile(); err != nil {
		t.Fatal(err)
	}
	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		t.Skip("a profile runs already: ", err)
	}
	defer pprof.StopCPUProfile()
	leaf, middle, outer := symbol("profiled2"), symbol("profiled1"), symbol("profiled")
	const enough = 10
	n, lost := 0, 0
	for range 10_000 { // a second or two: signals come every 10 ms of processor time
		if n >= enough {
			break
		}
		call(t, other, "profiled", 1_000_000) // is not profiled
		call(t, c, "profiled", 1_000_000)
		lost += c.EachSample(func(s []uint32) {
			n++
			within := func(i int, f uint32) bool { return i < len(s) && s[i] >= f && s[i] < f+32 }
			if !within(0, leaf) && !within(0, middle) && !within(0, outer) {
				t.Errorf("%#x: not in the function", s)
			}
			if within(0, leaf) && (!within(1, middle) || !within(2, outer) || len(s) != 3) {
				t.Errorf("%#x: callers are not %#x, %#x", s, middle, outer)
			}
		})
	}
	if n < enough || lost != 0 {
		t.Errorf("%d samples, %d lost", n, lost)
	}
	if other.EachSample(func([]uint32) { t.Error("a sample of a guest that is not profiled") }) != 0 {
		t.Error("lost")
	}
	// Signals that find a deep stack, and one that has room for no more.
	start(c, "recurse", 0)
	for x := c.Resume(); x.Reason != ExitFault; x = c.Resume() {
	}
	c.Leave()
	c.EachSample(func(s []uint32) {
		if len(s) > sampleWords {
			t.Errorf("%d frames", len(s))
		}
	})
	// More than there is room for.
	c.core.nsamples += 3 * sampleCount
	n = 0
	if lost := c.EachSample(func([]uint32) { n++ }); lost != 2*sampleCount || n != sampleCount {
		t.Errorf("%d lost, %d there", lost, n)
	}
	_, k := newClassicGuest(t)
	if k.Profile() == nil {
		t.Error("a guest of the classic ABI is profiled")
	}
}
