// Package python runs CPython 3.11 inside this process, in a sandbox: scripts
// that nobody trusts, at nearly native speed, with limits on time, memory,
// threads and output, any number of interpreters side by side.
//
//	p, err := python.New(ctx, python.Config{Home: home})
//	defer p.Close()
//	p.Exec(ctx, "def greet(name): return 'hello, ' + name")
//	v, err := p.Call(ctx, "greet", "world") // "hello, world"
//
// Home is what `halite port python` (or `make python`) built and printed. An
// interpreter is a domain of its own: it shares nothing with others, sees no file
// but the standard library and what Mounts grants, has no network and no other
// processes. It can't import what has not passed the validator.
//
// Values are copied between Go and Python:
//
//	None                nil
//	bool                bool
//	int                 int64, or *big.Int beyond it; any Go integer
//	float, complex      float64, complex128
//	str, bytes          string, []byte
//	list, tuple         []any, Tuple
//	dict                map[string]any, or Dict when a key is no string
//	set, frozenset      Set
//	everything else     *Object, which stays in the interpreter
//
// Concurrency: an Interpreter may be used from several goroutines; one request
// runs at a time. A Go function that Python calls may call the interpreter
// again with the context that it got.
//
// Not promised: a deadline interrupts a script as Ctrl-C would, so that the
// interpreter can be used again; one that does not end then is thrown away,
// and the error says so (Ended).
package python

import (
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite"
)

//go:embed guest.py
var guest string

// A Func is a Go function that Python calls as nacl.host.NAME(...). ctx is that
// of the request during which it is called. An error becomes the exception
// nacl.HostError.
type Func func(ctx context.Context, args []any, kwargs map[string]any) (any, error)

// Config describes an interpreter. Only Home or HomeFS is needed.
type Config struct {
	// Home is the directory of the CPython port, mounted read-only at /usr.
	Home string
	// HomeFS is used instead when it is not nil: the same tree, whoever answers for
	// it, for example a file service in another process.
	HomeFS fs.FS
	// Mounts are what the scripts see beside it; /tmp is memory.
	Mounts []halite.Mount
	// Env is the environment. PYTHON… variables are not looked at.
	Env []string
	// Site imports the module site at the start, which finds packages in
	// /usr/local/lib/python3.11/dist-packages; it takes some milliseconds.
	Site bool
	// Path is put in front of sys.path.
	Path []string
	// Functions are what Python finds in nacl.host.
	Functions map[string]Func

	// Stdout and Stderr get what scripts print; nil throws it away.
	Stdout, Stderr io.Writer

	// Network decides what sockets scripts may use; nil: none.
	Network halite.NetworkPolicy

	MaxMemory  uint64 // bytes, of code and data; 0: 512 MiB
	MaxOutput  int64  // bytes on Stdout and Stderr together; 0: 64 MiB
	MaxThreads int    // 0: 64
	MaxFiles   int    // 0: 256
	MaxMessage int    // bytes of one value in either direction; 0: 64 MiB
	// Grace is how long a script may go on after it was interrupted because its
	// context had ended; 0: 100 ms.
	Grace time.Duration
	// Trace gets a line for each system call.
	Trace io.Writer
}

// Tuple, Set and Dict are Python's types that Go has not.
type (
	Tuple []any
	Set   []any
	Dict  []Item
	Item  struct{ Key, Value any }
)

// An Exception is one that a script did not catch.
type Exception struct {
	Type      string // ValueError
	Message   string
	Traceback string // as Python prints it
}

func (e *Exception) Error() string {
	if e.Message == "" {
		return e.Type
	}
	return e.Type + ": " + e.Message
}

// Reasons why an interpreter is gone.
var (
	// ErrOutput: it wrote more than MaxOutput.
	ErrOutput = errors.New("more output than allowed")
	// ErrProtocol: the script broke the connection to the host, for example by closing its descriptors.
	ErrProtocol = errors.New("the script broke the connection to its host")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("interpreter closed")
)

