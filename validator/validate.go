package validator

import (
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
)

// Validate decides whether text may be executed in a sandbox at o.Offset.
//
// The Result holds the reasons against it; the error return is for misuse
// only: an ABI that is not built in, a text that is no multiple of a bundle or
// does not fit into the sandbox. Nothing is executable unless the error is nil
// and the result is OK.
//
// Preconditions: text does not change while Validate reads it.
func Validate(text []byte, o Options) (Result, error) {
	var c checker
	if err := c.prepare(text, &o); err != nil {
		return Result{}, err
	}
	r := Result{onlyNonTemporal: true}
	if n := min(o.Workers, len(text)/minWorkerBytes); n > 1 {
		c.scanParallel(&r, &o, n)
	} else {
		c.scan(&r, &o)
	}
	c.finish(&r, &o)
	return r, nil
}

// minWorkerBytes is the least text that is worth a goroutine of its own.
const minWorkerBytes = 128 << 10

// partsPerWorker is how many parts of the text a goroutine takes on average, one
// after the other, so that one that is held up does less.
const partsPerWorker = 4

// scanParallel is scan by n goroutines.
func (c *checker) scanParallel(r *Result, o *Options, n int) {
	bundles := len(c.starts)
	jumped := make([]uint32, (n-1)*bundles)
	results := make([]Result, n*partsPerWorker)
	options := *o // not *o itself, which would move to the heap in every case
	var next atomic.Int64
	var wg sync.WaitGroup
	for worker := range n {
		part := *c
		if worker > 0 {
			part.jumped = jumped[(worker-1)*bundles:][:bundles:bundles]
		}
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(results) {
					return
				}
				part.lo = uint(bundles * i / len(results) * BundleSize)
				part.hi = uint(bundles * (i + 1) / len(results) * BundleSize)
				results[i].onlyNonTemporal = true
				part.scan(&results[i], &options)
			}
		})
	}
	wg.Wait()
	for i := range results {
		p := &results[i]
		r.Truncated = r.Truncated || p.Truncated
		r.onlyNonTemporal = r.onlyNonTemporal && p.onlyNonTemporal
		r.ThreadPointerLoads = append(r.ThreadPointerLoads, p.ThreadPointerLoads...)
		for _, e := range p.Errors {
			if len(r.Errors) == o.MaxErrors {
				r.Truncated = true
				break
			}
			r.Errors = append(r.Errors, e)
		}
	}
	for ; len(jumped) > 0; jumped = jumped[bundles:] {
		for i, x := range jumped[:bundles] {
			c.jumped[i] |= x
		}
	}
}

// prepare checks the arguments, fills in what the options left open, and sets
// up the checker.
func (c *checker) prepare(text []byte, o *Options) error {
	switch {
	case o.ABI > X86_32:
		return fmt.Errorf("validator: unknown %s", o.ABI)
	case o.Offset%BundleSize != 0:
		return fmt.Errorf("validator: text offset %#x is not a multiple of %d", o.Offset, BundleSize)
	case len(text)%BundleSize != 0:
		return fmt.Errorf("validator: text length %#x is not a multiple of %d; pad it with hlt (f4)", len(text), BundleSize)
	case uint64(o.Offset)+uint64(len(text)) > 1<<32:
		return fmt.Errorf("validator: text of %#x bytes at offset %#x leaves the sandbox", len(text), o.Offset)
	}
	if o.ThreadPointer == 0 {
		o.ThreadPointer = DefaultThreadPointer
	}
	if o.MaxErrors <= 0 {
		o.MaxErrors = 10
	}
	bundles := len(text) / BundleSize
	bitmap := make([]uint32, 2*bundles)
	*c = checker{
		text:     text,
		base:     int64(o.Offset),
		thread:   uint32(o.ThreadPointer),
		starts:   bitmap[:bundles:bundles],
		jumped:   bitmap[bundles:],
		hi:       uint(len(text)),
		abi:      o.ABI,
		fast:     automata[o.ABI](),
		features: o.Features,
	}
	return nil
}

// finish judges the branches that scan has noted.
func (c *checker) finish(r *Result, o *Options) {
	for i, j := range c.jumped {
		if j&^c.starts[i] != 0 {
			c.findBadBranches(r, o)
			break
		}
	}
	if o.CollectTargets {
		r.Targets = c.starts
	}
}

// stepAny is step of the checker's ABI.
func (c *checker) stepAny(p uint) (uint, ruleID) {
	if c.abi == Halite {
		return c.step(p)
	}
	return c.stepNaCl(p)
}

