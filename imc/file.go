package imc

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// A File is an open file of the host. It can be sent; handles share the position,
// in other processes too, as after dup(2).
type File struct {
	handle
	k     *kfd
	flags int // O_RDONLY and so on, as given to open
}

// transferFlags are the flags of open that are told with a file.
const transferFlags = unix.O_ACCMODE | unix.O_APPEND | unix.O_NONBLOCK | unix.O_SYNC | unix.O_DIRECT

// NewFile makes a descriptor of an open file; the file stays the caller's.
// Directories can't be sent and are refused with EISDIR: who has one open can walk
// out of it.
func NewFile(f *os.File) (*File, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, hostFailure("take a file over", KindFile, err)
	}
	fd := -1
	if cerr := raw.Control(func(p uintptr) { fd, err = unix.FcntlInt(p, unix.F_DUPFD_CLOEXEC, 0) }); cerr != nil {
		return nil, hostFailure("take a file over", KindFile, cerr)
	}
	if err != nil {
		return nil, hostFailure("take a file over", KindFile, err)
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	k := newKfd(fd)
	if err == nil {
		var d *File
		if d, err = adoptFile(k, flags&transferFlags); err == nil {
			return d, nil
		}
	}
	k.release()
	return nil, hostFailure("take a file over", KindFile, err)
}

// adoptFile takes k over if it succeeds. flags is what the sender says; what the
// kernel knows about the descriptor counts as well.
func adoptFile(k *kfd, flags int) (*File, error) {
	var st unix.Stat_t
	if err := unix.Fstat(k.fd, &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return nil, unix.EISDIR
	}
	real, err := unix.FcntlInt(uintptr(k.fd), unix.F_GETFL, 0)
	if err != nil {
		return nil, err
	}
	if real&unix.O_PATH != 0 {
		return nil, unix.EBADF
	}
	f := &File{k: k, flags: flags & transferFlags}
	guard(&f.handle, k.release)
	return f, nil
}

func (f *File) Kind() Kind                   { return KindFile }
func (f *File) SetMetadata(m Metadata) error { return f.setMetadata(KindFile, m) }

// Flags are those of open(2) that count later: access mode, O_APPEND, ...
func (f *File) Flags() int { return f.flags }

func (f *File) Close() error {
	if err := f.shut(KindFile); err != nil {
		return err
	}
	f.k.release()
	return nil
}

// use gives the number for the time of a call.
func (f *File) use(op string, mode int) (*kfd, error) {
	switch {
	case f.closed.Load() || !f.k.tryRetain():
		return nil, errClosed(op, KindFile)
	case mode >= 0 && f.flags&unix.O_ACCMODE != mode && f.flags&unix.O_ACCMODE != unix.O_RDWR:
		f.k.release()
		return nil, failure(op, KindFile, unix.EBADF, "the file is not open for that")
	}
	return f.k, nil
}

func (f *File) Dup() (Desc, error) {
	k, err := f.use("duplicate", -1)
	if err != nil {
		return nil, err
	}
	d := &File{k: k, flags: f.flags}
	guard(&d.handle, k.release)
	f.copyMeta(d)
	return d, nil
}

func (f *File) outgoing() (outgoing, error) {
	k, err := f.use("send", -1)
	if err != nil {
		return outgoing{}, err
	}
	return outgoing{kind: KindFile, flags: uint32(f.flags & unix.O_ACCMODE), meta: f.Metadata(), value: int64(f.flags), k: k}, nil
}

// OSFile gives the same open file, with a number of its own, for Go's packages.
func (f *File) OSFile() (*os.File, error) {
	k, err := f.use("make a file", -1)
	if err != nil {
		return nil, err
	}
	defer k.release()
	return k.file(KindFile)
}

// transfer does one read or write; a file that its owner made non-blocking is
// waited for.
func (f *File) transfer(op string, mode int, call func(fd int) (int, error)) (int, error) {
	k, err := f.use(op, mode)
	if err != nil {
		return 0, err
	}
	defer k.release()
	for {
		n, err := call(k.fd)
		switch err {
		case nil:
			return n, nil
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			events := int16(unix.POLLIN)
			if mode == unix.O_WRONLY {
				events = unix.POLLOUT
			}
			fds := []unix.PollFd{{Fd: int32(k.fd), Events: events}}
			_, _ = unix.Poll(fds, 100)
			if f.closed.Load() {
				return 0, errClosed(op, KindFile)
			}
			continue
		}
		return max(n, 0), hostFailure(op, KindFile, err)
	}
}

func atEnd(n int, p []byte, err error) (int, error) {
	if n == 0 && len(p) > 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

// Read implements io.Reader.
func (f *File) Read(p []byte) (int, error) {
	n, err := f.transfer("read", unix.O_RDONLY, func(fd int) (int, error) { return unix.Read(fd, p) })
	return atEnd(n, p, err)
}

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	total := 0
	for total < len(p) {
		n, err := f.transfer("read", unix.O_RDONLY, func(fd int) (int, error) { return unix.Pread(fd, p[total:], off+int64(total)) })
		if err != nil {
			return total, err
		}
		if n == 0 {
			return total, io.EOF
		}
		total += n
	}
	return total, nil
}

// Write implements io.Writer.
func (f *File) Write(p []byte) (int, error) { return f.writeAll(p, unix.Write) }

// WriteAt implements io.WriterAt.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	return f.writeAll(p, func(fd int, p []byte) (int, error) {
		n, err := unix.Pwrite(fd, p, off)
		if n > 0 {
			off += int64(n)
		}
		return n, err
	})
}

func (f *File) writeAll(p []byte, write func(fd int, p []byte) (int, error)) (int, error) {
	total := 0
	for {
		n, err := f.transfer("write", unix.O_WRONLY, func(fd int) (int, error) { return write(fd, p[total:]) })
		total += n
		if err != nil || total == len(p) {
			return total, err
		}
		if n == 0 {
			return total, io.ErrShortWrite
		}
	}
}

// Seek implements io.Seeker. The position is shared by all handles.
func (f *File) Seek(offset int64, whence int) (int64, error) {
	k, err := f.use("seek", -1)
	if err != nil {
		return 0, err
	}
	defer k.release()
	n, err := unix.Seek(k.fd, offset, whence)
	if err != nil {
		return 0, hostFailure("seek", KindFile, err)
	}
	return n, nil
}

// MapFlags says whether a file with this access mode may be mapped so: EACCES or nil.
// A shared writable mapping needs a file open for both, any other one that can be
// read.
func (f *File) MapFlags(write, shared bool) error {
	mode := f.flags & unix.O_ACCMODE
	if mode == unix.O_WRONLY || write && shared && mode != unix.O_RDWR {
		return failure("map", KindFile, unix.EACCES, "the file is not open for that")
	}
	return nil
}

// FD calls f with the number of the open file, which stays open for the time of the
// call.
func (f *File) FD(use func(fd int) error) error {
	k, err := f.use("use", -1)
	if err != nil {
		return err
	}
	defer k.release()
	return use(k.fd)
}

var _ Desc = (*File)(nil)
var _ io.ReadWriteSeeker = (*File)(nil)
