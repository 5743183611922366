package libcshim

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/imc"
	"github.com/halite-run/halite/internal/cage"
	"github.com/halite-run/halite/libcshim/namespace"
	"github.com/halite-run/halite/runtime"
)

// Slots of the IMC calls. The last two are ours.
const (
	naclMakeBoundSock = 60
	naclAccept        = 61
	naclConnect       = 62
	naclSendMsg       = 63
	naclRecvMsg       = 64
	naclMemObjCreate  = 65
	naclSocketPair    = 66
	naclConnectWait   = 161
	naclCall          = 162
)

// naclCalls are the calls on NaCl slots that need the table of descriptors.
var naclCalls = map[uint32]*call{
	naclMakeBoundSock: {"imc_makeboundsock", imcMakeBoundSock, list(aPairOut), rInt},
	naclAccept:        {"imc_accept", imcAccept, list(aFD), rInt},
	naclConnect:       {"imc_connect", imcConnect, list(aFD), rInt},
	naclSendMsg:       {"imc_sendmsg", imcSendMsg, list(aFD, aMsg, aHex), rInt},
	naclRecvMsg:       {"imc_recvmsg", imcRecvMsg, list(aFD, aMsgOut, aHex), rInt},
	naclMemObjCreate:  {"imc_mem_obj_create", imcMemObjCreate, list(aSize), rInt},
	naclSocketPair:    {"imc_socketpair", imcSocketPair, list(aPairOut), rInt},
	naclConnectWait:   {"imc_connect_wait", imcConnectWait, list(aFD, aHex), rInt},
	naclCall:          {"imc_call", imcCall, list(aFD, aMsg, aMsgOut), rInt},
}

// NaClCall implements runtime.NaClCaller.
func (p *Process) NaClCall(t *runtime.Thread, slot uint32, a [6]uint64) int64 {
	if p.classic != nil {
		return p.serve(t, classicCalls[slot], uint64(slot), a)
	}
	return p.serve(t, naclCalls[slot], uint64(slot), a)
}

const imcNonblock = 1

// maxErrno is the highest number of an error that an object can give its caller; those
// from 512 on have a meaning between the personality and the runtime.
const maxErrno = 511

// newIMCBudget bounds what the host keeps for processes outside their own
// memory: messages in queues, connections in line, calls in progress, shared memory.
func newIMCBudget(maxMemory uint64, maxFiles int) *imc.Budget {
	limit := int64(cage.Size)
	if maxMemory > 0 {
		limit = int64(min(maxMemory, 1<<62))
	}
	return imc.NewBudget(limit, maxFiles)
}

// naclError gives what NaCl's calls return.
func naclError(err error) error {
	switch err {
	case nil, errRestart:
		return err
	}
	return imc.NaClErrno(err)
}

// again makes EAGAIN of package imc the plain number, which transfer looks for.
func again(err error) error {
	if errors.Is(err, unix.EAGAIN) {
		return unix.EAGAIN
	}
	return err
}

// attempt calls try, again and again if it may wait.
func (k *task) attempt(o *openFile, nonblock bool, try func() error) error {
	f := func() (int, error) { return 0, again(try()) }
	if nonblock {
		_, err := f()
		return err
	}
	_, err := k.transfer(o, 0, f)
	return err
}

// endpoint looks up a descriptor that must be an IMC socket of type T.
func endpoint[T any](o *openFile) (T, bool) {
	var none T
	s, ok := namespace.Unwrap(o.file).(*imcSocket)
	if !ok {
		return none, false
	}
	d, ok := s.desc.(T)
	return d, ok
}

// install gives a descriptor, which it takes over, a number.
func (k *task) install(d imc.Desc) (int32, *openFile, error) {
	o, err := k.p.openDesc(d)
	if err != nil {
		return -1, nil, err
	}
	fd, err := k.p.fds.add(o, 0, false)
	if err != nil {
		_ = o.release()
		return -1, nil, err
	}
	return int32(fd), o, nil
}

// installOne is install for the result of a call.
func (k *task) installOne(d imc.Desc) (int64, error) {
	fd, _, err := k.install(d)
	return int64(fd), err
}

// installPair writes two new numbers to the guest.
func (k *task) installPair(at uint64, a, b imc.Desc) (int64, error) {
	fda, oa, err := k.install(a)
	if err != nil {
		_ = b.Close()
		return 0, err
	}
	fdb, ob, err := k.install(b)
	if err == nil {
		if err = k.store64(at, uint64(uint32(fda))|uint64(uint32(fdb))<<32); err == nil {
			return 0, nil
		}
		k.p.fds.removeIf(int(fdb), ob)
	}
	k.p.fds.removeIf(int(fda), oa)
	return 0, err
}

