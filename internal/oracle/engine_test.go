package oracle

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/internal/engine"
	"github.com/halite-run/halite/internal/safemem"
	"github.com/halite-run/halite/validator"
)

// Where the engine's sandbox has things, beside dataAt.
const (
	tableAt   = 0x300_0000 // what the registers are to hold, by number
	outAt     = 0x300_1000 // what they held at the end
	loaderAt  = 0x400_0000 // loads the registers and jumps to a form
	storerAt  = 0x400_0400 // stores them and returns
	formsAt   = 0x400_1000 // a bundle for each form
	batchSize = 1 << 15
)

// moveAll appends moves between all registers but rsp and words in memory, each
// with a 32-bit address and no register in it, three to a bundle.
func moveAll(b []byte, op byte, at uint32, skip ...int) []byte {
	inBundle := len(b) / 10
	for r := range 16 {
		if r == 4 || len(skip) > 0 && r == skip[0] || len(skip) > 1 && r == skip[1] {
			continue
		}
		if inBundle == 3 {
			b = append(b, 0x90, 0x90)
			inBundle = 0
		}
		b = append(b, 0x65, 0x67, 0x48|byte(r>>3<<2), op, 0x04|byte(r&7<<3), 0x25)
		b = binary.LittleEndian.AppendUint32(b, at+uint32(8*r))
		inBundle++
	}
	return b
}

func padTo(b []byte, n int, with byte) []byte {
	for len(b) < n {
		b = append(b, with)
	}
	return b
}

// engineText makes the code of one batch: loader, storer, and a bundle for each
// form that goes on to the storer.
func engineText(forms []form) []byte {
	head := moveAll([]byte{0x41, 0x89, 0xfb, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90}, 0x8b, tableAt, 11, 15) // mov %edi,%r11d
	head = padTo(head, (len(head)+31)&^31, 0x90)
	head = append(head, 0x41, 0x83, 0xe3, 0xe0, 0x4d, 0x01, 0xfb, 0x41, 0xff, 0xe3) // to r11, masked
	head = padTo(head, storerAt-loaderAt, 0xf4)
	head = append(head, moveAll(nil, 0x89, outAt)...)
	head = append(head, 0xc3)
	text := padTo(head, formsAt-loaderAt, 0xf4)
	for _, f := range forms {
		at := len(text)
		text = append(text, f.code[:f.end]...)
		text = append(text, 0xe9)
		text = binary.LittleEndian.AppendUint32(text, uint32(int32(storerAt-loaderAt-(len(text)+4))))
		text = padTo(text, at+bundle, 0xf4)
	}
	return padTo(text, (len(text)+0xfff)&^0xfff, 0xf4)
}

// TestEngine executes forms of the halite ABI under the engine, with registers
// full of addresses that lie outside of the sandbox, where nothing is mapped.
func TestEngine(t *testing.T) {
	if err := engine.Init(); err != nil {
		t.Skip(err)
	}
	if engine.ThreadPointerDisp() != validator.DefaultThreadPointer {
		t.Skip("runtime/cgo is linked: the forms read the thread pointer where another host has it")
	}
	batch := 0
	var forms []form
	total, faults := 0, 0
	flush := func() {
		run, n, bad := runBatch(t, forms)
		total, faults = total+run, faults+n
		if bad {
			t.FailNow()
		}
		forms, batch = forms[:0], batch+1
	}
	n := 0
	visit(t, validator.Halite, 1, func(code []byte) {
		n++
		at := uint32(formsAt + len(forms)*bundle)
		f, ok := accept(validator.Halite, code, fillers[n%len(fillers)], at)
		if !ok || f.end > bundle-5 || branches(&f) {
			return
		}
		if forms = append(forms, f); len(forms) == batchSize {
			flush()
		}
	})
	flush()
	t.Logf("%d forms, %d faults, %d texts", total, faults, batch)
	if total == 0 {
		t.Skip("in none of the processes' address spaces was room")
	}
}

// branches tells whether a form may go elsewhere; those are for the tracee.
func branches(f *form) bool {
	s, _ := validator.Disassemble(f.code[:f.end], 0)
	for _, w := range strings.Fields(s) {
		if w[0] == 'j' || strings.HasPrefix(w, "call") || strings.HasPrefix(w, "loop") || strings.HasPrefix(w, "ret") {
			return true
		}
	}
	return f.end > 8 && f.code[0] != 0x65 && strings.Contains(s, "$0xffffffe0")
}

