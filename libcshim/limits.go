package libcshim

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/runtime"
)

// An OutputLimitError is the end of a process that wrote more than
// Config.MaxOutput.
type OutputLimitError struct{ Max int64 }

func (e *OutputLimitError) Error() string {
	return fmt.Sprintf("halite: the guest has written more than %d bytes of output", e.Max)
}

// An output counts what the processes of a tree write to Stdout and Stderr.
type output struct {
	max  int64
	used atomic.Int64
	tree *tree
}

// limitOutput puts a count in front of both, if there is a limit.
func limitOutput(cfg *Config, t *tree) {
	if cfg.MaxOutput <= 0 {
		return
	}
	o := &output{max: cfg.MaxOutput, tree: t}
	if cfg.Stdout != nil {
		cfg.Stdout = &countedWriter{cfg.Stdout, o}
	}
	if cfg.Stderr != nil {
		cfg.Stderr = &countedWriter{cfg.Stderr, o}
	}
}

// exceeded ends the first process, and thereby the others.
func (o *output) exceeded() error {
	e := &OutputLimitError{o.max}
	o.tree.mu.Lock()
	defer o.tree.mu.Unlock()
	if p := o.tree.root.image; p != nil {
		p.dom.End(runtime.Ending{Signal: int(unix.SIGXFSZ), Err: e})
	}
	return e
}

// countedWriter is a writer whose bytes are counted.
type countedWriter struct {
	w io.Writer
	o *output
}

func (l *countedWriter) Write(b []byte) (int, error) {
	left := l.o.max - (l.o.used.Add(int64(len(b))) - int64(len(b)))
	if left >= int64(len(b)) {
		return l.w.Write(b)
	}
	n, err := 0, error(nil)
	if left > 0 {
		n, err = l.w.Write(b[:left])
	}
	if e := l.o.exceeded(); err == nil {
		err = e
	}
	return n, err
}

// Suspend stops the guest until Resume, see runtime.Domain.Suspend; not the processes
// that it has started. A program that replaces itself in between (execve) runs.
func (p *Process) Suspend(ctx context.Context) error { return p.current().dom.Suspend(ctx) }

// Resume takes one Suspend back.
func (p *Process) Resume() { p.current().dom.Resume() }

// Stats returns figures about the process's domain.
func (p *Process) Stats() runtime.Stats { return p.current().dom.Stats() }
