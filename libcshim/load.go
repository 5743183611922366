package libcshim

import (
	"crypto/rand"
	"fmt"
	"io"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/internal/engine"
	"github.com/halite-run/halite/ld"
	"github.com/halite-run/halite/libcshim/namespace"
	"github.com/halite-run/halite/loader"
	"github.com/halite-run/halite/runtime"
)

// guestFile reads a file of the namespace as the loader wants it.
type guestFile struct {
	namespace.File
	st   namespace.Stat // when it was opened
	path string
}

func (g *guestFile) ReadAt(p []byte, off int64) (int, error) {
	total := 0
	for total < len(p) {
		n, err := g.File.ReadAt(p[total:], off+int64(total))
		total += n
		if err != nil {
			return total, err
		}
		if n == 0 {
			return total, io.EOF
		}
	}
	return total, nil
}

// openGuest opens a regular file for loading.
func openGuest(ns *namespace.Namespace, dir, path string) (*guestFile, error) {
	f, abs, err := ns.Open(dir, path, unix.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.IsRegular() {
		err = unix.EACCES
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &guestFile{File: f, st: st, path: abs}, nil
}

// Identity lets the linker recognise a file under another name.
func (g *guestFile) Identity() any {
	if g.st.Ino == 0 {
		return g.path
	}
	return [2]uint64{g.st.Dev, g.st.Ino}
}

// Revision lets the linker recognise a file that it has read before, in this domain or
// another. What others than the kernel serve can't be known to be the same.
func (g *guestFile) Revision() (loader.Revision, bool) {
	st, ok := namespace.HostStat(g.File)
	if !ok {
		return loader.Revision{}, false
	}
	return loader.RevisionOf(&st)
}

// openLibrary is how the dynamic linker opens files.
func (p *Process) openLibrary(path string) (ld.File, int64, error) {
	f, err := openGuest(p.ns, p.dir(), path)
	if err != nil {
		return nil, 0, err
	}
	return f, f.st.Size, nil
}

// load loads the program and prepares its first thread.
func (p *Process) load() error {
	f, err := openGuest(p.ns, p.dir(), p.cfg.Program)
	if err != nil {
		return fmt.Errorf("%s: %w", p.cfg.Program, err)
	}
	defer f.Close()
	p.exe = f.path
	if p.classic != nil {
		return p.loadClassic(f)
	}
	offered, err := p.offer()
	if err != nil {
		return err
	}
	p.linker = ld.New(ld.Config{
		Cage:              p.dom.Cage(),
		Open:              p.openLibrary,
		LibraryPath:       append(p.pathList("LD_LIBRARY_PATH", ":;"), p.cfg.LibraryPath...),
		Preload:           append(p.pathList("LD_PRELOAD", ": "), p.cfg.Preload...),
		ThreadPointerDisp: engine.ThreadPointerDisp(),
		Trace:             p.cfg.LinkTrace,
		HostSymbols:       offered,
		Retire:            p.dom.Retire,
		Verdicts:          p.cfg.Verdicts,
	})
	load := p.linker.LoadProgram
	if p.cfg.Library {
		load = p.linker.LoadLibrary
	}
	prog, err := load(p.exe, f, f.st.Size)
	if err != nil {
		return err
	}
	p.dom.SetSymbolizer(symbolizer{p.linker})
	p.memory.start(prog.End)
	sp, err := p.buildStack(prog)
	if err != nil {
		return err
	}
	t, err := p.dom.NewThread(runtime.ThreadConfig{Entry: prog.Entry, Stack: sp})
	if err != nil {
		return err
	}
	t.SetLocal(&task{p: p, t: t, name: baseName(p.exe)})
	p.main = t
	return nil
}

// pathList is a variable of the guest's environment that the dynamic linker
// knows, split at any of the separators.
func (p *Process) pathList(name, separators string) []string {
	for _, e := range p.cfg.Env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return strings.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune(separators, r) })
		}
	}
	return nil
}

// symbolizer asks the linker for names.
type symbolizer struct{ l *ld.Linker }

func (s symbolizer) Symbol(addr uint32) (runtime.Symbol, bool) {
	object, function, offset, ok := s.l.Symbolize(addr)
	return runtime.Symbol{Object: object, Function: function, Offset: offset}, ok
}

