package dyncode

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/validator"
)

const (
	bundle = validator.BundleSize
	hlt    = 0xf4
	hlts   = 0xf4f4f4f4 // a word of them
)

// DefaultSize is the address space that a Region sets aside if it is not told.
const DefaultSize = 64 << 20

// MaxPending bounds the deletions that wait for threads.
const MaxPending = 64

// Threads proves that deleted code is out of use.
type Threads interface {
	// Retire is called when nothing in [start, end) can be entered any more
	// but by a return. The proof that it gives back is asked until it is true:
	// no thread has a return address or a saved instruction pointer there.
	Retire(start, end uint32) (proof func() bool)
}

// Config describes a Region.
type Config struct {
	At   uint32 // offset in the sandbox, a multiple of 64 KiB; 0: anywhere, best below 2 GiB
	Size uint64 // a multiple of 64 KiB; 0: DefaultSize

	// ThreadPointer is the displacement of the engine's thread pointer word;
	// code is adjusted to it. 0 means what code says.
	ThreadPointer int32

	// ABI is that of the domain. In the classic one, return addresses lead to
	// bundles, of which each is safe at any time.
	ABI validator.ABI

	Threads Threads
}

// Region is the dynamic code of one domain. Its methods may be called from any
// goroutine.
type Region struct {
	dyn     *cage.Dynamic
	base    uint32
	end     uint32
	threads Threads
	options validator.Options

	// What follows is guarded by the lock of dyn.
	units   []*unit
	pending map[uint32]func() bool // proofs of deletions, by the start of the piece
	patches atomic.Uint64          // times that Modify put a hlt in the way
	from    *Region                // that units and pending are of still; nil: they are ours

	large sync.Mutex // see Admit
}

// Admit makes those take turns who are about to copy much code of the guest's, so
// that a guest with many threads can't make the host hold many copies. done is
// called when the copy is of no use any more.
func (r *Region) Admit(n uint64) (done func()) {
	if n <= cage.DynamicUnit {
		return func() {}
	}
	r.large.Lock()
	return r.large.Unlock
}

// unit says of each bundle in 64 KiB which piece it belongs to: where that
// starts, with flags in the lowest bits, or 0.
type unit struct {
	owner [cage.DynamicUnit / bundle]uint32
	used  bool // code stood here before
}

const (
	flagMapped   = 1 << iota // came from MapFile: stays as it is
	flagDeleting             // Delete has begun
	flags        = flagMapped | flagDeleting
)

// New sets a Region aside in a cage.
func New(c *cage.Cage, conf Config) (*Region, error) {
	if conf.Size == 0 {
		conf.Size = DefaultSize
	}
	if conf.Threads == nil {
		return nil, errors.New("dyncode: Config.Threads is missing")
	}
	d, err := reserve(c, conf.At, conf.Size)
	if err != nil {
		return nil, fmt.Errorf("dyncode: %d bytes for dynamic code: %w", conf.Size, err)
	}
	return &Region{
		dyn: d, base: d.Offset(), end: d.Offset() + uint32(d.Len()), threads: conf.Threads,
		options: validator.Options{ABI: conf.ABI, ThreadPointer: conf.ThreadPointer, Features: validator.HostFeatures()},
		units:   make([]*unit, d.Len()/cage.DynamicUnit),
		pending: map[uint32]func() bool{},
	}, nil
}

// Copy makes the Region of a cage that was made from a Snapshot of this one's cage. It
// costs nothing before something changes there. Deletions that waited for threads wait
// for those of the copy: threads is asked anew, when it is first about to matter.
func (r *Region) Copy(c *cage.Cage, threads Threads) (*Region, error) {
	d := cage.CopiedDynamic(c, r.base)
	if d == nil || d.Len() != r.dyn.Len() || !r.dyn.Frozen() {
		return nil, errors.New("dyncode: a copy of a region in a cage that is no copy")
	}
	from := r
	for from.from != nil { // in which nothing has changed either
		from = from.from
	}
	return &Region{dyn: d, base: r.base, end: r.end, threads: threads, options: r.options, from: from}, nil
}

// lock gives the writable view, and the caller the right to what it guards.
func (r *Region) lock() (view []byte, err error) {
	if view, err = r.dyn.Lock(); err != nil || r.from == nil {
		return view, err
	}
	// A Region that is copied does not change any more.
	from := r.from
	r.units = make([]*unit, len(from.units))
	for i, u := range from.units {
		if u != nil {
			mine := *u
			r.units[i] = &mine
		}
	}
	r.pending = map[uint32]func() bool{}
	for start := range from.pending {
		_, end, _, _ := r.piece(start)
		r.pending[start] = r.threads.Retire(start, end)
	}
	r.from = nil
	return view, nil
}

// Where a Region goes that may go anywhere: within reach of a direct call to the
// trampolines, and out of the way of programs, which stand at the bottom, and of
// everything that the cage places, from the top.
const (
	placeLow  = 1 << 30
	placeHigh = 1<<31 - 1<<20
	placeStep = 64 << 20
)

