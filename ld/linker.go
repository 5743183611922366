package ld

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"syscall"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/internal/safemem"
	"github.com/halite-run/halite/loader"
)

// File is an open file of the domain's name space. A file that implements
// Identifier is recognised under another name; so is an *os.File.
type File interface {
	io.ReaderAt
	io.Closer
}

// Identifier tells files apart. The value must be comparable.
type Identifier interface{ Identity() any }

// Revisioner tells the states of a file of the host apart, for files that can be known to be
// the same as before. ok is false for others. See loader.Revision.
type Revisioner interface {
	Revision() (r loader.Revision, ok bool)
}

// Config is what a Linker works with.
type Config struct {
	// Cage is where objects are put. Closure needs none.
	Cage *cage.Cage

	// Open opens a file of the domain's name space by its guest path, which may
	// be relative to the domain's working directory.
	Open func(path string) (f File, size int64, err error)

	LibraryPath []string // LD_LIBRARY_PATH
	DefaultPath []string // nil: /lib, /usr/lib, /usr/local/lib
	Preload     []string // LD_PRELOAD

	// ThreadPointerDisp is where the engine keeps the thread pointer; see
	// loader.Loader.
	ThreadPointerDisp int32

	// Retire begins the proof that no thread of the domain can execute code in a
	// range any more, which is unmapped by then; runtime.Domain.Retire. Without
	// it the places of unloaded libraries are used for the same files alone.
	Retire func(start, end uint32) (proof func() bool)

	// Verdicts spares the validation of code that another process has found safe.
	Verdicts *loader.Verdicts

	Trace func(string) // each decision, as LD_DEBUG shows them; may be nil
	Warn  func(string) // what is odd but no error; may be nil

	MaxObjects int // 0: 1024

	// HostSymbols are addresses of functions that the host offers, by name. What
	// no object defines binds to them.
	HostSymbols map[string]uint32
}

// DefaultPath is where libraries are searched last.
var DefaultPath = []string{"/lib", "/usr/lib", "/usr/local/lib"}

const defaultMaxObjects = 1024

// Linker links one domain.
type Linker struct {
	cfg    Config
	loader loader.Loader
	mem    safemem.Memory

	mu       sync.Mutex
	main     *object
	objects  []*object          // live and closing ones, in load order
	global   []*object          // the global scope
	scopeSum *[sha256.Size]byte // of it; nil: not known
	hostSum  [sha256.Size]byte  // of Config.HostSymbols
	handles  map[uint32]*object // by link_map
	unique   map[string]binding // STB_GNU_UNIQUE definitions
	uniqueMu sync.Mutex         // guards unique while objects are relocated
	index    globalIndex
	found    *[foundPlaces]found // by Sym; nil: nothing yet
	changes  uint64              // of what it may find
	retired  []*retired
	keep     int    // places kept for their files; see release
	maxBytes uint64 // of the files of one loading operation
	guest    arena
	debug    uint32 // guest address of struct r_debug; 0 without one

	symbolBytes int    // of the objects' full symbol tables
	adds        uint64 // for dl_iterate_phdr
	subs        uint64
	serial      int

	tls        []*object // by module id - 1; nil: free
	tlsInitial int       // modules that the program began with
	tlsEnd     uint32    // bytes of static TLS that they take below the thread pointer
	tlsMax     uint32    // what the thread pointer is aligned to
	tlsSpare   uint32    // bytes below tlsEnd that every thread has besides; see StartTLS
	tlsTold    bool      // StartTLS was called
	tlsAdded   []*object // that got a place in them; see AddedTLS
	started    bool      // the initial objects are complete

	batches map[int][]*batch // constructors to run, by thread
	waiting map[int]int      // thread that waits -> thread that it waits for
	start   *batch           // of the initial objects, until claimed
	finis   []*object        // in the order in which constructors began
	exiting *finalizer
	closing map[uint32]*finalizer
	token   uint32
	errors  map[int]string // last message, by thread

	// withoutText is set by the tests of this package, which link files that the
	// validator refuses. They are loaded without their code: no page of theirs is
	// ever executable.
	withoutText bool
}

