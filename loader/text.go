package loader

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"runtime"
	"sync"

	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/internal/lru"
	"github.com/halite-run/halite/validator"
)

// hlt fills what is left of the last page of code, and what precedes code on
// its first page. One byte long and privileged: a fault wherever it is entered.
const hlt = 0xf4

// maxTextErrors bounds what one refused segment reports when it is loaded;
// Verify has a limit of its own.
const maxTextErrors = 10

// padText returns the whole pages that a piece of code will occupy, and the
// address of the first of them.
func padText(code []byte, addr uint32) (pages []byte, start uint32) {
	start = pageDown(addr)
	end := pageUp(uint64(addr) + uint64(len(code)))
	pages = make([]byte, end-uint64(start))
	head := int(addr - start)
	n := copy(pages[head:], code)
	fillHlt(pages[:head])
	fillHlt(pages[head+n:])
	return pages, start
}

func fillHlt(b []byte) {
	for i := range b {
		b[i] = hlt
	}
}

// parallelBytes is how much code is worth more than one processor.
const parallelBytes = 1 << 20

// workers is how many goroutines share the work on n bytes of code.
func workers(n int) int {
	if n < parallelBytes {
		return 1
	}
	return runtime.GOMAXPROCS(0)
}

// hashText is the hash by which code is known: of the hashes of its pieces, so
// that several processors can share the work on a large one.
func hashText(pages []byte) (sum [sha256.Size]byte) {
	const piece = 256 << 10
	n := (len(pages) + piece - 1) / piece
	sums := make([]byte, n*sha256.Size+8)
	one := func(i int) {
		s := sha256.Sum256(pages[i*piece : min((i+1)*piece, len(pages))])
		copy(sums[i*sha256.Size:], s[:])
	}
	if w := workers(len(pages)); w > 1 {
		var wg sync.WaitGroup
		for k := range w {
			wg.Go(func() {
				for i := k; i < n; i += w {
					one(i)
				}
			})
		}
		wg.Wait()
	} else {
		for i := range n {
			one(i)
		}
	}
	le.PutUint64(sums[n*sha256.Size:], uint64(len(pages)))
	return sha256.Sum256(sums)
}

// checkText is the door through which all code of files passes: whatever is
// mapped executable comes from here. code is the reader's own copy, which nobody
// writes any more. It becomes a sealed text for offset `at`, adjusted to
// the engine's thread pointer and validated as it will stand there, or it comes
// to nothing. The caller gives the text back with texts.done.
func (l *Loader) checkText(name string, code *pages, at uint32) (text *cachedText, errs []*validator.Error, more bool, err error) {
	key := l.textKey(code, at)
	if text = texts.get(key); text != nil {
		return text, nil, false, nil
	}
	if !l.recall(code, &key) {
		var loads []uint32
		loads, errs, more, err = prepareText(code, &key)
		if err != nil || len(errs) > 0 {
			return nil, errs, more, err
		}
		if l.Verdicts != nil {
			r := &verdict{loads: loads, sum: code.sum}
			if len(loads) > 0 {
				r.sum = hashText(code.bytes)
			}
			l.Verdicts.store(&key, r)
		}
	}
	sealed, err := cage.NewText(name, code.bytes, at)
	if err != nil {
		return nil, nil, false, err
	}
	return texts.put(key, sealed), nil, false, nil
}

func (l *Loader) textKey(code *pages, at uint32) textKey {
	disp := l.ThreadPointer
	if disp == 0 {
		disp = validator.DefaultThreadPointer
	}
	return textKey{code.sum, validator.Halite, at, disp, validator.HostFeatures()}
}

// recall tells whether the code is known to be safe from another process, and
// adjusts it to the thread pointer as it was then. The result has to be what was
// validated, to the last bit.
func (l *Loader) recall(code *pages, key *textKey) bool {
	if l.Verdicts == nil {
		return false
	}
	r, ok := l.Verdicts.find(key)
	switch {
	case !ok:
		return false
	case len(r.loads) == 0:
		return r.sum == code.sum
	}
	b := bytes.Clone(code.bytes)
	for _, i := range r.loads {
		if uint64(i)+4 > uint64(len(b)) {
			return false
		}
		le.PutUint32(b[i:], uint32(key.disp))
	}
	if hashText(b) != r.sum {
		return false
	}
	code.bytes = b
	return true
}