// Types of the auxiliary vector.
const (
	atNull   = 0
	atPhdr   = 3
	atPhent  = 4
	atPhnum  = 5
	atPagesz = 6
	atBase   = 7
	atFlags  = 8
	atEntry  = 9
	atUID    = 11
	atEUID   = 12
	atGID    = 13
	atEGID   = 14
	atPlat   = 15
	atHwcap  = 16
	atClktck = 17
	atSecure = 23
	atRandom = 25
	atExecfn = 31
)

// buildStack maps the first thread's data stack and puts there what the System V
// ABI says a program finds: argc, the vectors, and above them the strings. There
// is no vDSO. The page below the stack stays unmapped.
func (p *Process) buildStack(prog *ld.Program) (uint32, error) {
	size := (uint64(p.cfg.StackSize) + cage.PageSize - 1) &^ (cage.PageSize - 1)
	c := p.dom.Cage()
	low, err := c.Reserve(size+cage.PageSize, cage.PageSize)
	if err == nil {
		_, err = c.Map(low+cage.PageSize, size, cage.ProtRead|cage.ProtWrite, cage.Fixed)
	}
	if err != nil {
		return 0, fmt.Errorf("%s: a stack of %d bytes: %w", p.cfg.Program, size, err)
	}
	top := low + cage.PageSize + uint32(size)
	p.memory.stack(low+cage.PageSize, size)

	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails

	// Strings first, from the top down.
	at := top - 16 // a little space above, as the kernel leaves
	put := func(b []byte) uint32 {
		at -= uint32(len(b))
		return at
	}
	total := 0
	for _, s := range p.cfg.Args {
		total += len(s) + 1
	}
	for _, s := range p.cfg.Env {
		total += len(s) + 1
	}
	if total > maxArgs || total > int(size/2) {
		return 0, fmt.Errorf("%s: arguments and environment: %w", p.cfg.Program, unix.E2BIG)
	}
	type blob struct {
		at   uint32
		data []byte
	}
	var blobs []blob
	str := func(s string) uint32 {
		b := append([]byte(s), 0)
		a := put(b)
		blobs = append(blobs, blob{a, b})
		return a
	}
	execfn := str(p.exe)
	platform := str("x86_64")
	envp := make([]uint32, len(p.cfg.Env))
	for i := len(envp) - 1; i >= 0; i-- {
		envp[i] = str(p.cfg.Env[i])
	}
	argv := make([]uint32, len(p.cfg.Args))
	for i := len(argv) - 1; i >= 0; i-- {
		argv[i] = str(p.cfg.Args[i])
	}
	at &^= 15
	randAt := put(random[:])
	blobs = append(blobs, blob{randAt, random[:]})

	aux := [][2]uint64{
		{atPagesz, cage.PageSize}, {atClktck, 100}, {atFlags, 0}, {atBase, 0},
		{atEntry, uint64(prog.Entry)},
		{atUID, uint64(p.cfg.Identity.UID)}, {atEUID, uint64(p.cfg.Identity.UID)},
		{atGID, uint64(p.cfg.Identity.GID)}, {atEGID, uint64(p.cfg.Identity.GID)},
		{atSecure, 0}, {atRandom, uint64(randAt)}, {atHwcap, 0},
		{atExecfn, uint64(execfn)}, {atPlat, uint64(platform)},
	}
	if prog.Phdr != 0 {
		aux = append(aux, [2]uint64{atPhdr, uint64(prog.Phdr)}, [2]uint64{atPhent, uint64(prog.Phent)}, [2]uint64{atPhnum, uint64(prog.Phnum)})
	}
	aux = append(aux, [2]uint64{atNull, 0})

	var words []uint64
	words = append(words, uint64(len(argv)))
	for _, a := range argv {
		words = append(words, uint64(a))
	}
	words = append(words, 0)
	for _, e := range envp {
		words = append(words, uint64(e))
	}
	words = append(words, 0)
	for _, a := range aux {
		words = append(words, a[0], a[1])
	}
	sp := (at - uint32(8*len(words))) &^ 15
	vector := make([]byte, 8*len(words))
	for i, w := range words {
		le.PutUint64(vector[8*i:], w)
	}
	blobs = append(blobs, blob{sp, vector})
	for _, b := range blobs {
		if err := p.mem.Write(b.at, b.data); err != nil {
			return 0, fmt.Errorf("%s: writing the first stack: %w", p.cfg.Program, err)
		}
	}
	return sp, nil
}
