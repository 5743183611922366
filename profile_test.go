package halite_test

import (
	"bytes"
	"io"
	"runtime/pprof"
	"strings"
	"testing"

	"github.com/google/pprof/profile"

	"github.com/halite-run/halite"
)

// TestProfile: the profile names the guest's functions and who called them.
func TestProfile(t *testing.T) {
	c := config(t, "liblibrary.so")
	p := &halite.Profile{}
	c.Profile = p
	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		t.Skip("a profile runs already: ", err)
	}
	defer pprof.StopCPUProfile()
	lib, err := halite.Load(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for range 30 { // a second of processor time at the most
		call(t, lib, "profiled", halite.Int(10_000_000))
	}
	tp, err := lib.Template()
	if err != nil {
		t.Fatal(err)
	}
	copied := newCopy(t, tp)
	call(t, copied, "profiled", halite.Int(30_000_000))
	copied.Close()
	tp.Close()
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	got, err := profile.Parse(&b)
	if err != nil {
		t.Fatal(err)
	}
	if err := got.CheckValid(); err != nil {
		t.Error(err)
	}
	in, called := int64(0), int64(0)
	for _, s := range got.Sample {
		if name(s, 0) == "burn" {
			in += s.Value[0]
			if name(s, 1) == "profiled" {
				called += s.Value[0]
			}
		}
	}
	if in == 0 || called < in*9/10 {
		t.Errorf("%d samples in burn, %d of them called by profiled:\n%v", in, called, got)
	}
}

func name(s *profile.Sample, i int) string {
	if i >= len(s.Location) || len(s.Location[i].Line) == 0 {
		return ""
	}
	l := s.Location[i]
	if l.Mapping == nil || !strings.Contains(l.Mapping.File, "liblibrary.so") {
		return ""
	}
	return l.Line[0].Function.Name
}