// EndedError says that the interpreter is gone, and why: a limit, a fault (a
// *halite.FaultError), an exit, Close, or the end of a context that the script
// did not heed.
type EndedError struct{ Reason error }

func (e *EndedError) Error() string { return "python: interpreter ended: " + e.Reason.Error() }
func (e *EndedError) Unwrap() error { return e.Reason }

// Ended reports whether err means that the interpreter can't be used any more.
func Ended(err error) bool {
	var e *EndedError
	return errors.As(err, &e)
}

// An Interpreter is one CPython in a domain of its own.
type Interpreter struct {
	cfg     Config
	proc    *halite.Process
	main    *halite.Port
	others  *halite.Port
	version string

	turn   chan struct{} // holds a token while nobody's request runs
	events chan []byte   // messages on the main port
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when the process has ended
	reason error         // why; valid after done
	life   context.Context

	mu      sync.Mutex
	dropped []any // handles of objects to be forgotten with the next request
	output  int64
	closing sync.Once
}

// New starts an interpreter, which lives until ctx ends or Close is called.
func New(ctx context.Context, cfg Config) (*Interpreter, error) {
	for _, d := range []struct {
		v   *int
		def int
	}{{&cfg.MaxThreads, 64}, {&cfg.MaxFiles, 256}, {&cfg.MaxMessage, 64 << 20}} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
	if cfg.MaxMemory == 0 {
		cfg.MaxMemory = 512 << 20
	}
	if cfg.MaxOutput <= 0 {
		cfg.MaxOutput = 64 << 20
	}
	if cfg.Grace <= 0 {
		cfg.Grace = 100 * time.Millisecond
	}
	if cfg.Home == "" && cfg.HomeFS == nil {
		return nil, errors.New("python: no Home; `halite port python` builds it and prints its directory")
	}
	i := &Interpreter{cfg: cfg, turn: make(chan struct{}, 1), events: make(chan []byte, 4), done: make(chan struct{})}
	i.main, i.others = &halite.Port{}, &halite.Port{}
	i.main.Receive = i.frames(func(b []byte) error {
		select {
		case i.events <- b:
			return nil
		default:
			return ErrProtocol
		}
	})
	// The script that we gave it calls from one thread at a time; what comes
	// beyond the number of threads that it may have is an attack.
	calls := make(chan struct{}, cfg.MaxThreads)
	i.others.Receive = i.frames(func(b []byte) error {
		select {
		case calls <- struct{}{}:
		default:
			return ErrProtocol
		}
		go func() {
			defer func() { <-calls }()
			i.fromThread(b)
		}()
		return nil
	})
	args := []string{"-I", "-S", "-X", "utf8", "-c", guest}
	if cfg.Site {
		args = append(args[:1:1], args[2:]...)
	}
	usr := halite.Mount{Guest: "/usr", Host: cfg.Home, FS: cfg.HomeFS, ReadOnly: true}
	if cfg.HomeFS != nil {
		usr.Host = ""
	}
	c := halite.Config{
		GuestProgram: "/usr/bin/python3.11", Args: args,
		Env:    append([]string{"PATH=/bin:/usr/bin", "HOME=/tmp"}, cfg.Env...),
		Mounts: append([]halite.Mount{usr, {Guest: "/tmp"}}, cfg.Mounts...),
		Ports:  map[int]*halite.Port{3: i.main, 4: i.others}, Network: cfg.Network,
		Stdout: &limited{i, cfg.Stdout}, Stderr: &limited{i, cfg.Stderr}, Trace: cfg.Trace,
		MaxMemory: cfg.MaxMemory, MaxThreads: cfg.MaxThreads, MaxFiles: cfg.MaxFiles,
	}
	proc, err := halite.New(c)
	if err != nil {
		return nil, fmt.Errorf("python: %w", err)
	}
	i.proc = proc
	i.life, i.cancel = context.WithCancelCause(ctx)
	go i.run()
	v, err := i.await(ctx)
	if err == nil && len(cfg.Path) > 0 {
		path := make([]any, len(cfg.Path))
		for n, p := range cfg.Path {
			path[n] = p
		}
		_, err = i.roundTrip(ctx, Tuple{"path", path})
	}
	if err != nil {
		i.Close()
		return nil, err
	}
	i.version, _ = v.(string)
	i.turn <- struct{}{}
	return i, nil
}

