package fileservice

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"sort"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/imc"
)

// A Client asks a file service, many requests at once. It is an fs.FS with
// fs.StatFS, fs.ReadDirFS and fs.ReadLinkFS, and can change what the server allows.
type Client struct {
	c      *imc.ConnectedSocket
	cancel context.CancelFunc
	ended  chan struct{}

	mu      sync.Mutex
	next    uint32
	waiting map[uint32]chan answered
	err     error // why no more requests can be made
}

type answered struct {
	reply
	descs []imc.Desc
}

// Dial connects to a file service.
func Dial(ctx context.Context, e *imc.ConnectEndpoint) (*Client, error) {
	c, err := e.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return NewClient(c), nil
}

// NewClient takes over a connection to a file service.
func NewClient(c *imc.ConnectedSocket) *Client {
	ctx, cancel := context.WithCancel(context.Background())
	cl := &Client{c: c, cancel: cancel, ended: make(chan struct{}), waiting: make(map[uint32]chan answered)}
	go cl.receive(ctx)
	return cl
}

func (c *Client) receive(ctx context.Context) {
	defer close(c.ended)
	for {
		m, err := c.c.Receive(ctx)
		if err != nil && !errors.Is(err, unix.EMFILE) {
			if err == io.EOF || ctx.Err() != nil {
				err = fs.ErrClosed
			}
			c.mu.Lock()
			c.err = err
			list := c.waiting
			c.waiting = nil
			c.mu.Unlock()
			for _, ch := range list {
				close(ch)
			}
			return
		}
		r, ok := decodeReply(m.Data)
		c.mu.Lock()
		ch := c.waiting[r.id]
		if ok {
			delete(c.waiting, r.id)
		}
		c.mu.Unlock()
		if ch == nil || !ok {
			m.Close() // for nobody: the request was given up
			continue
		}
		if err != nil {
			m.Close()
			r, m.Descs = reply{id: r.id, errno: unix.EMFILE}, nil
		}
		ch <- answered{r, m.Descs}
	}
}

// Close gives the connection up; requests that wait fail with fs.ErrClosed.
func (c *Client) Close() error {
	c.cancel()
	<-c.ended
	return c.c.Close()
}

// do makes one request.
func (c *Client) do(ctx context.Context, r request) (answered, error) {
	ch := make(chan answered, 1)
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return answered{}, c.err
	}
	c.next++
	for c.waiting[c.next] != nil {
		c.next++
	}
	r.id = c.next
	c.waiting[r.id] = ch
	c.mu.Unlock()
	err := c.c.Send(ctx, r.encode())
	if err == nil {
		select {
		case a, ok := <-ch:
			switch {
			case !ok:
				c.mu.Lock()
				defer c.mu.Unlock()
				return a, c.err
			case a.errno != 0:
				imc.Message{Descs: a.descs}.Close()
				return answered{}, a.errno
			}
			return a, nil
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	c.mu.Lock()
	_, unanswered := c.waiting[r.id]
	delete(c.waiting, r.id)
	c.mu.Unlock()
	if !unanswered {
		a := <-ch
		imc.Message{Descs: a.descs}.Close()
	}
	return answered{}, err
}

// simple is a request whose reply says nothing more.
func (c *Client) simple(what, name string, r request) error {
	r.path = name
	a, err := c.do(context.Background(), r)
	imc.Message{Descs: a.descs}.Close()
	return pathError(what, name, err)
}

func pathError(what, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: what, Path: name, Err: err}
}

// OpenFile opens a regular file of the service; flags are those of open(2).
func (c *Client) OpenFile(ctx context.Context, name string, flags int, mode uint32) (*imc.File, Stat, error) {
	a, err := c.do(ctx, request{op: opOpen, flags: int32(flags), mode: mode, path: name})
	if err != nil {
		return nil, Stat{}, pathError("open", name, err)
	}
	st, ok := decodeStat(a.data)
	if len(a.descs) != 1 || !ok {
		imc.Message{Descs: a.descs}.Close()
		return nil, Stat{}, pathError("open", name, unix.EPROTO)
	}
	f, ok := a.descs[0].(*imc.File)
	if !ok {
		imc.Message{Descs: a.descs}.Close()
		return nil, Stat{}, pathError("open", name, unix.EPROTO)
	}
	return f, st, nil
}

func (c *Client) stat(what, name string, flags int32) (Stat, error) {
	a, err := c.do(context.Background(), request{op: opStat, flags: flags, path: name})
	imc.Message{Descs: a.descs}.Close()
	if err != nil {
		return Stat{}, pathError(what, name, err)
	}
	st, ok := decodeStat(a.data)
	if !ok {
		return Stat{}, pathError(what, name, unix.EPROTO)
	}
	return st, nil
}

