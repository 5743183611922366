package loader

import (
	"container/list"
	"crypto/sha256"
	"fmt"
	"sync"

	"github.com/halite-run/halite/internal/cage"
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

// checkText is the door through which all code of files passes: whatever is
// mapped executable comes from here. code is private to the image: nobody else
// can write it any more. It becomes a sealed text for offset `at`, adjusted to
// the engine's thread pointer and validated as it will stand there, or it comes
// to nothing. The caller gives the text back with texts.done.
func (l *Loader) checkText(name string, code *pages, at uint32) (text *cachedText, errs []*validator.Error, more bool, err error) {
	disp := l.ThreadPointer
	if disp == 0 {
		disp = validator.DefaultThreadPointer
	}
	key := textKey{code.sum, at, disp}
	if text = texts.get(key); text != nil {
		return text, nil, false, nil
	}
	errs, more, err = prepareText(code.bytes, at, disp)
	if err != nil || len(errs) > 0 {
		return nil, errs, more, err
	}
	sealed, err := cage.NewText(name, code.bytes, at)
	if err != nil {
		return nil, nil, false, err
	}
	return texts.put(key, sealed), nil, false, nil
}

// prepareText validates pages for one place, and adjusts them to an engine
// whose thread pointer stands at another displacement than files say. Only the
// bytes that the validator names are changed, and the result is validated
// again: the second verdict is the one that counts.
func prepareText(pages []byte, at uint32, disp int32) (errs []*validator.Error, more bool, err error) {
	patch := disp != validator.DefaultThreadPointer
	r, err := validator.Validate(pages, validator.Options{Offset: at, MaxErrors: maxTextErrors, CollectThreadPointerLoads: patch})
	if err != nil || !r.OK() || !patch || len(r.ThreadPointerLoads) == 0 {
		return r.Errors, r.Truncated, err
	}
	for _, i := range r.ThreadPointerLoads {
		le.PutUint32(pages[i:i+4], uint32(disp))
	}
	r, err = validator.Validate(pages, validator.Options{Offset: at, MaxErrors: maxTextErrors, ThreadPointer: disp})
	return r.Errors, r.Truncated, err
}

// texts remembers validated code and its read-only copy, for all cages of the
// process.
//
// The key is a hash that we compute over the private copy that is about to be
// mapped: whoever controls the file does not control the cache. A verdict holds
// for one offset, because branches and rip-relative operands are judged by
// where they lead.
var texts = textCache{entries: map[textKey]*cachedText{}}

const (
	maxCachedTexts = 128
	maxCachedBytes = 256 << 20
)

type textKey struct {
	sum  [sha256.Size]byte
	at   uint32
	disp int32
}

type textCache struct {
	mu      sync.Mutex
	entries map[textKey]*cachedText
	recent  list.List // of *cachedText, most recently used first
	bytes   uint64
}

// cachedText is one text. Its reference is released when it is neither in the
// cache nor being mapped.
type cachedText struct {
	key   textKey
	text  *cage.Text
	users int           // calls that are mapping it
	where *list.Element // nil: not in the cache
}

// get returns the text for key, to be given back by done, or nil.
func (t *textCache) get(key textKey) *cachedText {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.entries[key]
	if c != nil {
		t.recent.MoveToFront(c.where)
		c.users++
	}
	return c
}

// put takes over the reference to a new text and returns the one to use, to be
// given back by done: somebody else may have been faster.
func (t *textCache) put(key textKey, text *cage.Text) *cachedText {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.entries[key]; c != nil {
		text.Release()
		c.users++
		return c
	}
	c := &cachedText{key: key, text: text, users: 1}
	if text.Len() > maxCachedBytes/2 {
		return c
	}
	c.where = t.recent.PushFront(c)
	t.entries[key] = c
	t.bytes += text.Len()
	for t.recent.Len() > maxCachedTexts || t.bytes > maxCachedBytes {
		t.drop(t.recent.Back().Value.(*cachedText))
	}
	return c
}

// done gives back what get and put returned.
func (t *textCache) done(c *cachedText) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.users--; c.users == 0 && c.where == nil {
		c.text.Release()
	}
}

// drop takes a text out of the cache.
//
// Preconditions: t.mu is held; c is in the cache.
func (t *textCache) drop(c *cachedText) {
	t.recent.Remove(c.where)
	c.where = nil
	delete(t.entries, c.key)
	t.bytes -= c.text.Len()
	if c.users == 0 {
		c.text.Release()
	}
}

// FlushTextCache forgets all verdicts. Code that is mapped stays mapped.
func FlushTextCache() {
	t := &texts
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.recent.Len() > 0 {
		t.drop(t.recent.Back().Value.(*cachedText))
	}
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
