package libcshim

import (
	"fmt"
	"path"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/libcshim/namespace"
	"github.com/halite-run/halite/loader"
	"github.com/halite-run/halite/runtime"
)

// Processes of the classic ABI: programs of Native Client. They have the same
// descriptors, files and limits as others, by NaCl's numbers and structures, which are
// those of a machine with 32-bit pointers (classic_*.go). They have no signals.

// classicProcess is what such a process has beside the rest.
type classicProcess struct {
	file *loader.ClassicFile // without its contents

	brkMu  sync.Mutex
	brk    uint32
	brkEnd uint64 // of what is mapped for it

	hooks [2]atomic.Uint32 // of the IRT, before and after calls that block; 0: none

	codeMu   sync.Mutex
	nextCode uint32 // for the IRT's allocator of address space
}

// copy is for a process that is made from a template.
func (m *classicProcess) copy() *classicProcess {
	m.brkMu.Lock()
	defer m.brkMu.Unlock()
	m.codeMu.Lock()
	defer m.codeMu.Unlock()
	c := &classicProcess{file: m.file, brk: m.brk, brkEnd: m.brkEnd, nextCode: m.nextCode}
	for i := range c.hooks {
		c.hooks[i].Store(m.hooks[i].Load())
	}
	return c
}

// classicCalls are NaCl's calls that need the process, by number; those that do
// not are the runtime's. Behind them stand the functions of the IRT.
var classicCalls = map[uint32]*call{}

// isClassic looks at the program's first bytes.
func isClassic(cfg *Config, ns *namespace.Namespace) bool {
	f, err := openGuest(ns, path.Join("/", cfg.Dir), cfg.Program)
	if err != nil {
		return false // it may be in one of the system's mounts, or load says why not
	}
	defer f.Close()
	var head [64]byte
	n, _ := f.ReadAt(head[:], 0) // what is too short is no program of any kind
	return loader.IsClassic(head[:n])
}

// loadClassic loads the program and prepares its first thread.
func (p *Process) loadClassic(f *guestFile) error {
	stack := loader.ClassicRound(uint64(p.cfg.StackSize))
	if stack <= loader.ClassicPage || stack > cage.Size/2 {
		return fmt.Errorf("%s: a stack of %d bytes: want more than 64 KiB and at most 2 GiB", p.cfg.Program, p.cfg.StackSize)
	}
	file, err := loader.ReadClassic(f, f.st.Size, p.cfg.Program, uint32(stack))
	if err != nil {
		return err
	}
	c := p.dom.Cage()
	if err := loader.MapClassic(c, file); err != nil {
		return err
	}
	if err := p.dom.SetClassicCode(file.TextEnd, file.DynamicEnd); err != nil {
		return fmt.Errorf("%s: %w", p.cfg.Program, err)
	}
	m := p.classic
	m.file, m.brk, m.nextCode = file, file.DataEnd, file.TextEnd
	m.brkEnd = loader.ClassicRound(uint64(file.DataEnd))
	low := uint32(cage.Size - stack)
	// The last page of the address space belongs to the stack and stays unused.
	if _, err := c.Map(low, stack-loader.ClassicPage, cage.ProtRead|cage.ProtWrite, cage.FixedNoReplace); err != nil {
		return fmt.Errorf("%s: a stack of %d bytes: %w", p.cfg.Program, stack, err)
	}
	p.memory.stack(low, stack-loader.ClassicPage)
	info, err := p.classicInfo(stack - loader.ClassicPage)
	if err != nil {
		return err
	}
	t, err := p.dom.NewThread(runtime.ThreadConfig{
		Entry: file.Entry, Stack: info - 8, ThreadPointer: file.DataEnd, Args: []uint64{uint64(info)},
	})
	if err != nil {
		return err
	}
	t.SetLocal(&task{p: p, t: t, name: baseName(p.exe)})
	p.main = t
	return nil
}

// Types of the auxiliary vector that a program under the IRT finds.
const atSysinfo = 32

// classicInfo puts the arguments, the environment and the address of the IRT's
// query on top of the stack, of which room bytes can be used, as words of 32 bits,
// with the strings behind them.
func (p *Process) classicInfo(room uint64) (uint32, error) {
	words := []uint32{0, uint32(len(p.cfg.Env)), uint32(len(p.cfg.Args))}
	n := 4 * (len(words) + len(p.cfg.Args) + 1 + len(p.cfg.Env) + 1 + 4)
	total := n
	for _, list := range [][]string{p.cfg.Args, p.cfg.Env} {
		for _, s := range list {
			total += len(s) + 1
		}
	}
	total = (total + 15) &^ 15
	if total > maxArgs || uint64(total) > room/2 {
		return 0, fmt.Errorf("%s: arguments and environment: %w", p.cfg.Program, unix.E2BIG)
	}
	at := uint32(loader.ClassicStackTop - total)
	var text []byte
	for _, list := range [][]string{p.cfg.Args, p.cfg.Env} {
		for _, s := range list {
			words = append(words, at+uint32(n+len(text)))
			text = append(append(text, s...), 0)
		}
		words = append(words, 0)
	}
	words = append(words, atSysinfo, irtAddress(irtQuerySlot), atNull, 0)
	block := make([]byte, 0, total)
	for _, w := range words {
		block = le.AppendUint32(block, w)
	}
	if err := p.mem.Write(at, append(block, text...)); err != nil {
		return 0, fmt.Errorf("%s: writing the first stack: %w", p.cfg.Program, err)
	}
	return at, nil
}