// inReach says whether a register's address, or the sum of two with a scale, lies
// in the 4 GiB that begin at slot<<32.
func inReach(slot uint64) bool {
	for _, scale := range []uint64{0, 1, 2, 4, 8} {
		if lo := outsideAt * (1 + scale); slot >= lo-1 && slot <= lo+15*(1+scale)+1 {
			return true
		}
	}
	return false
}

// mappedOutside names a mapping of this process where registers point.
func mappedOutside(t *testing.T) string {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var from, to uint64
		if _, err := fmt.Sscanf(s.Text(), "%x-%x", &from, &to); err != nil {
			t.Fatal(err)
		}
		for slot := from >> 32; slot <= (to-1)>>32 && slot < 1<<15; slot++ {
			if inReach(slot) {
				return s.Text()
			}
		}
	}
	return ""
}

// runBatch executes forms, and returns how many runs ended in a fault.
func runBatch(t *testing.T, forms []form) (run, faults int, bad bool) {
	code := engineText(forms)
	r, err := validator.Validate(code, validator.Options{Offset: loaderAt})
	if err != nil || !r.OK() {
		t.Errorf("the text of a batch: %v %v", err, r.Err())
		return 0, 0, true
	}
	text, err := cage.NewText("oracle", code, loaderAt)
	if err != nil {
		t.Fatal(err)
	}
	defer text.Release()
	c, err := cage.New(cage.Config{Trampolines: engine.Trampolines()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.MapText(loaderAt, text); err != nil {
		t.Fatal(err)
	}
	for _, d := range append([][2]uint64{{tableAt, 0x2000}}, dataAt...) {
		if d[0] < cage.TrampolineEnd {
			continue
		}
		if _, err := c.Map(uint32(d[0]), d[1], cage.ProtRead|cage.ProtWrite, cage.Fixed); err != nil {
			t.Fatal(err)
		}
	}
	ctx, err := engine.NewContext(c.Base(), engine.ContextOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer ctx.Close()
	if s := mappedOutside(t); s != "" {
		// Places are random, the race detector's are not.
		t.Logf("not run: this process has something where the registers' addresses point: %s", s)
		return 0, 0, false
	}
	stop := time.AfterFunc(time.Minute, ctx.Interrupt)
	defer stop.Stop()
	mem := safemem.New(c.Base())
	check := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range patterns(validator.Halite) {
		var table [128]byte
		for i, v := range p.regs {
			binary.LittleEndian.PutUint64(table[8*i:], v)
		}
		for i := range forms {
			check(mem.Write(tableAt, table[:]))
			check(mem.Store64(outAt+8*15, 0))
			ctx.SetCall(loaderAt, stackAt, uint64(formsAt+i*bundle))
			err := func() error {
				x := ctx.Resume()
				switch x.Reason {
				case engine.ExitReturn:
					if r15, err := mem.Load64(outAt + 8*15); err != nil || r15 != uint64(c.Base()) {
						return fmt.Errorf("r15 is %#x at the end, %v", r15, err)
					}
					return nil
				case engine.ExitFault:
					faults++
					f := ctx.Fault()
					ctx.Leave()
					switch f.Kind {
					case engine.FaultRead, engine.FaultWrite, engine.FaultExec, engine.FaultBus:
						if !f.InSandbox {
							return fmt.Errorf("%v of %#x, outside of the sandbox", f.Kind, f.Addr)
						}
					case engine.FaultControlOverflow, engine.FaultControlUnderflow, engine.FaultControlUnwind, engine.FaultOther:
						return f
					}
					if at := f.PC - uint32(formsAt+i*bundle); at >= bundle {
						return fmt.Errorf("it went on at %#x", f.PC)
					}
					return nil
				default:
					ctx.Leave()
					return fmt.Errorf("unexpected: %v", x.Reason)
				}
			}()
			if err == nil && ctx.ControlDepth() != 0 {
				err = fmt.Errorf("%d words are left on the control stack", ctx.ControlDepth())
			}
			if err != nil {
				t.Errorf("% x  %s\nregisters: %s: %v", forms[i].code[:forms[i].end], disassemble(&forms[i]), p.name, err)
				return len(forms), faults, true
			}
		}
	}
	return len(forms), faults, false
}