// New makes a linker.
func New(cfg Config) *Linker {
	if cfg.DefaultPath == nil {
		cfg.DefaultPath = DefaultPath
	}
	if cfg.MaxObjects == 0 {
		cfg.MaxObjects = defaultMaxObjects
	}
	l := &Linker{
		cfg:     cfg,
		loader:  loader.Loader{ThreadPointer: cfg.ThreadPointerDisp, Verdicts: cfg.Verdicts},
		handles: map[uint32]*object{},
		unique:  map[string]binding{},
		batches: map[int][]*batch{},
		waiting: map[int]int{},
		closing: map[uint32]*finalizer{},
		errors:  map[int]string{},
		keep:    keepPlaces,

		maxBytes: maxGraphBytes,
	}
	if len(cfg.HostSymbols) > 0 {
		l.hostSum = sumHostSymbols(cfg.HostSymbols)
	}
	if cfg.Cage != nil {
		l.mem = safemem.New(cfg.Cage.Base())
		l.guest = arena{cage: cfg.Cage, mem: l.mem}
	}
	return l
}

// object is a loaded file and its place in the graph.
type object struct {
	name   string // what it was asked for by, or its path
	path   string // where it was found
	origin string // directory of path, for $ORIGIN; "" when unknown
	names  []string
	id     any
	file   *loader.File
	dyn    *loader.Dynamic
	image  *loader.Image
	bias   uint32
	serial int

	needed  []string  // DT_NEEDED, and the C library if nothing else brings it in
	parent  *object   // the object that first needed it
	deps    []*object // DT_NEEDED, in order; for the program, after the preloaded ones
	closure []*object // itself and everything it needs, breadth first
	scope   []*object // closure of the object whose loading brought it in
	deep    bool      // RTLD_DEEPBIND: scope before the global one

	initial   bool // part of the program: never unloaded
	nodelete  bool
	global    bool
	refs      int                  // handles that dlopen gave out
	bound     map[*object]struct{} // objects outside closure that relocations refer to
	lastBound *object              // the one that bind noted last
	state     state

	tlsID     int    // module id, 0 without thread-local storage
	tlsOffset uint32 // how far below the thread pointer; 0: allocated on demand

	link     uint32 // guest address of its link_map: also the handle
	nameAddr uint32
	phdr     uint32
	blocks   []block // guest memory of ours

	init     initState
	initBy   int
	ready    chan struct{} // closed when the constructors are done
	fini     bool          // destructors are done or under way
	resolved []binding     // by symbol index, while relocating
	moody    bool          // its relocations can't be known to come out the same again

	symbols     *loader.SymbolTable // for Symbolize alone
	symbolsRead bool
}

type state uint8

const (
	stateNew state = iota
	stateLive
	stateClosing // destructors run: invisible to look-ups, still mapped
	stateGone
)

// String names the object in messages.
func (o *object) String() string {
	if o.path != "" {
		return o.path
	}
	return o.name
}

func (l *Linker) trace(format string, args ...any) {
	if l.cfg.Trace != nil {
		l.cfg.Trace(fmt.Sprintf(format, args...))
	}
}

func (l *Linker) warn(format string, args ...any) {
	if l.cfg.Warn != nil {
		l.cfg.Warn(fmt.Sprintf(format, args...))
	}
	l.trace(format, args...)
}

// Program is a loaded program, ready to be entered.
type Program struct {
	Name    string
	Entry   uint32 // offsets in the sandbox
	Bias    uint32
	Phdr    uint32 // program headers for AT_PHDR, 0 when they are not loaded
	Phnum   int
	Phent   int
	Dynamic bool // the linker serves it; otherwise it is on its own
	End     uint32
}