// scan walks over all bundles, collecting instruction starts, branch targets,
// errors and thread pointer loads.
func (c *checker) scan(r *Result, o *Options) {
	var t [atOnce]trace
	for off := c.lo; off < c.hi; {
		if c.hi-off >= atOnce*BundleSize {
			c.fast.run((*[atOnce * BundleSize]byte)(c.text[off:]), &t)
			for i := range uint(atOnce) {
				c.scanBundle(r, o, off+i*BundleSize, &t[i])
			}
			off += atOnce * BundleSize
			continue
		}
		c.fast.runFrom((*[BundleSize]byte)(c.text[off:]), 0, &t[0])
		c.scanBundle(r, o, off, &t[0])
		off += BundleSize
	}
}

// scanBundle is scan for a bundle that the fast path has read.
func (c *checker) scanBundle(r *Result, o *Options, off uint, t *trace) {
	c.zx, c.inner = noReg, 0
	p, starts := c.settle(off, 0, t)
	if p < BundleSize {
		c.load(int(off))
		starts |= c.scanRest(r, o, p, t)
	}
	c.starts[off/BundleSize] = starts &^ c.inner
}

// scanRest goes on in the current bundle from p on, where the fast path has
// stopped. It returns the starts from there on.
func (c *checker) scanRest(r *Result, o *Options, p uint, t *trace) (starts uint32) {
	for p < BundleSize {
		n, broken := c.stepAny(p)
		starts |= 1 << p
		if broken != ruleNone {
			c.report(r, o, p, n, broken)
			if n == 0 {
				// Where the next instruction begins is unknown. Do not
				// blame the branches into this bundle for that.
				starts |= ^uint32(0) << p
				c.zx = noReg
				break
			}
		}
		c.noteThreadLoad(r, o, broken)
		p += n
		if p < BundleSize && c.zx != regSP && c.zx != regBP {
			c.fast.runFrom((*[BundleSize]byte)(c.buf[:]), p, t)
			var more uint32
			p, more = c.settle(uint(c.bundle), p, t)
			starts |= more
		}
	}
	if c.zx == regSP || c.zx == regBP {
		c.report(r, o, BundleSize, 0, ruleSPAlone+ruleID(c.zx-regSP))
	}
	return starts
}

// noteThreadLoad adds the instruction that step has just judged to the result,
// if it is an accepted thread pointer load and these are asked for.
func (c *checker) noteThreadLoad(r *Result, o *Options, broken ruleID) {
	if c.threadLoad == 0 {
		return
	}
	if o.CollectThreadPointerLoads && broken == ruleNone {
		r.ThreadPointerLoads = append(r.ThreadPointerLoads, uint32(c.bundle+c.threadLoad))
	}
	c.threadLoad = 0
}

// findBadBranches walks over the text once more to find who jumps to places
// where no instruction starts.
func (c *checker) findBadBranches(r *Result, o *Options) {
	c.checkTargets = true
	for off := 0; off < len(c.text); off += BundleSize {
		c.load(off)
		for s := c.starts[off/BundleSize]; s != 0; s &= s - 1 {
			p := uint(bits.TrailingZeros32(s))
			c.zx = noReg
			n, broken := c.stepAny(p)
			if broken == ruleJumpTarget {
				c.report(r, o, p, n, broken)
			}
			if n == 0 {
				break // from here on the starts are made up
			}
		}
	}
}

// report adds an error to the result, or notes that there was one too many.
func (c *checker) report(r *Result, o *Options, p, n uint, id ruleID) {
	if id != ruleNonTemporal {
		r.onlyNonTemporal = false
	}
	if len(r.Errors) >= o.MaxErrors {
		r.Truncated = true
		return
	}
	off := c.bundle + int(p)
	end := off + int(n)
	if n == 0 || end > len(c.text) {
		// Unknown length: show what may belong to it.
		end = min(off+15, len(c.text))
	}
	detail := ruleText[id].text
	if s := naclText[id]; s != "" && o.ABI != Halite {
		detail = s
	}
	code := append([]byte(nil), c.text[off:end]...)
	target := int64(-1)
	if id == ruleJumpTarget {
		target = c.target
	}
	r.Errors = append(r.Errors, &Error{
		Offset: uint32(off),
		Rule:   ruleText[id].name,
		Code:   code,
		Detail: detail,
		Target: target,
		mode:   c.abi.mode(),
	})
}
