package libcshim

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/internal/nexe"
)

const slotWait = 160 // return_and_wait

// startClassic runs a program until it waits.
func (s *script) startClassic() {
	s.t.Helper()
	s.cfg.Invocable = true
	s.load()
	if _, _, err := s.p.Start(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// header is that of a message of n bytes at buf.
func (s *script) header(buf, n uint64) uint64 {
	vector := s.u32(uint32(buf), uint32(n))
	return s.u32(uint32(vector), 1, 0, 0, 0)
}

// TestClassicTemplate: what a program had when it began to wait, each copy has: memory,
// break, code, hooks, the way to its file tree. What it does then, no other sees.
func TestClassicTemplate(t *testing.T) {
	s := newScript(t)
	const anon, fixed = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS, unix.MAP_FIXED
	const end, code = nexe.DataAddr + 0x20000, 0x30000
	const creat, rdwr = unix.O_CREAT, unix.O_RDWR
	zero, buf, name := s.word(0), s.space(64), s.str("/tmp/file")
	request := s.header(buf, 64)
	reply := s.header(buf, 5)
	one, two := s.bytes(returns(1)), s.bytes(returns(2))
	run := func(at uint64, want uint64) { s.add("run", at, 0, equals(want), nil) }
	poke := func(at, v uint64) {
		s.add("poke", s.fns["poke"], 0, func(uint64) bool { return true }, []uint64{at, v})
	}

	hooks := s.space(4)
	s.add("query", trampoline(irtQuerySlot), 0, equals(4), []uint64{s.str("nacl-irt-blockhook-0.1"), hooks, 4})
	s.irt("hooks", hooks, 0, 0, s.fns["prehook"], s.fns["posthook"])
	alloc, at := s.space(4), s.space(4)
	s.add("query", trampoline(irtQuerySlot), 0, equals(4), []uint64{s.str("nacl-irt-code-data-alloc-0.1"), alloc, 4})
	s.irt("alloc", alloc, 0, 0, 0, 0x10000, 0, 0, at)
	s.peek(at, code)
	s.call(20, end+0x123456, end+0x123456)
	poke(end+0x123450, 7)
	s.call(21, 0x20000000, 0x20000000, 64<<20, 3, anon|fixed, 0xffffffff, zero)
	s.any(21, 0, 0x10000, 3, anon, 0xffffffff, zero)
	s.call(104, 0, code, one, 32)
	s.call(104, 0, code+32, two, 32)
	s.call(10, 3, name, creat|rdwr, 0o666)
	s.call(11, 0, 3)
	s.call(slotWait, 5, 0, request)
	before := len(s.records)
	// In a copy, from here on.
	s.peek(end+0x123450, 7)
	s.irt("alloc", alloc, 0, 0, 0, 0x10000, 0, 0, at)
	s.peek(at, code+0x10000)
	s.call(20, end+0x123456, 0)
	s.call(20, end+0x223456, end+0x223456)
	s.peek(0x20000000+32<<20, 0)
	poke(0x20000000+32<<20, 9)
	poke(end+0x123450, 9)
	run(code, 1)
	run(code+32, 2)
	s.call(106, 0, code, 32)
	s.call(104, 0, code, two, 32)
	run(code, 2)
	s.call(105, 0, code+32, one, 32)
	run(code+32, 1)
	s.call(104, 0, code+0x50000, one, 32)
	run(code+0x50000, 1)
	s.fails(10, unix.ENOENT, name, rdwr, 0) // file systems in memory are empty
	s.call(10, 3, name, creat|rdwr, 0o666)
	s.call(13, 5, 3, buf, 5)
	s.irt("hooks are there", hooks, 0, int64(unix.EBUSY), s.fns["prehook"], s.fns["posthook"])
	s.call(slotWait, 5, reply, request)
	s.call(slotWait, 5, reply, request)
	s.startClassic()
	records := s.records
	s.records = s.records[:before]
	s.records[before-1].check = func(uint64) bool { return true } // it waits for that one
	s.results()

	template := s.p
	tp, err := template.Template()
	check(t, err)
	defer tp.Close()
	shared := make([]byte, 0x20000)
	check(t, template.mem.Read(nexe.DataAddr, shared))
	invoke := func(p *Process, msg string) {
		t.Helper()
		answer, _, err := p.Invoke(t.Context(), []byte(msg))
		if err != nil || string(answer) != msg {
			t.Errorf("it answered %q, %v", answer, err)
		}
	}
	use := func(p *Process) {
		t.Helper()
		invoke(p, "first")
		s.p, s.records = p, records[:len(records)-2]
		s.records[before-1].check = equals(5)
		s.results()
		invoke(p, "other")
	}
	a, err := tp.NewProcess()
	check(t, err)
	b, err := tp.NewProcess()
	check(t, err)
	use(a)
	use(b)
	a, err = tp.Reset(a)
	check(t, err)
	use(a)
	check(t, b.Close())
	for range 3 {
		b, err = tp.NewProcess()
		check(t, err)
		use(b)
		check(t, b.Close())
	}
	now := make([]byte, len(shared))
	check(t, template.mem.Read(nexe.DataAddr, now))
	if !bytes.Equal(now, shared) {
		t.Error("the template has been written to")
	}
	check(t, a.Close())
}

// TestClassicTemplateRefused: a descriptor that a program has opened, or a second thread,
// can't be had twice.
func TestClassicTemplateRefused(t *testing.T) {
	for what, prepare := range map[string]func(s *script){
		"descriptor 3": func(s *script) { s.call(10, 3, s.str("/tmp/file"), unix.O_CREAT|unix.O_RDWR, 0o666) },
		"2 threads":    func(s *script) { s.call(80, 0, s.fns["spinner"], driverShared-0x800, driverShared, 0) },
	} {
		s := newScript(t)
		prepare(s)
		s.any(slotWait, 0, 0)
		s.startClassic()
		if _, err := s.p.Template(); !errors.Is(err, ErrTemplate) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
		check(t, s.p.Close())
	}
}