// run is the process's own goroutine.
func (i *Interpreter) run() {
	status, err := i.proc.Run(i.life)
	if cause := context.Cause(i.life); cause != nil {
		err = cause
	} else if err == nil {
		err = fmt.Errorf("the script ended the process: %v", status)
	}
	i.reason = err
	close(i.done)
	i.cancel(err)
}

// Version is sys.version.
func (i *Interpreter) Version() string { return i.version }

// Close ends the interpreter, whatever it does, and gives everything back.
func (i *Interpreter) Close() error {
	var err error
	i.closing.Do(func() {
		i.cancel(ErrClosed)
		<-i.done
		err = i.proc.Close()
	})
	return err
}

// end throws the interpreter away.
func (i *Interpreter) end(reason error) error {
	i.cancel(reason)
	<-i.done
	return &EndedError{i.reason}
}

// limited counts output.
type limited struct {
	i *Interpreter
	w io.Writer
}

func (l *limited) Write(p []byte) (int, error) {
	l.i.mu.Lock()
	left := l.i.cfg.MaxOutput - l.i.output
	l.i.output += int64(len(p))
	l.i.mu.Unlock()
	if left < int64(len(p)) {
		p = p[:max(left, 0)]
	}
	if l.w != nil && len(p) > 0 {
		if n, err := l.w.Write(p); err != nil {
			return n, err
		}
	}
	if left < 0 || int64(len(p)) == left {
		l.i.cancel(ErrOutput)
		return len(p), ErrOutput
	}
	return len(p), nil
}

// frames puts the writes of a guest together to messages.
func (i *Interpreter) frames(deliver func([]byte) error) func([]byte) error {
	var buf []byte
	return func(p []byte) error {
		buf = append(buf, p...)
		for len(buf) >= 4 {
			n := int(binary.LittleEndian.Uint32(buf))
			if n > i.cfg.MaxMessage {
				i.cancel(fmt.Errorf("a value of %d bytes, more than MaxMessage", n))
				return ErrProtocol
			}
			if len(buf) < 4+n {
				return nil
			}
			if err := deliver(append([]byte{}, buf[4:4+n]...)); err != nil {
				i.cancel(err)
				return err
			}
			buf = append(buf[:0], buf[4+n:]...)
		}
		return nil
	}
}

// send encodes one message.
func (i *Interpreter) send(port *halite.Port, v Tuple) error {
	b, err := appendValue(make([]byte, 4, 64), v, 0)
	if err != nil {
		return err
	}
	if len(b)-4 > i.cfg.MaxMessage {
		return fmt.Errorf("python: a value of %d bytes, more than MaxMessage", len(b)-4)
	}
	if port.Pending() > i.cfg.MaxMessage {
		return ErrProtocol // it asks and does not read the answers
	}
	binary.LittleEndian.PutUint32(b, uint32(len(b)-4))
	port.Send(b)
	return nil
}

// nested marks the context of a Go function that Python calls: its requests
// belong to the one that is running. The value is the depth: a guest can answer
// a request by a call, whose Go function makes a request, and so on, without a
// stack of its own.
type nested struct{ i *Interpreter }

// maxNested bounds that depth, and so the host's stack.
const maxNested = 200