// Entries lists a directory in the order of the server.
func (c *Client) Entries(name string) ([]Entry, error) {
	var list []Entry
	for at := uint64(0); ; {
		a, err := c.do(context.Background(), request{op: opReadDir, arg: at, path: name})
		if err != nil {
			return nil, pathError("readdir", name, err)
		}
		imc.Message{Descs: a.descs}.Close()
		more, err := decodeEntries(a.data)
		if err != nil {
			return nil, pathError("readdir", name, err)
		}
		list = append(list, more...)
		if a.arg == 0 {
			return list, nil
		}
		if a.arg <= at {
			return nil, pathError("readdir", name, unix.EPROTO) // it would never end
		}
		at = a.arg
	}
}

func (c *Client) Mkdir(name string, mode uint32) error {
	return c.simple("mkdir", name, request{op: opMkdir, mode: mode})
}
func (c *Client) Unlink(name string) error { return c.simple("unlink", name, request{op: opUnlink}) }
func (c *Client) Rmdir(name string) error  { return c.simple("rmdir", name, request{op: opRmdir}) }
func (c *Client) Rename(from, to string) error {
	return c.simple("rename", from, request{op: opRename, path2: to})
}
func (c *Client) Symlink(target, name string) error {
	return c.simple("symlink", target, request{op: opSymlink, path2: name})
}
func (c *Client) Truncate(name string, size int64) error {
	return c.simple("truncate", name, request{op: opTruncate, arg: uint64(size)})
}
func (c *Client) Chmod(name string, mode uint32) error {
	return c.simple("chmod", name, request{op: opChmod, mode: mode})
}

// Below is the fs.FS.

func (c *Client) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, pathError("open", name, fs.ErrInvalid)
	}
	f, st, err := c.OpenFile(context.Background(), name, unix.O_RDONLY, 0)
	if errors.Is(err, unix.EISDIR) {
		if st, err = c.stat("open", name, 0); err != nil {
			return nil, err
		}
		list, err := c.ReadDir(name)
		if err != nil {
			return nil, err
		}
		return &openDir{info: info{path.Base(name), st}, list: list}, nil
	}
	if err != nil {
		return nil, err
	}
	return &openFile{f, info{path.Base(name), st}}, nil
}

func (c *Client) Stat(name string) (fs.FileInfo, error) { return c.info("stat", name, 0) }

// Lstat is Stat that does not follow a link.
func (c *Client) Lstat(name string) (fs.FileInfo, error) { return c.info("lstat", name, statLink) }

func (c *Client) info(what, name string, flags int32) (fs.FileInfo, error) {
	if !fs.ValidPath(name) {
		return nil, pathError(what, name, fs.ErrInvalid)
	}
	st, err := c.stat(what, name, flags)
	if err != nil {
		return nil, err
	}
	return info{path.Base(name), st}, nil
}

func (c *Client) ReadLink(name string) (string, error) {
	if !fs.ValidPath(name) {
		return "", pathError("readlink", name, fs.ErrInvalid)
	}
	a, err := c.do(context.Background(), request{op: opReadlink, path: name})
	imc.Message{Descs: a.descs}.Close()
	return string(a.data), pathError("readlink", name, err)
}

func (c *Client) ReadDir(name string) ([]fs.DirEntry, error) {
	if !fs.ValidPath(name) {
		return nil, pathError("readdir", name, fs.ErrInvalid)
	}
	list, err := c.Entries(name)
	if err != nil {
		return nil, err
	}
	out := make([]fs.DirEntry, 0, len(list))
	for _, e := range list {
		out = append(out, dirEntry{c, name, e})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name() < out[j].Name() })
	return out, nil
}

type info struct {
	name string
	st   Stat
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.st.Size }
func (i info) Mode() fs.FileMode  { return i.st.FileMode() }
func (i info) ModTime() time.Time { return time.Unix(0, i.st.Mtime) }
func (i info) IsDir() bool        { return i.Mode().IsDir() }
func (i info) Sys() any           { return i.st }

type dirEntry struct {
	c   *Client
	dir string
	e   Entry
}

func (d dirEntry) Name() string               { return d.e.Name }
func (d dirEntry) IsDir() bool                { return d.Type().IsDir() }
func (d dirEntry) Type() fs.FileMode          { return Stat{Mode: d.e.Type}.FileMode().Type() }
func (d dirEntry) Info() (fs.FileInfo, error) { return d.c.Lstat(path.Join(d.dir, d.e.Name)) }

// openFile is a regular file: the descriptor does the rest.
type openFile struct {
	*imc.File
	info
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }

type openDir struct {
	info
	list []fs.DirEntry
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *openDir) Close() error               { return nil }
func (d *openDir) Read([]byte) (int, error) {
	return 0, pathError("read", d.name, syscall.EISDIR)
}

func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 {
		list := d.list
		d.list = nil
		return list, nil
	}
	if len(d.list) == 0 {
		return nil, io.EOF
	}
	list := d.list[:min(n, len(d.list))]
	d.list = d.list[len(list):]
	return list, nil
}

var (
	_ fs.StatFS     = (*Client)(nil)
	_ fs.ReadDirFS  = (*Client)(nil)
	_ fs.ReadLinkFS = (*Client)(nil)
)
