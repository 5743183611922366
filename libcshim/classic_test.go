package libcshim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/internal/assembled"
	"github.com/halite-run/halite/internal/engine"
	"github.com/halite-run/halite/internal/nexe"
	"github.com/halite-run/halite/libcshim/namespace"
	"github.com/halite-run/halite/runtime"
)

//go:generate sh -c "cd testdata/classic && ../../../internal/assembled/assemble.sh driver hello"

// Where driver.s has things.
const (
	driverScript = nexe.DataAddr
	driverRecord = 64
	driverText   = nexe.DataAddr + 0x8000  // strings and structures of a test
	driverInfo   = nexe.DataAddr + 0x1fff8 // argument of the entry
	driverShared = nexe.DataAddr + 0x1f000
)

// code is that of a program of testdata/classic, and where its functions are.
func code(t testing.TB, name string) (code []byte, functions map[string]uint64) {
	t.Helper()
	code, symbols, err := assembled.Read(filepath.Join("testdata/classic", name+".hex"))
	check(t, err)
	functions = map[string]uint64{}
	for name, at := range symbols {
		functions[name] = uint64(at)
	}
	return code, functions
}

// trampoline is the address of a call.
func trampoline(slot uint32) uint64 { return uint64(irtAddress(slot)) }

// A script is a list of calls for driver.s, with what their results must be.
type script struct {
	t       testing.TB
	class   int
	fns     map[string]uint64
	code    []byte
	data    []byte
	text    int // used from driverText on
	records []record
	cfg     Config
	rodata  uint64 // where its read-only data are, if not at the usual place

	stdout bytes.Buffer
	p      *Process
}

type record struct {
	what  string
	check func(got uint64) bool
}

func newScript(t testing.TB) *script {
	t.Helper()
	if err := engine.InitClassic(); err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, class: 32, data: make([]byte, 0x20000)}
	s.code, s.fns = code(t, "driver")
	return s
}

// bytes puts something into the program's data and returns where.
func (s *script) bytes(b []byte) uint64 {
	s.t.Helper()
	at := driverText + s.text
	if s.text += (len(b) + 15) &^ 15; s.text > 0x16000 {
		s.t.Fatal("too much text")
	}
	copy(s.data[at-nexe.DataAddr:], b)
	return uint64(at)
}

func (s *script) str(v string) uint64  { return s.bytes(append([]byte(v), 0)) }
func (s *script) word(v uint64) uint64 { return s.bytes(le.AppendUint64(nil, v)) }
func (s *script) space(n int) uint64   { return s.bytes(make([]byte, n)) }
func (s *script) u32(vs ...uint32) uint64 {
	var b []byte
	for _, v := range vs {
		b = le.AppendUint32(b, v)
	}
	return s.bytes(b)
}

func (s *script) add(what string, target, indirect uint64, check func(uint64) bool, args []uint64) {
	s.t.Helper()
	at := len(s.records) * driverRecord
	if at+driverRecord > driverText-driverScript {
		s.t.Fatal("too many records")
	}
	le.PutUint32(s.data[at:], uint32(target))
	le.PutUint32(s.data[at+4:], uint32(indirect))
	for i, a := range args {
		le.PutUint64(s.data[at+8+8*i:], a)
	}
	s.records = append(s.records, record{what, check})
}

func equals(v uint64) func(uint64) bool { return func(got uint64) bool { return got == v } }

// call is a call of NaCl with its exact result; a negative one is an error.
func (s *script) call(slot uint32, want int64, args ...uint64) {
	s.t.Helper()
	s.add(fmt.Sprintf("call %d%#x, want %d", slot, args, want), trampoline(slot), 0, equals(uint64(uint32(want))), args)
}

// fails is a call with an error.
func (s *script) fails(slot uint32, e unix.Errno, args ...uint64) {
	s.t.Helper()
	s.call(slot, -int64(e), args...)
}

// any is a call whose result is of no interest.
func (s *script) any(slot uint32, args ...uint64) {
	s.t.Helper()
	s.add("", trampoline(slot), 0, func(uint64) bool { return true }, args)
}

// fn calls a function of driver.s.
func (s *script) fn(name string, want uint64, args ...uint64) {
	s.t.Helper()
	at, ok := s.fns[name]
	if !ok {
		s.t.Fatal("driver.s has no ", name)
	}
	s.add(fmt.Sprintf("%s%#x, want %#x", name, args, want), at, 0, equals(want), args)
}

// peek checks a word of memory.
func (s *script) peek(at uint64, want uint32) {
	s.t.Helper()
	s.fn("peek", uint64(want), at)
}

// load makes the process.
func (s *script) load() {
	s.t.Helper()
	file := writeDriver(s.t, s)
	s.cfg.Program = "/bin/prog"
	if s.cfg.Namespace == nil {
		s.cfg.Namespace = newTree(s.t, file, "")
	} else {
		prog, err := namespace.HostFile(file, testID)
		check(s.t, err)
		check(s.t, s.cfg.Namespace.Mount("/bin/prog", prog, namespace.MountOptions{ReadOnly: true}))
	}
	if s.cfg.Stdout == nil {
		s.cfg.Stdout = &s.stdout
	}
	if s.cfg.Stderr == nil {
		s.cfg.Stderr = os.Stderr
	}
	p, err := NewProcess(s.cfg)
	check(s.t, err)
	s.p = p
	s.t.Cleanup(func() { p.Close() })
}