func imcMakeBoundSock(k *task, a *args) (int64, error) {
	acc, conn := imc.NewEndpoints()
	return k.installPair(a[0], acc, conn)
}

func imcSocketPair(k *task, a *args) (int64, error) {
	x, y := imc.NewDataPair()
	return k.installPair(a[0], x, y)
}

func imcAccept(k *task, a *args) (int64, error) {
	return k.withFile(a[0], func(o *openFile) (int64, error) {
		s, ok := endpoint[*imc.AcceptEndpoint](o)
		if !ok {
			return 0, unix.EINVAL
		}
		var c *imc.ConnectedSocket
		if err := k.attempt(o, false, func() (err error) { c, err = s.TryAccept(); return err }); err != nil {
			return 0, naclError(err)
		}
		return k.installOne(c)
	})
}

func imcConnect(k *task, a *args) (int64, error) {
	return k.withFile(a[0], func(o *openFile) (int64, error) {
		n, err := k.connect(o, false)
		return n, naclError(err)
	})
}

// connect does not wait to be accepted.
func (k *task) connect(o *openFile, nonblock bool) (int64, error) {
	e, ok := endpoint[*imc.ConnectEndpoint](o)
	if !ok {
		return 0, unix.EINVAL
	}
	var c *imc.ConnectedSocket
	if err := k.attempt(o, nonblock, func() (err error) { c, err = e.TryConnect(); return err }); err != nil {
		return 0, err
	}
	return k.installOne(c)
}

// imcConnectWait waits to be accepted. Its errors are those of package imc.
func imcConnectWait(k *task, a *args) (int64, error) {
	return k.withFile(a[0], func(o *openFile) (int64, error) {
		e, ok := endpoint[*imc.ConnectEndpoint](o)
		if !ok {
			return 0, unix.EINVAL
		}
		if a[1]&imcNonblock != 0 || o.nonblocking() {
			return k.connect(o, true)
		}
		var c *imc.ConnectedSocket
		err := k.t.ParkIn(func(ctx context.Context) (err error) { c, err = e.Connect(ctx); return err })
		if errors.Is(err, context.Canceled) {
			return 0, errRestart // the request was withdrawn
		}
		if err != nil {
			return 0, err
		}
		return k.installOne(c)
	})
}

func imcMemObjCreate(k *task, a *args) (int64, error) {
	size := int64(uint32(a[0]))
	if size%imc.MapGranule != 0 {
		return 0, unix.EINVAL
	}
	// It counts until the last handle is gone, wherever in this process that is.
	budget := k.p.tree.imc
	if !budget.Take(size) {
		return 0, unix.ENOMEM
	}
	m, err := imc.NewSharedMemory(size)
	if err != nil {
		budget.Give(size)
		return 0, naclError(err)
	}
	m.AfterLast(func() { budget.Give(size) })
	return k.installOne(m)
}

// outgoing collects the descriptors of a message, as handles to be closed.
func (k *task) outgoing(fds []int32) (descs []imc.Desc, err error) {
	files := make([]*openFile, len(fds))
	defer func() {
		for _, o := range files {
			if o != nil {
				_ = o.release()
			}
		}
	}()
	// All numbers are looked at first: a bad one is EBADF whatever the others are.
	for i, fd := range fds {
		if fd == -1 {
			continue
		}
		if files[i], err = k.p.fds.get(int(fd)); err != nil {
			return nil, unix.EBADF
		}
	}
	for _, o := range files {
		d := imc.Invalid
		if o != nil {
			if d, err = o.desc(); err != nil {
				closeDescs(descs)
				return nil, unix.EIO
			}
		}
		descs = append(descs, d)
	}
	return descs, nil
}

func closeDescs(descs []imc.Desc) {
	for _, d := range descs {
		_ = d.Close()
	}
}

func (k *task) header(at uint64) (*runtime.MessageHeader, error) {
	h, err := runtime.ReadHeader(k.p.mem, uint32(at))
	if err == nil {
		err = h.CheckSpans()
	}
	return h, err
}

func (k *task) optionalHeader(at uint64) (*runtime.MessageHeader, error) {
	if uint32(at) == 0 {
		return runtime.NoMessage(), nil
	}
	return k.header(at)
}

