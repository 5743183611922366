package oracle

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"math/bits"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/halite-run/halite/validator"
	"golang.org/x/sys/unix"
)

const workers = 2

// examine has every worker try the forms that it is given on a tracee of its own.
// produce sends them.
func examine(t *testing.T, abi validator.ABI, produce func(send func(f form))) {
	t.Helper()
	work := make(chan []form, 8)
	var wg sync.WaitGroup
	var mu sync.Mutex
	tried, steps, missing, bad := 0, 0, 0, 0
	for range workers {
		tr := make(chan struct{})
		wg.Add(1)
		go func() {
			defer wg.Done()
			p, err := startTracee(t)
			close(tr)
			if err != nil {
				t.Error(err)
				for range work {
				}
				return
			}
			defer p.close()
			x := newExaminer(p, abi)
			for list := range work {
				for i := range list {
					if err := x.try(&list[i]); err != nil {
						t.Error(err)
						mu.Lock()
						bad++
						mu.Unlock()
					}
				}
			}
			mu.Lock()
			tried, steps, missing = tried+x.tried, steps+x.steps, missing+x.missing
			mu.Unlock()
		}()
		<-tr
	}
	var batch []form
	produce(func(f form) {
		mu.Lock()
		stop := bad > 40
		mu.Unlock()
		if stop {
			return
		}
		if batch = append(batch, f); len(batch) == 256 {
			work <- batch
			batch = nil
		}
	})
	work <- batch
	close(work)
	wg.Wait()
	t.Logf("%s: %d forms, %d steps; %d were illegal instructions to this CPU", abi, tried, steps, missing)
	if tried < 100 {
		t.Errorf("only %d forms were tried", tried)
	}
}

func TestFormsHalite(t *testing.T)  { testForms(t, validator.Halite) }
func TestFormsClassic(t *testing.T) { testForms(t, validator.Classic) }

func testForms(t *testing.T, abi validator.ABI) {
	forever := long(t)
	examine(t, abi, func(send func(f form)) {
		at := uint32(textAt + chunkAt)
		n := 0
		visit(t, abi, 3, func(code []byte) {
			n++
			f, ok := accept(abi, code, fillers[n%len(fillers)], at)
			if ok && f.end < len(code) {
				// More than one instruction. On a virtual machine a step over what
				// the hypervisor does itself, cpuid, takes the next one along: that
				// is to be a filler.
				f, ok = accept(abi, code[:f.end], fillers[n%len(fillers)], at)
			}
			if ok {
				send(f)
			}
		})
		for end := time.Now().Add(forever); time.Now().Before(end); {
			var code [bundle]byte
			for i := range code {
				code[i] = byte(rand.Uint32())
			}
			if f, ok := accept(abi, code[:2+rand.IntN(9)], fillers[0], at); ok {
				send(f)
			}
		}
	})
}

