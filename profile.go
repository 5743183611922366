package halite

import (
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/pprof/profile"

	"github.com/halite-run/halite/runtime"
)

// A Profile collects in which functions guests spend processor time, while the Go
// program's own CPU profile runs; there, the time of a guest is that of the Go function
// that called it.
//
//	guests := &halite.Profile{}
//	pprof.StartCPUProfile(ownFile)
//	lib, err := halite.Load(ctx, halite.Config{Profile: guests, …})
//	// … calls …
//	lib.Close()
//	pprof.StopCPUProfile()
//	err = guests.Write(file) // for go tool pprof
//
// The zero value is ready. One Profile can serve many domains. Domains of the classic
// ABI are not profiled. Methods are safe for use from several goroutines.
type Profile struct{ p runtime.Profile }

func (p *Profile) samples() *runtime.Profile {
	if p == nil {
		return nil
	}
	return &p.p
}

// samplePeriod is how often Go's CPU profile looks, unless runtime.SetCPUProfileRate
// says otherwise.
const samplePeriod = 10 * time.Millisecond

// Write writes what was collected in pprof's format: all of domains that are over, and of
// others what is older than about a second. Names are those of the files' symbol tables.
func (p *Profile) Write(w io.Writer) error {
	stacks, lost := p.p.Stacks()
	out := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}},
		PeriodType: &profile.ValueType{Type: "cpu", Unit: "nanoseconds"},
		Period:     int64(samplePeriod),
	}
	if lost > 0 {
		out.Comments = []string{"some samples were lost: threads came too seldom to be asked for theirs"}
	}
	b := builder{out, map[string]*profile.Mapping{}, map[string]*profile.Function{}, map[location]*profile.Location{}}
	// A map's order is not the same twice.
	slices.SortFunc(stacks, func(x, y runtime.ProfiledStack) int {
		return slices.CompareFunc(x.Frames, y.Frames, func(f, g runtime.Frame) int { return strings.Compare(f.String(), g.String()) })
	})
	for _, s := range stacks {
		sample := &profile.Sample{Value: []int64{s.Count, s.Count * int64(samplePeriod)}}
		for _, f := range s.Frames {
			sample.Location = append(sample.Location, b.location(f))
		}
		out.Sample = append(out.Sample, sample)
	}
	return out.Write(w)
}

// builder gives the parts of a profile their numbers.
type builder struct {
	out       *profile.Profile
	mappings  map[string]*profile.Mapping
	functions map[string]*profile.Function
	locations map[location]*profile.Location
}

type location struct {
	object   string
	function string
	pc       uint32
}

func (b *builder) location(f runtime.Frame) *profile.Location {
	key := location{f.Symbol.Object, f.Symbol.Function, f.PC}
	if l := b.locations[key]; l != nil {
		return l
	}
	l := &profile.Location{ID: uint64(len(b.out.Location) + 1), Address: uint64(f.PC)}
	b.locations[key] = l
	b.out.Location = append(b.out.Location, l)
	if f.Symbol.Object != "" {
		l.Mapping = b.mapping(f.Symbol.Object)
	}
	if f.Symbol.Function != "" {
		l.Line = []profile.Line{{Function: b.function(f.Symbol)}}
	}
	return l
}

func (b *builder) mapping(object string) *profile.Mapping {
	m := b.mappings[object]
	if m == nil {
		m = &profile.Mapping{ID: uint64(len(b.out.Mapping) + 1), File: object, HasFunctions: true}
		b.mappings[object] = m
		b.out.Mapping = append(b.out.Mapping, m)
	}
	return m
}

func (b *builder) function(s runtime.Symbol) *profile.Function {
	key := s.Object + "\x00" + s.Function
	f := b.functions[key]
	if f == nil {
		f = &profile.Function{ID: uint64(len(b.out.Function) + 1), Name: s.Function, SystemName: s.Function, Filename: s.Object}
		b.functions[key] = f
		b.out.Function = append(b.out.Function, f)
	}
	return f
}