// request runs one request in its turn.
func (i *Interpreter) request(ctx context.Context, v Tuple) (any, error) {
	if depth, _ := ctx.Value(nested{i}).(int); depth > maxNested {
		return nil, fmt.Errorf("python: %d requests inside each other", depth)
	} else if depth == 0 {
		select {
		case <-i.turn:
			defer func() { i.turn <- struct{}{} }()
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-i.done:
			return nil, &EndedError{i.reason}
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	i.mu.Lock()
	drop := i.dropped
	i.dropped = nil
	i.mu.Unlock()
	if len(drop) > 0 {
		if _, err := i.roundTrip(ctx, Tuple{"drop", drop}); err != nil {
			return nil, err
		}
	}
	return i.roundTrip(ctx, v)
}

func (i *Interpreter) roundTrip(ctx context.Context, v Tuple) (any, error) {
	select {
	case <-i.done:
		return nil, &EndedError{i.reason}
	default:
	}
	if err := i.send(i.main, v); err != nil {
		return nil, err
	}
	return i.await(ctx)
}

// await serves what Python asks until the result of the last request comes.
func (i *Interpreter) await(ctx context.Context) (any, error) {
	stop := ctx.Done()
	var late <-chan time.Time
	for {
		select {
		case b := <-i.events:
			v, err := decode(b)
			m, ok := v.(Tuple)
			if err != nil || !ok || len(m) == 0 {
				return nil, i.end(ErrProtocol)
			}
			switch {
			case m[0] == "result" && len(m) == 3:
				v, err := i.result(m)
				if err != nil && late != nil {
					return nil, fmt.Errorf("python: interrupted: %w", context.Cause(ctx))
				}
				return v, err
			case m[0] == "call" && len(m) == 4:
				depth, _ := ctx.Value(nested{i}).(int)
				inner := context.WithValue(ctx, nested{i}, depth+1)
				if err := i.callback(inner, i.main, m); err != nil {
					return nil, err
				}
			default:
				return nil, i.end(ErrProtocol)
			}
		case <-stop:
			// As the user would: the script may end in good order.
			stop = nil
			_ = i.proc.Signal(unix.SIGINT)
			late = time.After(i.cfg.Grace)
		case <-late:
			return nil, i.end(fmt.Errorf("it did not stop within %v of its end: %w", i.cfg.Grace, context.Cause(ctx)))
		case <-i.done:
			return nil, &EndedError{i.reason}
		}
	}
}

// result reads a result message.
func (i *Interpreter) result(m Tuple) (any, error) {
	switch ok := m[1].(type) {
	case bool:
		if ok {
			v, err := i.value(m[2])
			if err != nil {
				return nil, i.end(err)
			}
			return v, nil
		}
		if d, is := m[2].(Tuple); is && len(d) == 3 {
			e := &Exception{}
			e.Type, _ = d[0].(string)
			e.Message, _ = d[1].(string)
			e.Traceback, _ = d[2].(string)
			return nil, e
		}
	}
	return nil, i.end(ErrProtocol)
}

// value is what comes over the wire: a plain value, or a handle.
func (i *Interpreter) value(v any) (any, error) {
	t, ok := v.(Tuple)
	if !ok {
		return nil, ErrProtocol
	}
	switch {
	case len(t) == 2 && t[0] == "v":
		return t[1], nil
	case len(t) == 4 && t[0] == "o":
		o := &Object{i: i}
		o.handle, ok = t[1].(int64)
		o.typ, _ = t[2].(string)
		o.repr, _ = t[3].(string)
		if ok {
			return o, nil
		}
	}
	return nil, ErrProtocol
}

// wire is the other direction.
func (i *Interpreter) wire(v any) (any, error) {
	if o, ok := v.(*Object); ok {
		if o.i != i {
			return nil, errors.New("python: an object of another interpreter")
		}
		return Tuple{"o", o.handle}, nil
	}
	return Tuple{"v", v}, nil
}

// callback runs a Go function for Python and sends its result.
func (i *Interpreter) callback(ctx context.Context, port *halite.Port, m Tuple) error {
	reply, err := i.invoke(ctx, m)
	if errors.Is(err, ErrProtocol) || Ended(err) {
		return i.end(err)
	}
	if err == nil {
		err = i.send(port, Tuple{"reply", true, reply})
	}
	if err != nil && !errors.Is(err, ErrProtocol) {
		err = i.send(port, Tuple{"reply", false, strings.ToValidUTF8(err.Error(), "?")})
	}
	if err != nil {
		return i.end(err)
	}
	return nil
}

func (i *Interpreter) invoke(ctx context.Context, m Tuple) (any, error) {
	name, ok1 := m[1].(string)
	list, ok2 := m[2].([]any)
	named, ok3 := m[3].(map[string]any)
	if d, empty := m[3].(Dict); empty && len(d) == 0 {
		named, ok3 = map[string]any{}, true
	}
	if !ok1 || !ok2 || !ok3 {
		return nil, ErrProtocol
	}
	f := i.cfg.Functions[name]
	if f == nil {
		return nil, fmt.Errorf("the host has no function %q", name)
	}
	var err error
	for n := range list {
		if list[n], err = i.value(list[n]); err != nil {
			return nil, err
		}
	}
	for k := range named {
		if named[k], err = i.value(named[k]); err != nil {
			return nil, err
		}
	}
	v, err := f(ctx, list, named)
	if err != nil {
		return nil, err
	}
	return i.wire(v)
}

// fromThread serves a call of another Python thread than the main one.
func (i *Interpreter) fromThread(b []byte) {
	v, err := decode(b)
	m, ok := v.(Tuple)
	if err != nil || !ok || len(m) != 4 || m[0] != "call" {
		i.cancel(ErrProtocol)
		return
	}
	_ = i.callback(i.life, i.others, m)
}

// Exec runs statements in the module __main__.
func (i *Interpreter) Exec(ctx context.Context, code string) error {
	return i.ExecFile(ctx, "<script>", code)
}

// ExecFile is Exec with a file name for tracebacks; no file is read.
func (i *Interpreter) ExecFile(ctx context.Context, name, code string) error {
	_, err := i.request(ctx, Tuple{"exec", code, name})
	return err
}

// Eval is the value of an expression in the module __main__.
func (i *Interpreter) Eval(ctx context.Context, expression string) (any, error) {
	return i.request(ctx, Tuple{"eval", expression})
}

// Set gives a global variable of the module __main__ a value.
func (i *Interpreter) Set(ctx context.Context, name string, v any) error {
	w, err := i.wire(v)
	if err != nil {
		return err
	}
	_, err = i.request(ctx, Tuple{"set", name, w})
	return err
}

// Call calls a function by its name: a global of __main__ ("greet",
// "obj.method"), a built-in ("len"), or one of a module, which is imported
// ("json.dumps").
func (i *Interpreter) Call(ctx context.Context, function string, args ...any) (any, error) {
	return i.CallKw(ctx, function, args, nil)
}

// CallKw is Call with keyword arguments.
func (i *Interpreter) CallKw(ctx context.Context, function string, args []any, kwargs map[string]any) (any, error) {
	return i.call(ctx, function, args, kwargs)
}

func (i *Interpreter) call(ctx context.Context, target any, args []any, kwargs map[string]any) (any, error) {
	list, named := make([]any, len(args)), make(map[string]any, len(kwargs))
	var err error
	for n, a := range args {
		if list[n], err = i.wire(a); err != nil {
			return nil, err
		}
	}
	for k, a := range kwargs {
		if named[k], err = i.wire(a); err != nil {
			return nil, err
		}
	}
	return i.request(ctx, Tuple{"call", target, list, named})
}

// An Object is a value that stays in its interpreter. It can be an argument of
// a call, or the result of a Go function, at the top level.
type Object struct {
	i      *Interpreter
	handle int64
	typ    string
	repr   string
}

// Type is the name of its type; String is its repr, when Go got it.
func (o *Object) Type() string   { return o.typ }
func (o *Object) String() string { return o.repr }

// Call calls it.
func (o *Object) Call(ctx context.Context, args ...any) (any, error) {
	return o.i.call(ctx, o.handle, args, nil)
}

// Attr is an attribute of it.
func (o *Object) Attr(ctx context.Context, name string) (any, error) {
	return o.i.request(ctx, Tuple{"attr", o.handle, name})
}

// Release lets the interpreter forget it, with the next request; afterwards it
// must not be used.
func (o *Object) Release() {
	o.i.mu.Lock()
	o.i.dropped = append(o.i.dropped, o.handle)
	o.i.mu.Unlock()
}
