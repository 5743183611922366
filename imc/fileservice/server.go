package fileservice

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/imc"
)

// A Server answers requests for one tree, on any number of connections.
type Server struct {
	Backend Backend
	// MaxRequests is how many requests of a connection are worked on at once; 0 means 16.
	// More wait in the connection.
	MaxRequests int
	// MaxConnections is how many connections Serve has at once; 0 means 256. More are
	// refused: who connects is told, and can try again when others have gone.
	MaxConnections int
}

// Serve answers the connections that arrive at an endpoint, until ctx ends or nobody
// can connect any more. When the process has no descriptor left it goes on later.
func (s *Server) Serve(ctx context.Context, acc *imc.AcceptEndpoint) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	most := s.MaxConnections
	if most <= 0 {
		most = 256
	}
	places := make(chan struct{}, most)
	for {
		r, err := acc.AwaitNext(ctx)
		switch {
		case errors.Is(err, unix.EPIPE):
			wg.Wait() // those that are connected go on
			return nil
		case err != nil:
			return err
		}
		select {
		case places <- struct{}{}:
		default:
			r.Refuse()
			continue
		}
		c, err := r.Accept()
		if err != nil {
			<-places // the other side gave up
			continue
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer func() { <-places }()
			defer c.Close()
			_ = s.ServeConn(ctx, c, c)
		}()
	}
}

// ServeConn answers the requests that come in on one connection and go out on
// another; they may be the same. It returns nil at the end of in.
func (s *Server) ServeConn(ctx context.Context, in, out *imc.ConnectedSocket) error {
	most := s.MaxRequests
	if most <= 0 {
		most = 16
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slots := make(chan struct{}, most)
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		m, err := in.Receive(ctx)
		m.Descs, _ = nil, closeAll(m.Descs) // requests carry none
		switch {
		case errors.Is(err, unix.EMFILE), errors.Is(err, unix.EIO):
			continue
		case err == io.EOF:
			return nil
		case err != nil:
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			return err
		}
		if len(m.Data) < 4 || le.Uint32(m.Data) != wordRequest {
			// Versions 1 and 2: one request at a time, in order.
			if err := s.old(ctx, out, m.Data); err != nil {
				return err
			}
			continue
		}
		slots <- struct{}{}
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer func() { <-slots }()
			r, file := s.answer(m.Data)
			var err error
			if file != nil {
				err = out.Send(ctx, r.encode(), file)
				_ = file.Close()
				if errno := errnoOf(err); err != nil && errno != unix.EPIPE && ctx.Err() == nil {
					err = out.Send(ctx, reply{id: r.id, errno: errno}.encode())
				}
			} else {
				err = out.Send(ctx, r.encode())
			}
			if err != nil {
				cancel(err)
			}
		}()
	}
}

func closeAll(list []imc.Desc) error {
	imc.Message{Descs: list}.Close()
	return nil
}

// answer does one request of version 3.
func (s *Server) answer(b []byte) (reply, *imc.File) {
	r, err := decodeRequest(b)
	out := reply{id: r.id}
	var file *imc.File
	if err == nil {
		file, err = s.do(r, &out)
	}
	if err != nil {
		out = reply{id: r.id, errno: errnoOf(err)}
	}
	return out, file
}

func (s *Server) do(r request, out *reply) (*imc.File, error) {
	text := r.path
	name, err := clean(r.path)
	if err != nil {
		return nil, err
	}
	second := ""
	if r.op == opRename || r.op == opSymlink {
		if second, err = clean(r.path2); err != nil {
			return nil, err
		}
	} else if r.path2 != "" {
		return nil, unix.EPROTO
	}
	b := s.Backend
	switch r.op {
	case opOpen:
		f, st, err := b.Open(name, int(r.flags), r.mode)
		out.data = st.append(nil)
		return f, err
	case opStat:
		st, err := b.Stat(name, r.flags&statLink == 0)
		out.data = st.append(nil)
		return nil, err
	case opReadDir:
		return nil, s.readDir(name, r.arg, out)
	case opReadlink:
		target, err := b.Readlink(name)
		out.data = []byte(target)
		return nil, err
	case opMkdir:
		return nil, b.Mkdir(name, r.mode)
	case opUnlink:
		return nil, b.Unlink(name)
	case opRmdir:
		return nil, b.Rmdir(name)
	case opRename:
		return nil, b.Rename(name, second)
	case opSymlink:
		return nil, b.Symlink(text, second)
	case opTruncate:
		return nil, b.Truncate(name, int64(r.arg))
	case opChmod:
		return nil, b.Chmod(name, r.mode)
	}
	return nil, unix.ENOSYS
}

// readDir gives the entries from number at on, as many as fit.
func (s *Server) readDir(name string, at uint64, out *reply) error {
	list, err := s.Backend.ReadDir(name)
	if err != nil {
		return err
	}
	for i := at; i < uint64(len(list)); i++ {
		e := list[i]
		if len(e.Name) > MaxPath {
			continue
		}
		if replyHeader+len(out.data)+entryHeader+len(e.Name) > imc.MaxData {
			out.arg = i
			return nil
		}
		out.data = appendEntry(out.data, e)
	}
	return nil
}

// old answers requests of versions 1 and 2. The flags of version 2 have a zero in their
// highest byte, which no path of version 1 has.
func (s *Server) old(ctx context.Context, out *imc.ConnectedSocket, b []byte) error {
	switch {
	case strings.HasPrefix(string(b), "Stat"):
		name, err := clean(string(b[4:]))
		var st Stat
		if err == nil {
			st, err = s.Backend.Stat(name, true)
		}
		if err != nil {
			return out.Send(ctx, []byte("Fail"))
		}
		return out.Send(ctx, st.version1())
	case strings.HasPrefix(string(b), "Open"):
		b = b[4:]
		flags, mode := 0, uint32(0)
		if len(b) >= 8 && b[3] == 0 {
			flags, mode = int(int32(le.Uint32(b))), le.Uint32(b[4:])
			b = b[8:]
		}
		name, err := clean(string(b))
		var f *imc.File
		if err == nil {
			f, _, err = s.Backend.Open(name, flags, mode)
		}
		if err != nil {
			return out.Send(ctx, []byte("Fail"))
		}
		defer f.Close()
		return out.Send(ctx, []byte("Okay"), f)
	}
	return out.Send(ctx, []byte("Fail"))
}