// prepareText validates code for one place, and adjusts them to an engine
// whose thread pointer stands at another displacement than files say. Only the
// bytes that the validator names are changed, and the result is validated
// again: the second verdict is the one that counts.
func prepareText(code *pages, key *textKey) (loads []uint32, errs []*validator.Error, more bool, err error) {
	o := validator.Options{
		ABI: key.abi, Offset: key.at, Features: key.features,
		MaxErrors: maxTextErrors, Workers: workers(len(code.bytes)),
		CollectThreadPointerLoads: key.disp != validator.DefaultThreadPointer,
	}
	r, err := validator.Validate(code.bytes, o)
	if err != nil || !r.OK() || len(r.ThreadPointerLoads) == 0 {
		return nil, r.Errors, r.Truncated, err
	}
	loads = r.ThreadPointerLoads
	b := bytes.Clone(code.bytes)
	for _, i := range loads {
		le.PutUint32(b[i:i+4], uint32(key.disp))
	}
	code.bytes = b
	o.ThreadPointer, o.CollectThreadPointerLoads = key.disp, false
	r, err = validator.Validate(b, o)
	return loads, r.Errors, r.Truncated, err
}

// texts remembers validated code and its read-only copy, for all cages of the
// process.
//
// The key is a hash that we compute over the private copy that is about to be
// mapped: whoever controls the file does not control the cache. A verdict holds
// for one offset, because branches and rip-relative operands are judged by
// where they lead.
var texts = textCache{m: lru.New[textKey](maxCachedTexts, maxCachedBytes, (*cachedText).leave)}

const (
	maxCachedTexts = 128
	maxCachedBytes = 256 << 20
)

// textKey is all that a verdict depends on, but for the rules.
type textKey struct {
	sum      [sha256.Size]byte // hashText of the code as the file has it, padded
	abi      validator.ABI
	at       uint32
	disp     int32 // of the thread pointer
	features validator.Features
}

type textCache struct {
	mu sync.Mutex
	m  *lru.Map[textKey, *cachedText]
}

// cachedText is one text. Its reference is released when it is neither in the
// cache nor being mapped.
type cachedText struct {
	key    textKey
	text   *cage.Text
	users  int // calls that are mapping it
	cached bool
}

// leave is what happens to it when the cache gives it up. The cache is locked.
func (c *cachedText) leave() {
	c.cached = false
	if c.users == 0 {
		c.text.Release()
	}
}

// get returns the text for key, to be given back by done, or nil.
func (t *textCache) get(key textKey) *cachedText {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, ok := t.m.Get(key)
	if ok {
		c.users++
	}
	return c
}

// put takes over the reference to a new text and returns the one to use, to be
// given back by done: somebody else may have been faster.
func (t *textCache) put(key textKey, text *cage.Text) *cachedText {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c, ok := t.m.Get(key); ok {
		text.Release()
		c.users++
		return c
	}
	c := &cachedText{key: key, text: text, users: 1}
	if text.Len() <= maxCachedBytes/2 {
		c.cached = true
		t.m.Put(key, c, text.Len())
	}
	return c
}

// done gives back what get and put returned.
func (t *textCache) done(c *cachedText) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.users--; c.users == 0 && !c.cached {
		c.text.Release()
	}
}

// FlushTextCache forgets all verdicts. Code that is mapped stays mapped.
func FlushTextCache() {
	texts.mu.Lock()
	defer texts.mu.Unlock()
	texts.m.Flush()
}

// textError dresses up what the validator found.
func (f *File) textError(s *Segment, errs []*validator.Error, more bool) error {
	return &TextError{File: f.Name, Segment: s.Index, Address: pageDown(s.Addr), Errors: errs, More: more, symbolAt: f.symbolNear}
}

// symbolNear names the dynamic symbol that covers an address, "" for none.
func (f *File) symbolNear(addr uint32) string {
	if f.Dynamic == nil {
		return ""
	}
	_, s, ok := f.Dynamic.Nearest(addr, SymFunc)
	if !ok {
		return ""
	}
	name := f.Dynamic.Name(s)
	if uint64(addr) == s.Value {
		return name
	}
	return fmt.Sprintf("%s+%#x", name, uint64(addr)-s.Value)
}
