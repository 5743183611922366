package imc

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A Registry turns endpoints into tokens, which are strings, and back: for
// those who can pass text but no descriptors. A token means something in its own
// registry only. It is a capability: 192 random bits that nobody can guess, and who
// learns it can use it until it expires or is revoked.
type Registry struct {
	max int

	mu     sync.Mutex
	closed bool
	// By the hash of the token: how long a look-up takes tells nothing about the
	// tokens that exist.
	entries map[[sha256.Size]byte]*entry
}

type entry struct {
	c     *ConnectEndpoint
	timer *time.Timer
}

// DefaultMaxTokens is how many tokens of a registry can be valid at once if nothing
// else is said.
const DefaultMaxTokens = 65536

// NewRegistry makes a registry of at most max tokens; 0 means DefaultMaxTokens.
func NewRegistry(max int) *Registry {
	if max == 0 {
		max = DefaultMaxTokens
	}
	return &Registry{max: max, entries: make(map[[sha256.Size]byte]*entry)}
}

// Register makes a token for the endpoint, of which it keeps a duplicate as long as
// the token is valid: for ttl, or until it is revoked if ttl is 0. Errors: ENFILE
// (the registry is full), EBADF (the endpoint or the registry is closed).
func (r *Registry) Register(c *ConnectEndpoint, ttl time.Duration) (string, error) {
	const op = "register"
	if ttl < 0 {
		return "", failure(op, KindConnectEndpoint, unix.EINVAL, "the time to live is negative")
	}
	d, err := c.Dup()
	if err != nil {
		return "", err
	}
	var b [24]byte
	_, _ = rand.Read(b[:]) // never fails
	token := base64.RawURLEncoding.EncodeToString(b[:])
	key := sha256.Sum256([]byte(token))
	r.mu.Lock()
	switch {
	case r.closed:
		err = failure(op, KindConnectEndpoint, unix.EBADF, "the registry is closed")
	case len(r.entries) >= r.max:
		err = failure(op, KindConnectEndpoint, unix.ENFILE, fmt.Sprintf("%d tokens are valid, more are not allowed", r.max))
	default:
		e := &entry{c: d.(*ConnectEndpoint)}
		if ttl > 0 {
			e.timer = time.AfterFunc(ttl, func() { r.remove(key, e) })
		}
		r.entries[key] = e
	}
	r.mu.Unlock()
	if err != nil {
		_ = d.Close()
		return "", err
	}
	return token, nil
}

// Lookup gives the endpoint of a token, which the caller closes. For a token that is
// not valid, whatever the reason, it gives one through which every connect fails with
// ECONNREFUSED: whether a token was ever valid can't be told.
func (r *Registry) Lookup(token string) *ConnectEndpoint {
	key := sha256.Sum256([]byte(token))
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.entries[key]; e != nil {
		if d, err := e.c.Dup(); err == nil {
			return d.(*ConnectEndpoint)
		}
	}
	return DeadEndpoint()
}

// Revoke makes a token invalid, and tells whether it was valid. Endpoints that were
// looked up with it stay what they are; see [Revocable] for those.
func (r *Registry) Revoke(token string) bool {
	return r.remove(sha256.Sum256([]byte(token)), nil)
}

// remove removes an entry if it is still the one that is meant; nil means any.
func (r *Registry) remove(key [sha256.Size]byte, which *entry) bool {
	r.mu.Lock()
	e := r.entries[key]
	if e == nil || which != nil && which != e {
		r.mu.Unlock()
		return false
	}
	delete(r.entries, key)
	r.mu.Unlock()
	e.close()
	return true
}

func (e *entry) close() {
	if e.timer != nil {
		e.timer.Stop()
	}
	_ = e.c.Close()
}

// Len is how many tokens are valid.
func (r *Registry) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.entries)
}

// Close makes every token invalid.
func (r *Registry) Close() error {
	r.mu.Lock()
	list := r.entries
	r.entries, r.closed = nil, true
	r.mu.Unlock()
	for _, e := range list {
		e.close()
	}
	return nil
}

// Revocable makes an endpoint through which c can be reached until revoke is called;
// then it is dead, and the connections that were made through it are cut. It holds a
// duplicate of c. Messages take a hop more.
func Revocable(c *ConnectEndpoint) (*ConnectEndpoint, func(), error) {
	d, err := c.Dup()
	if err != nil {
		return nil, nil, err
	}
	target := d.(*ConnectEndpoint)
	acc, out := NewEndpoints()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	over := make(chan struct{})
	go func() {
		defer close(over)
		for {
			r, err := acc.AwaitNext(ctx)
			if err != nil {
				break
			}
			forward(ctx, &wg, r, target)
		}
		_ = acc.Close()
		_ = target.Close() // connections that are there go on
		wg.Wait()
		cancel()
	}()
	return out, func() {
		cancel()
		<-over
	}, nil
}

// forward connects what a request asks for with the target, in a goroutine.
func forward(ctx context.Context, wg *sync.WaitGroup, r *Request, target *ConnectEndpoint) {
	d, err := target.Dup()
	if err != nil {
		r.Refuse()
		return
	}
	wg.Add(1)
	go func() {
		defer wg.Done()
		far, err := d.(*ConnectEndpoint).Connect(ctx)
		_ = d.Close() // its object is told that nobody has it, even while the connection is open
		if err != nil {
			r.Refuse()
			return
		}
		near, err := r.Accept()
		if err != nil {
			_ = far.Close()
			return
		}
		_ = Join(ctx, near, far)
	}()
}

// Join passes messages between two connections, both ways and in order, until one of
// them ends or ctx does, and closes both. What one side sent before it closed is
// still delivered. It takes both over.
func Join(ctx context.Context, a, b *ConnectedSocket) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make(chan error, 2)
	pass := func(from, to *ConnectedSocket) {
		var err error
		for err == nil {
			var m Message
			if m, err = from.Receive(ctx); err == nil || errors.Is(err, unix.EMFILE) {
				err = to.Send(ctx, m.Data, m.Descs...)
			}
			m.Close()
		}
		if !errors.Is(err, unix.EPIPE) {
			// With EPIPE the other direction finds the end by itself, once it has
			// delivered what came before.
			cancel()
		}
		errs <- err
	}
	go pass(a, b)
	go pass(b, a)
	err := <-errs
	<-errs
	_, _ = a.Close(), b.Close()
	return err
}