// run runs the program and compares the results.
func (s *script) run() {
	s.t.Helper()
	s.load()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	status, err := s.p.Run(ctx)
	if err != nil || status.Status() != 0 {
		s.t.Errorf("the program ended with %v, %v", status, err)
		var f *runtime.FaultError
		if errors.As(err, &f) {
			s.t.Log(f.Report())
		}
	}
	s.results()
}

func (s *script) results() {
	s.t.Helper()
	for i, r := range s.records {
		got, err := s.p.mem.Load64(uint32(driverScript + i*driverRecord + 56))
		check(s.t, err)
		if !r.check(got) {
			s.t.Errorf("record %d: %s: got %#x (%d)", i, r.what, got, int32(got))
		}
	}
}

// memory is what lies at an address when the program has ended.
func (s *script) memory(at uint64, n int) []byte {
	s.t.Helper()
	b := make([]byte, n)
	check(s.t, s.p.mem.Read(uint32(at), b))
	return b
}

func (s *script) load32(at uint64) uint32 { s.t.Helper(); return le.Uint32(s.memory(at, 4)) }
func (s *script) load64(at uint64) uint64 { s.t.Helper(); return le.Uint64(s.memory(at, 8)) }

// TestClassicHello: programs that make calls, and that go through the IRT, in both
// ELF classes.
func TestClassicHello(t *testing.T) {
	code, fns := code(t, "hello")
	rodata := make([]byte, 0x80)
	copy(rodata, "hello, ")
	copy(rodata[6:], " \n")
	copy(rodata[0x10:], "nacl-irt-basic-0.1")
	copy(rodata[0x40:], "nacl-irt-fdio-0.1")
	for _, class := range []int{32, 64} {
		for _, entry := range []string{"newlib", "irt"} {
			p := nexe.Program(class, code, rodata, make([]byte, 0x100))
			p.Entry = fns[entry]
			file := filepath.Join(t.TempDir(), "hello.nexe")
			check(t, os.WriteFile(file, p.Bytes(), 0o644))
			var out, trace bytes.Buffer
			proc, err := NewProcess(Config{
				Program: "/bin/prog", Args: []string{"prog", "big", "world"}, Env: []string{"A=1", "B=2"},
				Namespace: newTree(t, file, ""), Stdout: &out, Trace: &trace,
			})
			check(t, err)
			status, err := proc.Run(context.Background())
			if err != nil || status.Code != 69 || out.String() != "hello,big world\n" {
				t.Errorf("class %d, %s: %v %v %q", class, entry, status, err, out.String())
			}
			if !strings.Contains(trace.String(), `write(1, "hello,", 6) = 6`) {
				t.Errorf("trace: %s", &trace)
			}
			check(t, proc.Close())
		}
	}
}

// TestClassicStart: the info block, the registers of the entry, the limits.
func TestClassicStart(t *testing.T) {
	t.Setenv("HALITE_TEST_SECRET", "none of the guest's business")
	s := newScript(t)
	s.cfg.Args = []string{"prog", "one", "", "three"}
	s.cfg.Env = []string{"A=1", "NOVALUE", "A=1"}
	s.call(84, nexe.DataAddr+0x20000) // tls_get: the break at the start
	s.call(86, 0)
	s.call(20, nexe.DataAddr+0x20000, 0)
	s.run()
	info := s.load64(driverInfo)
	if info%16 != 0 || info >= 0xffff0000 {
		t.Fatalf("info block at %#x", info)
	}
	str := func(at uint64) string {
		v, err := s.p.mem.ReadString(s.load32(at), 100)
		check(t, err)
		return v
	}
	if s.load32(info) != 0 || s.load32(info+4) != 3 || s.load32(info+8) != 4 {
		t.Errorf("counts % x", s.memory(info, 12))
	}
	for i, want := range s.cfg.Args {
		if got := str(info + 12 + uint64(4*i)); got != want {
			t.Errorf("argv[%d] = %q", i, got)
		}
	}
	at := info + 12 + 16
	if s.load32(at) != 0 {
		t.Error("argv does not end with 0")
	}
	for i, want := range s.cfg.Env {
		if got := str(at + 4 + uint64(4*i)); got != want {
			t.Errorf("envp[%d] = %q", i, got)
		}
	}
	at += 4 + 12
	want := []uint32{0, atSysinfo, irtAddress(irtQuerySlot), 0, 0}
	for i, w := range want {
		if got := s.load32(at + uint64(4*i)); got != w {
			t.Errorf("auxv word %d = %#x, want %#x", i, got, w)
		}
	}
	if s.load64(info-8) != 0 {
		t.Error("there is a return address")
	}
	s.cfg.Args, s.p = []string{strings.Repeat("x", 9<<20)}, nil
	if _, err := NewProcess(Config{Program: "/bin/prog", Args: s.cfg.Args, Namespace: newTree(t, writeDriver(t, s), "")}); !errors.Is(err, unix.E2BIG) {
		t.Errorf("9 MiB of arguments: %v", err)
	}
	if _, err := NewProcess(Config{Program: "/bin/prog", StackSize: 1, Namespace: newTree(t, writeDriver(t, s), "")}); err == nil {
		t.Error("a stack without room is accepted")
	}
}

func writeDriver(t testing.TB, s *script) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "driver.nexe")
	p := nexe.Program(s.class, s.code, []byte("constant"), s.data)
	if s.rodata != 0 {
		p.Segments[1].Addr = s.rodata
	}
	check(t, os.WriteFile(file, p.Bytes(), 0o644))
	return file
}