// TestCorpus executes what the recorded corpora of the classic ABI call valid,
// from every place that may be branched to: sandboxed sequences, string
// operations, updates of the stack pointer.
func TestCorpus(t *testing.T) {
	const name = "../../../shared/corpus/validator/insn64.txt.gz"
	f, err := os.Open(name)
	if err != nil {
		t.Skipf("the corpus is not here: %v", err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	every := 97
	if long(t) > 0 {
		every = 1
	}
	examine(t, validator.Classic, func(send func(f form)) {
		section, n := "", 0
		for s := bufio.NewScanner(z); s.Scan(); {
			line := s.Text()
			if name, ok := strings.CutPrefix(line, "# section "); ok {
				section, _, _ = strings.Cut(name, " ")
			}
			some := every
			switch section {
			case "super", "rsprbp", "memform", "zext":
				some = (every + 9) / 10
			}
			if n++; n%some != 0 || !strings.HasPrefix(line, "V ") {
				continue
			}
			code, err := hex.DecodeString(strings.Fields(line)[1])
			if err != nil {
				continue // no bytes
			}
			f, ok := accept(validator.Classic, code, 0x90, uint32(textAt+chunkAt))
			if !ok {
				continue // more than a bundle, or a defect of the original
			}
			for m := f.targets; m != 0; m &= m - 1 {
				if at := bits.TrailingZeros32(m); at < len(code) {
					send(f.from(at))
				}
			}
		}
	})
}

// TestSees shows that the examination finds what it is there for: nothing of this
// is accepted, and executed anyway each is found out.
func TestSees(t *testing.T) {
	type escape struct {
		name, code string
		length     int // of the first instruction, if more follow
	}
	escapes := map[validator.ABI][]escape{
		validator.Halite: {
			{"a load without %gs", "8b 00", 0},
			{"a load with %gs and a 64-bit address", "65 8b 00", 0},
			{"a store with a 32-bit address and no %gs", "67 89 00", 0},
			{"a load from the control stack", "48 8b 04 24", 0},
			{"push", "50", 0},
			{"pop", "58", 0},
			{"a string store", "aa", 0},
			{"another word of the thread block", "64 8b 04 25 08 00 00 00", 0},
			{"a store to the thread pointer", "64 89 04 25 10 00 00 00", 0},
			{"r15", "49 ff c7", 0},
			{"r15 in 32 bits", "41 ff c7", 0},
			{"rsp", "48 ff c4", 0},
			{"sp", "66 ff c4", 0},
			{"mov from rsp, then through it", "48 89 e0", 0},
			{"wrgsbase", "f3 48 0f ae d8", 0},
			{"wrfsbase", "f3 48 0f ae d0", 0},
			{"a selector", "8e e9", 0},
			{"std", "fd", 0},
			{"syscall", "0f 05", 0},
			{"int 0x80", "cd 80", 0},
			{"an unmasked indirect jump", "ff e0", 0},
			{"a jump through memory", "ff 24 25 00 00 00 10", 0},
			{"into the middle of a bundle", "eb 03 b8 90 90 90 90", 2},
			{"ret imm", "c2 08 00", 0},
			{"rip-relative, far outside", "8b 05 00 00 00 80", 0},
		},
		validator.Classic: {
			{"a base that is no sandbox address", "8b 00", 0},
			{"an index that was not zero-extended", "41 8b 04 07", 0},
			{"rsp without a fix", "48 89 c4", 0},
			{"rbp without a fix", "48 89 c5", 0},
			{"pop rsp", "5c", 0},
			{"r15", "49 ff c7", 0},
			{"an unmasked indirect jump", "ff e0", 0},
			{"ret", "c3", 0},
			{"a string store", "aa", 0},
			{"syscall", "0f 05", 0},
			{"into the middle of a bundle", "eb 03 b8 90 90 90 90", 2},
		},
	}
	cpuinfo, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Fatal(err)
	}
	// Some are not for every machine: a kernel may have no system calls of 32 bits, and
	// one from which a hypervisor hides the instructions for segment bases does not
	// look at what they have done.
	hidden := !bytes.Contains(cpuinfo, []byte(" fsgsbase"))
	for abi, list := range escapes {
		p, err := startTracee(t)
		if err != nil {
			t.Fatal(err)
		}
		x := newExaminer(p, abi)
		for _, e := range list {
			code, err := hex.DecodeString(strings.ReplaceAll(e.code, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := accept(abi, code, 0x90, uint32(textAt+chunkAt)); ok {
				t.Errorf("%s: %s: accepted", abi, e.name)
			}
			if e.length == 0 {
				e.length = len(code)
			}
			f := form{end: e.length, targets: 1 | 1<<e.length}
			copy(f.code[:], code)
			for i := len(code); i < bundle; i++ {
				f.code[i] = 0x90
			}
			if err := x.try(&f); err == nil {
				if hidden && strings.HasSuffix(e.name, "sbase") || e.code == "cd 80" && x.refuses(t, &f) {
					t.Logf("%s: %s (%s): this machine does not do it, or does not tell", abi, e.name, e.code)
					continue
				}
				t.Errorf("%s: %s (%s): not found out", abi, e.name, e.code)
			} else if testing.Verbose() {
				t.Logf("%s: %s: %v", abi, e.name, err)
			}
		}
		p.close()
	}
}

// refuses reports whether the instruction is none for this machine: an illegal one
// or a general protection fault, whatever the registers hold.
func (x *examiner) refuses(t *testing.T, f *form) bool {
	copy(x.text[chunkAt:], f.code[:])
	for i := range x.patterns {
		var r unix.PtraceRegs
		setRegisters(&r, x.abi, &x.patterns[i], base+textAt+chunkAt)
		o, err := x.step(&r)
		if err != nil {
			t.Fatal(err)
		}
		if o.signal != unix.SIGILL && (o.signal != unix.SIGSEGV || o.page()) {
			return false
		}
	}
	return true
}

// TestZeroExtends: what the classic rules take for zero-extended, so that it may
// be the index of the next instruction, the CPU does zero-extend, whatever the
// operands hold: a source of zero (bsf), a condition that is false (cmov), a
// comparison that fails (cmpxchg).
func TestZeroExtends(t *testing.T) {
	p, err := startTracee(t)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	x := newExaminer(p, validator.Classic)
	all := patterns(validator.Classic)
	zero := pattern{name: "zeroes below", flags: 0x202}
	same := pattern{name: "all the same", flags: 0x246}
	for i := range zero.regs {
		zero.regs[i] = uint64(0x9999+i) << 32
		same.regs[i] = 0x7777_1234_5678
	}
	all = append(all, zero, same)
	claimed, at := 0, uint32(textAt+chunkAt)
	try := func(code []byte) {
		f, ok := accept(validator.Classic, code, 0x90, at)
		if !ok || f.end > 15 {
			return
		}
		for n := range 16 {
			if n == 4 {
				continue // can't be an index
			}
			pair := append([]byte{}, f.code[:f.end]...)
			pair = append(pair, 0x41|byte(n>>3<<1), 0x8b, 0x04, byte(n&7<<3|7)) // mov (%r15,%rN), %eax
			g, ok := accept(validator.Classic, pair, 0x90, at)
			if !ok || g.targets>>f.end&1 != 0 {
				continue
			}
			claimed++
			copy(x.text[chunkAt:], g.code[:])
			for i := range all {
				var r unix.PtraceRegs
				setRegisters(&r, validator.Classic, &all[i], base+uint64(at))
				// A form can be several instructions that belong together.
				o, err := x.step(&r)
				for n := 1; err == nil && o.signal == unix.SIGTRAP && o.regs.Rip < base+uint64(at)+uint64(f.end) && n < 4; n++ {
					r = o.regs
					o, err = x.step(&r)
				}
				if err != nil {
					t.Fatal(err)
				}
				if o.signal != unix.SIGTRAP {
					if err := x.calm(); err != nil {
						t.Fatal(err)
					}
					continue
				}
				if v := registerValues(&o.regs)[n]; v>>32 != 0 {
					t.Errorf("% x  %s: %s is %#x (registers: %s)", f.code[:f.end], disassemble(&f), registerNames[n], v, all[i].name)
				}
			}
		}
	}
	visit(t, validator.Classic, 4, try)
	for rex := byte(0x40); rex < 0x50; rex++ { // the original's defect, and its neighbours
		for op := byte(0x90); op < 0x98; op++ {
			try([]byte{rex, op})
		}
	}
	t.Logf("%d claims", claimed)
	if claimed < 50 {
		t.Errorf("only %d claims", claimed)
	}
}