func reserve(c *cage.Cage, at uint32, size uint64) (*cage.Dynamic, error) {
	if at == 0 {
		for p := uint64(placeLow); p+size <= placeHigh; p += placeStep {
			if d, err := cage.NewDynamic(c, uint32(p), size); !errors.Is(err, cage.ErrExists) {
				return d, err
			}
		}
	}
	return cage.NewDynamic(c, at, size)
}

// Extent returns the range that is set aside. The last bundle can't be written.
func (r *Region) Extent() (start, end uint32) { return r.base, r.end }

// Error says why a call was refused.
type Error struct {
	Op    string // "create", "modify", "delete" or "map"
	Start uint32
	Size  uint64
	Errno syscall.Errno
	Err   error
}

func (e *Error) Error() string {
	return fmt.Sprintf("dyncode: %s %#x bytes at %#x: %v (%v)", e.Op, e.Size, e.Start, e.Err, e.Errno)
}

// Unwrap gives errors.Is the number, and errors.As the validator's error.
func (e *Error) Unwrap() []error { return []error{e.Errno, e.Err} }

func fail(op string, at uint32, size uint64, no syscall.Errno, format string, args ...any) error {
	return &Error{op, at, size, no, fmt.Errorf(format, args...)}
}

// Create puts code, whole bundles, at dest, a multiple of the bundle size, where
// nothing is. code becomes the Region's: it may be changed.
//
// EINVAL: not whole bundles, refused by the validator, or over other code;
// EFAULT: outside of the range; ENOMEM: no memory for it.
func (r *Region) Create(dest uint32, code []byte) error {
	return r.create("create", dest, code, 0)
}

func (r *Region) create(op string, dest uint32, code []byte, flag uint32) error {
	n := uint64(len(code))
	if err := r.checkCreate(op, dest, n); err != nil || n == 0 {
		return err
	}
	view, err := r.lock()
	if err != nil {
		return &Error{op, dest, n, syscall.EINVAL, err}
	}
	defer r.dyn.Unlock()
	if err := r.validate(op, dest, code); err != nil {
		return err
	}
	if at, ok := r.firstUsed(dest, n); ok {
		return fail(op, dest, n, syscall.EINVAL, "there is code at %#x already", at)
	}
	lo := uint64(dest - r.base)
	if err := r.dyn.Open(lo, lo+n); err != nil {
		return &Error{op, dest, n, syscall.ENOMEM, err}
	}
	used := r.own(dest, n, dest|flag)
	to := view[lo : lo+n]
	writeTails(to, code)
	if used {
		// A CPU may hold decoded instructions of what stood here. If the
		// kernel has no barrier for that, stores reach it in their own time,
		// as on the first use: x86 keeps instruction fetch coherent.
		_ = serialize()
	}
	writeHeads(to, code)
	return nil
}

// checkCreate makes the checks of a creation that come before validation.
func (r *Region) checkCreate(op string, dest uint32, n uint64) error {
	switch end := uint64(dest) + n; {
	case dest%bundle != 0 || n%bundle != 0:
		return fail(op, dest, n, syscall.EINVAL, "not whole bundles of %d bytes", bundle)
	case dest == 0 || end > cage.Size:
		return fail(op, dest, n, syscall.EFAULT, "outside of the sandbox")
	case dest < r.base || end > uint64(r.end-bundle):
		return fail(op, dest, n, syscall.EFAULT, "dynamic code goes to %#x..%#x", r.base, r.end-bundle)
	}
	return nil
}

// validate judges code for its place. Thread pointer loads are adjusted after a
// first verdict; the second one is what counts.
func (r *Region) validate(op string, dest uint32, code []byte) error {
	o := r.options
	o.Offset, o.ThreadPointer = dest, 0
	res, err := validator.Rewrite(code, o)
	if p := r.options.ThreadPointer; err == nil && res.OK() && p != 0 && p != validator.DefaultThreadPointer {
		o.CollectThreadPointerLoads = true
		if res, err = validator.Validate(code, o); err == nil && res.OK() {
			for _, i := range res.ThreadPointerLoads {
				putWord(code, int(i), uint32(p))
			}
			o.ThreadPointer = p
			res, err = validator.Validate(code, o)
		}
	}
	if err == nil {
		err = res.Err()
	}
	if err != nil {
		return &Error{op, dest, uint64(len(code)), syscall.EINVAL, err}
	}
	return nil
}

func (r *Region) ownerOf(at uint32) uint32 {
	i := at - r.base
	u := r.units[i/cage.DynamicUnit]
	if u == nil {
		return 0
	}
	return u.owner[i%cage.DynamicUnit/bundle]
}

// firstUsed finds the first bundle of a range that belongs to a piece of code.
func (r *Region) firstUsed(at uint32, n uint64) (uint32, bool) {
	for end := uint64(at) + n; uint64(at) < end; at += bundle {
		if r.ownerOf(at) != 0 {
			return at, true
		}
	}
	return 0, false
}

