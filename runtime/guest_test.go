package runtime

import (
	"os"
	goruntime "runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/halite-run/halite/internal/assembled"
	"github.com/halite-run/halite/internal/cage"
)

//go:generate sh -c "cd testdata && ../../internal/assembled/assemble.sh guest classic"

// Where the guest code of the tests expects things.
const (
	guestText  = 0x20000
	guestData  = 0x100000
	guestStack = 0x200000
)

type program struct {
	text    *cage.Text
	symbols map[string]uint32
}

var guestProgram = sync.OnceValues(func() (*program, error) {
	code, symbols, err := assembled.Read("testdata/guest.hex")
	if err != nil {
		return nil, err
	}
	text, err := cage.NewText("guest.s", code, guestText)
	return &program{text, symbols}, err
})

func symbol(t testing.TB, name string) uint32 {
	t.Helper()
	p, err := guestProgram()
	if err != nil {
		t.Fatal(err)
	}
	at, ok := p.symbols[name]
	if !ok {
		t.Fatalf("guest.hex has no %s", name)
	}
	return at
}

// scripted is a Personality made of functions.
type scripted struct {
	NoPersonality
	syscall   func(t *Thread, nr uint64, a [6]uint64) int64
	attention func(t *Thread)
	fault     func(t *Thread, f *FaultError) bool
	returned  func(t *Thread, tag any)
}

func (s *scripted) Syscall(t *Thread, nr uint64, a [6]uint64) int64 {
	if s.syscall == nil {
		return -errNoSys
	}
	return s.syscall(t, nr, a)
}

func (s *scripted) Attention(t *Thread) {
	if s.attention != nil {
		s.attention(t)
	}
}

func (s *scripted) Fault(t *Thread, f *FaultError) bool {
	return s.fault != nil && s.fault(t, f)
}

func (s *scripted) HandlerReturn(t *Thread, tag any) {
	if s.returned != nil {
		s.returned(t, tag)
	}
}

// newGuest makes a domain with the test code, some memory and a stack.
func newGuest(t testing.TB, p Personality) *Domain {
	t.Helper()
	return newGuestWith(t, Config{Personality: p})
}

func newGuestWith(t testing.TB, c Config) *Domain {
	t.Helper()
	prog, err := guestProgram()
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDomain(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	if err := d.Cage().MapText(guestText, prog.text); err != nil {
		t.Fatal(err)
	}
	for _, at := range []uint32{guestData, guestStack - 0x10000} {
		if _, err := d.Cage().Map(at, 0x10000, cage.ProtRead|cage.ProtWrite, cage.Fixed); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// thread makes a thread that begins at a function of the test code.
func thread(t testing.TB, d *Domain, name string, args ...uint64) *Thread {
	t.Helper()
	th, err := d.NewThread(ThreadConfig{Entry: symbol(t, name), Stack: guestStack, Args: args})
	if err != nil {
		t.Fatal(err)
	}
	return th
}

func load(t testing.TB, d *Domain, addr uint32) uint64 {
	t.Helper()
	v, err := d.Memory().Load64(addr)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatalf("%s: not within ten seconds", what)
}

// settled runs f and checks that it leaves no goroutine, descriptor or mapping
// behind. What the first run sets up for the whole process does not count.
func settled(t *testing.T, f func()) {
	t.Helper()
	f()
	count := func() [3]int {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("no /proc/self/fd")
		}
		maps, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Skip("no /proc/self/maps")
		}
		return [3]int{goruntime.NumGoroutine(), len(fds), strings.Count(string(maps), "\n")}
	}
	before := count()
	for range 3 {
		f()
	}
	var after [3]int
	for range 200 {
		after = count()
		// The Go heap may have grown by a few mappings.
		if after[0] <= before[0] && after[1] <= before[1] && after[2] <= before[2]+10 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("goroutines, descriptors, mappings: %v before, %v after", before, after)
}