// LoadProgram loads a program and everything it needs. name is what errors say
// and what $ORIGIN is derived from. It does not close f.
//
// Preconditions: called once.
func (l *Linker) LoadProgram(name string, f File, size int64) (*Program, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.main != nil {
		return nil, errors.New("ld: a program is loaded already")
	}
	file, err := read(f, size, name)
	if err != nil {
		return nil, err
	}
	if file.Entry == 0 {
		return nil, fmt.Errorf("%s: a shared library without an entry point cannot be run", name)
	}
	if file.Interp == "" {
		return l.loadStatic(name, f, file)
	}
	if err := l.checkForeign(file); err != nil {
		return nil, err
	}
	g := l.newGraph()
	main := g.add(name, name, identity(f), file, nil)
	l.main = main
	if err := l.loadInitial(g, main); err != nil {
		l.rollback(g)
		l.main = nil
		return nil, err
	}
	l.started, l.tlsInitial = true, len(l.tls)
	p := l.program(main.image)
	p.Phdr = main.phdr
	p.Dynamic = true
	return p, nil
}

// LibC is the library in which a domain without a program begins.
const LibC = "libc.so"

// LoadLibrary loads a library and everything it needs into a domain that has no
// program: the library stands where a program would, first in the global scope.
// The entry point is that of the C library, which is loaded in any case. It does
// not close f.
//
// Preconditions: called once, and LoadProgram is not.
func (l *Linker) LoadLibrary(name string, f File, size int64) (*Program, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.main != nil {
		return nil, errors.New("ld: a program is loaded already")
	}
	file, err := read(f, size, name)
	if err != nil {
		return nil, err
	}
	switch {
	case file.Dynamic == nil:
		return nil, fmt.Errorf("%s: not a shared library: it has no dynamic section", name)
	case file.Type == loader.TypeProgram, file.Dynamic.Flags1&loader.DF1PIE != 0, file.Interp != "":
		return nil, fmt.Errorf("%s: a program, not a shared library: link it with -shared", name)
	}
	if err := l.checkForeign(file); err != nil {
		return nil, err
	}
	g := l.newGraph()
	main := g.add(name, name, identity(f), file, nil)
	if file.Dynamic.SoName != LibC && !slices.Contains(main.needed, LibC) {
		main.needed = append(slices.Clip(main.needed), LibC)
	}
	l.main = main
	err = l.loadInitial(g, main)
	libc := g.byName(LibC)
	if err == nil && (libc == nil || libc.file.Entry == 0) {
		err = fmt.Errorf("%s: has no entry point: it is not the C library of the sandbox", LibC)
	}
	if err != nil {
		l.rollback(g)
		l.main = nil
		return nil, err
	}
	l.started, l.tlsInitial = true, len(l.tls)
	p := l.program(main.image)
	p.Entry = libc.file.Entry + libc.bias
	p.Phdr = main.phdr
	p.Dynamic = true
	for _, o := range g.added {
		lo, n := o.image.Extent()
		p.End = max(p.End, uint32(uint64(lo)+n))
	}
	return p, nil
}

// hostObject stands for the host where something binds to one of its functions.
var hostObject = &object{name: "the host", dyn: &loader.Dynamic{}, initial: true, state: stateLive}

func (l *Linker) loadStatic(name string, f File, file *loader.File) (*Program, error) {
	m, err := l.loader.Map(l.cfg.Cage, file, loader.Anywhere)
	if err != nil {
		return nil, err
	}
	l.trace("%s: static, bias %#x", name, m.Bias)
	o := &object{name: name, path: name, id: identity(f), file: file, dyn: file.Dynamic, image: m, bias: m.Bias, initial: true, state: stateLive}
	l.main = o
	l.objects = []*object{o}
	file.ReleaseContents()
	p := l.program(m)
	if file.PhdrAddr != 0 {
		p.Phdr = file.PhdrAddr + m.Bias
	}
	return p, nil
}

func (l *Linker) program(m *loader.Image) *Program {
	lo, size := m.Extent()
	return &Program{
		Name: m.File.Name, Entry: m.File.Entry + m.Bias, Bias: m.Bias,
		Phnum: m.File.PhdrNum, Phent: 56, End: uint32(uint64(lo) + size),
	}
}

// identity tells a file from others, nil when it cannot.
func identity(f File) any {
	switch f := f.(type) {
	case Identifier:
		return f.Identity()
	case *os.File:
		if info, err := f.Stat(); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok {
				return [2]uint64{st.Dev, st.Ino}
			}
		}
	}
	return nil
}