func imcSendMsg(k *task, a *args) (int64, error) {
	h, err := k.header(a[1])
	if err != nil {
		return 0, err
	}
	return k.withFile(a[0], func(o *openFile) (int64, error) {
		fds, err := h.Numbers()
		if err != nil {
			return 0, err
		}
		descs, err := k.outgoing(fds)
		if err != nil {
			return 0, err
		}
		defer closeDescs(descs)
		s, ok := endpoint[imc.Socket](o)
		switch {
		case !ok:
			return 0, unix.EIO
		case h.Total > 1<<32-1:
			return 0, unix.EMSGSIZE
		case h.Total > imc.MaxData:
			return 0, unix.EIO
		}
		data, err := h.Gather()
		if err != nil {
			return 0, err
		}
		err = k.attempt(o, a[2]&imcNonblock != 0, func() error { return s.TrySend(data, descs...) })
		switch err = naclError(err); err {
		case nil:
			return int64(len(data)), nil
		case errRestart, unix.EAGAIN, unix.EMSGSIZE, unix.ENOBUFS:
			return 0, err
		}
		return 0, unix.EIO
	})
}

func imcRecvMsg(k *task, a *args) (int64, error) {
	h, err := k.header(a[1])
	if err == nil {
		err = h.CheckDescs()
	}
	if err != nil {
		return 0, err
	}
	return k.withFile(a[0], func(o *openFile) (int64, error) {
		s, ok := endpoint[imc.Socket](o)
		if !ok {
			return 0, unix.EINVAL
		}
		var m imc.Message
		err := k.attempt(o, a[2]&imcNonblock != 0, func() (err error) { m, err = s.TryReceive(); return err })
		lost := errors.Is(err, unix.EMFILE)
		if err != nil && !lost {
			return 0, naclError(err)
		}
		// Data that did not fit is not told of: neither does Native Client.
		return k.deliverMessage(h, m.Data, m.Descs, lost, 0)
	})
}

// deliverMessage gives a message to the guest and takes its descriptors over. Those that
// have no place, in the guest's array or in its table, are closed.
func (k *task) deliverMessage(h *runtime.MessageHeader, data []byte, descs []imc.Desc, lost bool, flags uint32) (int64, error) {
	n, err := h.Scatter(data)
	if err != nil {
		closeDescs(descs)
		return 0, err
	}
	if len(descs) > h.Descs {
		closeDescs(descs[h.Descs:])
		descs, lost = descs[:h.Descs], true
	}
	var fds []int32
	var files []*openFile
	for i, d := range descs {
		fd, o := int32(-1), (*openFile)(nil)
		if d.Kind() != imc.KindInvalid {
			if fd, o, err = k.install(d); err != nil {
				closeDescs(descs[i+1:])
				lost = true
				break
			}
		}
		fds, files = append(fds, fd), append(files, o)
	}
	if lost {
		flags |= runtime.FlagDescTruncated
	}
	if err := h.Finish(fds, flags); err != nil {
		for i, o := range files {
			if o != nil {
				k.p.fds.removeIf(int(fds[i]), o)
			}
		}
		return 0, err
	}
	return int64(n), nil
}

// imcCall calls an object. Its errors are those of package imc. A signal cancels the
// call: EINTR, since nobody knows how far it got.
func imcCall(k *task, a *args) (int64, error) {
	req, err := k.optionalHeader(a[1])
	if err != nil {
		return 0, err
	}
	rep, err := k.optionalHeader(a[2])
	if err == nil {
		err = rep.CheckDescs()
	}
	if err != nil {
		return 0, err
	}
	return k.withFile(a[0], func(o *openFile) (int64, error) {
		fds, err := req.Numbers()
		if err != nil {
			return 0, err
		}
		descs, err := k.outgoing(fds)
		if err != nil {
			return 0, err
		}
		defer closeDescs(descs)
		e, ok := endpoint[*imc.ConnectEndpoint](o)
		switch {
		case !ok:
			return 0, unix.EINVAL
		case req.Total > imc.DefaultMaxCall:
			return 0, unix.EMSGSIZE
		}
		room := min(rep.Total, imc.DefaultMaxCall)
		keep := int64(req.Total + room)
		if !k.p.tree.imc.Take(keep) {
			return 0, unix.ENOBUFS
		}
		defer k.p.tree.imc.Give(keep)
		data, err := req.Gather()
		if err != nil {
			return 0, err
		}
		var reply []byte
		var size int64
		var got []imc.Desc
		err = k.t.ParkIn(func(ctx context.Context) (err error) {
			reply, size, got, err = imc.CallRoom(ctx, e, int(room), rep.Descs+1, data, descs...)
			return err
		})
		var failed *imc.CallError
		switch {
		case errors.As(err, &failed) && (failed.Errno <= 0 || failed.Errno > maxErrno):
			return 0, unix.EIO // what the object said is no number for a guest
		case errors.Is(err, context.Canceled):
			return 0, unix.EINTR
		case err != nil:
			return 0, err
		}
		flags := uint32(0)
		if size > int64(len(reply)) {
			flags |= runtime.FlagDataTruncated
		}
		return k.deliverMessage(rep, reply, got, false, flags)
	})
}