// own notes whom bundles belong to, and tells whether code had stood there.
func (r *Region) own(at uint32, n uint64, owner uint32) (used bool) {
	for i := uint64(at - r.base); n > 0; i, n = i+bundle, n-bundle {
		u := r.units[i/cage.DynamicUnit]
		if u == nil {
			u = new(unit)
			r.units[i/cage.DynamicUnit] = u
		}
		u.owner[i%cage.DynamicUnit/bundle] = owner
		used = used || u.used
		u.used = u.used || owner == 0
	}
	return used
}

// piece returns the piece of code that a place belongs to.
func (r *Region) piece(at uint32) (start, end, flag uint32, ok bool) {
	if at < r.base || at >= r.end {
		return 0, 0, 0, false
	}
	owner := r.ownerOf(at)
	if owner == 0 {
		return 0, 0, 0, false
	}
	start, flag = owner&^flags, owner&flags
	for end = at&^(bundle-1) + bundle; end < r.end && r.ownerOf(end) == owner; end += bundle {
	}
	return start, end, flag, true
}

// Modify replaces bytes inside one piece of code that Create has put there, while
// threads may be executing it. dest need not be aligned. Instructions keep their
// places; see validator.ValidateReplacement for what may change.
//
// EFAULT: not inside one piece; EINVAL: refused by the validator, or the CPU
// can't be told.
func (r *Region) Modify(dest uint32, code []byte) error {
	const op = "modify"
	n := uint64(len(code))
	if n == 0 {
		return nil
	}
	view, err := r.lock()
	if err != nil {
		return &Error{op, dest, n, syscall.EINVAL, err}
	}
	defer r.dyn.Unlock()
	_, end, flag, ok := r.piece(dest)
	if !ok || uint64(dest)+n > uint64(end) {
		return fail(op, dest, n, syscall.EFAULT, "not inside of one piece of dynamic code")
	}
	if flag&flagMapped != 0 {
		return fail(op, dest, n, syscall.EFAULT, "mapped code can't be changed")
	}
	if flag&flagDeleting != 0 {
		// Its heads are gone, and with them the boundaries that a thread which
		// still stands in it relies on.
		return fail(op, dest, n, syscall.EFAULT, "the code is being deleted")
	}
	start := dest &^ (bundle - 1)
	limit := (uint64(dest) + n + bundle - 1) &^ (bundle - 1)
	there := view[start-r.base : uint32(limit)-r.base]
	old := append([]byte(nil), there...)
	replacement := append([]byte(nil), old...)
	copy(replacement[dest-start:], code)
	o := r.options
	o.Offset, o.CollectTargets = start, true
	res, err := validator.ValidateReplacement(old, replacement, o)
	if err == nil {
		err = res.Err()
	}
	if err != nil {
		return &Error{op, dest, n, syscall.EINVAL, err}
	}
	if err := r.replace(there, old, replacement, res.Targets); err != nil {
		return &Error{op, dest, n, syscall.EINVAL, err}
	}
	return nil
}

// Delete takes away exactly one piece that Create has put there. EFAULT: there is
// no such piece. EAGAIN: it can't be entered any more, but a thread may still
// return into it; the same call, by anybody, goes on. A size of 0 does nothing.
func (r *Region) Delete(dest uint32, size uint64) error {
	const op = "delete"
	if size == 0 {
		return nil
	}
	view, err := r.lock()
	if err != nil {
		return &Error{op, dest, size, syscall.EINVAL, err}
	}
	defer r.dyn.Unlock()
	start, end, flag, ok := r.piece(dest)
	if !ok || start != dest || uint64(end-start) != size {
		return fail(op, dest, size, syscall.EFAULT, "this is not one piece of dynamic code")
	}
	if flag&flagMapped != 0 {
		return fail(op, dest, size, syscall.EFAULT, "mapped code can't be deleted")
	}
	if flag&flagDeleting == 0 {
		if len(r.pending) >= MaxPending {
			return fail(op, dest, size, syscall.EAGAIN, "%d deletions wait for threads", MaxPending)
		}
		clearHeads(view[start-r.base : end-r.base])
		r.own(start, size, start|flagDeleting)
		r.pending[start] = r.threads.Retire(start, end)
	}
	if !r.pending[start]() {
		return fail(op, dest, size, syscall.EAGAIN, "a thread may still return into it")
	}
	delete(r.pending, start)
	r.own(start, size, 0)
	return nil
}

// Map puts code there for good: it can be neither modified nor deleted. It is
// what a mapping of a file with PROT_EXEC comes to; the bytes are a copy, so that
// whoever writes the file later changes nothing.
func (r *Region) Map(dest uint32, code []byte) error {
	return r.create("map", dest, code, flagMapped)
}

// Retry tells whether a thread that faulted at pc may have met the hlt that
// Modify puts in the way, and should try once more. stamp is what the last Retry
// of this thread returned; the same fault is not tried again until something has
// been modified since.
func (r *Region) Retry(pc uint32, stamp uint64) (next uint64, again bool) {
	if pc < r.base || pc >= r.end {
		return stamp, false
	}
	now := r.patches.Load()
	// Wait for the one who is at it. The next one counts as another.
	if !r.dyn.Settle() {
		return stamp, false
	}
	return now, now != stamp
}
