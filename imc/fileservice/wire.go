package fileservice

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Version 3, ours.
const (
	wordRequest = 0x33515346 // "FSQ3"
	wordReply   = 0x33525346 // "FSR3"

	requestHeader = 40
	replyHeader   = 24
	statSize      = 80

	// MaxPath is the longest path, in bytes.
	MaxPath = 4096
)

// op is what a request wants.
type op uint32

const (
	opOpen     op = 1  // flags, mode; reply: stat, one descriptor
	opStat     op = 2  // flags&1: of the link itself; reply: stat
	opReadDir  op = 3  // arg: where to go on, 0 first; reply: entries, arg: where to go on, 0 at the end
	opMkdir    op = 4  // mode
	opUnlink   op = 5  // not a directory
	opRmdir    op = 6  // an empty directory
	opRename   op = 7  // two paths
	opReadlink op = 8  // reply: the target
	opSymlink  op = 9  // first path: the target, as text; second: the link
	opTruncate op = 10 // arg: size
	opChmod    op = 11 // mode
)

const statLink = 1

var le = binary.LittleEndian

type request struct {
	id          uint32
	op          op
	flags       int32
	mode        uint32
	arg         uint64
	path, path2 string
}

func (r request) encode() []byte {
	b := le.AppendUint32(make([]byte, 0, requestHeader+len(r.path)+len(r.path2)), wordRequest)
	b = le.AppendUint32(b, r.id)
	b = le.AppendUint32(b, uint32(r.op))
	b = le.AppendUint32(b, uint32(r.flags))
	b = le.AppendUint32(b, r.mode)
	b = le.AppendUint32(b, uint32(len(r.path)))
	b = le.AppendUint32(b, uint32(len(r.path2)))
	b = le.AppendUint32(b, 0)
	b = le.AppendUint64(b, r.arg)
	return append(append(b, r.path...), r.path2...)
}

// decodeRequest takes a message apart that begins with wordRequest. Whatever the
// error, the id is right if the message is that long.
func decodeRequest(b []byte) (r request, err error) {
	if len(b) < requestHeader {
		if len(b) >= 8 {
			r.id = le.Uint32(b[4:])
		}
		return r, unix.EPROTO
	}
	r = request{id: le.Uint32(b[4:]), op: op(le.Uint32(b[8:])), flags: int32(le.Uint32(b[12:])), mode: le.Uint32(b[16:]), arg: le.Uint64(b[32:])}
	n, m := uint64(le.Uint32(b[20:])), uint64(le.Uint32(b[24:]))
	b = b[requestHeader:]
	switch {
	case n > MaxPath || m > MaxPath:
		return r, unix.ENAMETOOLONG
	case n+m != uint64(len(b)):
		return r, unix.EPROTO
	}
	r.path, r.path2 = string(b[:n]), string(b[n:])
	return r, nil
}

type reply struct {
	id    uint32
	errno syscall.Errno
	arg   uint64
	data  []byte
}

func (r reply) encode() []byte {
	b := le.AppendUint32(make([]byte, 0, replyHeader+len(r.data)), wordReply)
	b = le.AppendUint32(b, r.id)
	b = le.AppendUint32(b, uint32(r.errno))
	b = le.AppendUint32(b, 0)
	b = le.AppendUint64(b, r.arg)
	return append(b, r.data...)
}

func decodeReply(b []byte) (reply, bool) {
	if len(b) < replyHeader || le.Uint32(b) != wordReply {
		return reply{}, false
	}
	return reply{id: le.Uint32(b[4:]), errno: syscall.Errno(le.Uint32(b[8:])), arg: le.Uint64(b[16:]), data: b[replyHeader:]}, true
}

// Stat is what stat(2) tells, as far as it is passed on.
type Stat struct {
	Dev, Ino            uint64
	Mode                uint32 // as in struct stat
	Nlink               uint32
	UID, GID            uint32
	Size, Blocks        int64
	Blksize             uint32
	Atime, Mtime, Ctime int64 // nanoseconds since 1970
}

func (s Stat) append(b []byte) []byte {
	b = le.AppendUint64(b, s.Dev)
	b = le.AppendUint64(b, s.Ino)
	b = le.AppendUint32(b, s.Mode)
	b = le.AppendUint32(b, s.Nlink)
	b = le.AppendUint32(b, s.UID)
	b = le.AppendUint32(b, s.GID)
	b = le.AppendUint64(b, uint64(s.Size))
	b = le.AppendUint64(b, uint64(s.Blocks))
	b = le.AppendUint32(b, s.Blksize)
	b = le.AppendUint32(b, 0)
	b = le.AppendUint64(b, uint64(s.Atime))
	b = le.AppendUint64(b, uint64(s.Mtime))
	return le.AppendUint64(b, uint64(s.Ctime))
}

func decodeStat(b []byte) (Stat, bool) {
	if len(b) < statSize {
		return Stat{}, false
	}
	return Stat{
		Dev: le.Uint64(b), Ino: le.Uint64(b[8:]), Mode: le.Uint32(b[16:]), Nlink: le.Uint32(b[20:]),
		UID: le.Uint32(b[24:]), GID: le.Uint32(b[28:]), Size: int64(le.Uint64(b[32:])), Blocks: int64(le.Uint64(b[40:])),
		Blksize: le.Uint32(b[48:]), Atime: int64(le.Uint64(b[56:])), Mtime: int64(le.Uint64(b[64:])), Ctime: int64(le.Uint64(b[72:])),
	}, true
}

// version1 is the reply of version 1: sixteen numbers of 32 bits.
func (s Stat) version1() []byte {
	b := []byte("Rsta")
	for _, v := range [...]uint64{
		s.Dev, s.Ino, uint64(s.Mode), uint64(s.Nlink), uint64(s.UID), uint64(s.GID), 0, uint64(s.Size), uint64(s.Blksize), uint64(s.Blocks),
		uint64(s.Atime / 1e9), uint64(s.Atime % 1e9), uint64(s.Mtime / 1e9), uint64(s.Mtime % 1e9), uint64(s.Ctime / 1e9), uint64(s.Ctime % 1e9),
	} {
		b = le.AppendUint32(b, uint32(v))
	}
	return b
}

// FileMode converts Mode.
func (s Stat) FileMode() fs.FileMode {
	m := fs.FileMode(s.Mode & 0o777)
	switch s.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		m |= fs.ModeDir
	case unix.S_IFLNK:
		m |= fs.ModeSymlink
	case unix.S_IFREG:
	default:
		m |= fs.ModeIrregular
	}
	return m
}

func unixMode(m fs.FileMode) uint32 {
	mode := uint32(m.Perm())
	switch m.Type() {
	case 0:
		mode |= unix.S_IFREG
	case fs.ModeDir:
		mode |= unix.S_IFDIR
	case fs.ModeSymlink:
		mode |= unix.S_IFLNK
	case fs.ModeNamedPipe:
		mode |= unix.S_IFIFO
	case fs.ModeSocket:
		mode |= unix.S_IFSOCK
	default:
		mode |= unix.S_IFCHR
	}
	return mode
}

// statOf makes a Stat of what Go knows; ino stands in where the system gives none.
func statOf(fi fs.FileInfo, ino uint64) Stat {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return Stat{
			Dev: st.Dev, Ino: st.Ino, Mode: st.Mode, Nlink: uint32(st.Nlink), UID: st.Uid, GID: st.Gid,
			Size: st.Size, Blocks: st.Blocks, Blksize: uint32(st.Blksize),
			Atime: st.Atim.Nano(), Mtime: st.Mtim.Nano(), Ctime: st.Ctim.Nano(),
		}
	}
	t := int64(0)
	if m := fi.ModTime(); m.After(time.Unix(0, 0)) {
		t = m.UnixNano()
	}
	return Stat{
		Dev: 1, Ino: ino, Mode: unixMode(fi.Mode()), Nlink: 1, Size: fi.Size(), Blocks: (fi.Size() + 511) / 512,
		Blksize: 4096, Atime: t, Mtime: t, Ctime: t,
	}
}

// An Entry is a name in a directory.
type Entry struct {
	Name string
	Ino  uint64
	Type uint32 // the S_IFMT part of a mode
}

// appendEntry: u64 ino, u32 type, u16 length, name.
func appendEntry(b []byte, e Entry) []byte {
	b = le.AppendUint64(b, e.Ino)
	b = le.AppendUint32(b, e.Type)
	b = le.AppendUint16(b, uint16(len(e.Name)))
	return append(b, e.Name...)
}

const entryHeader = 14

func decodeEntries(b []byte) (list []Entry, err error) {
	for len(b) > 0 {
		if len(b) < entryHeader {
			return nil, unix.EPROTO
		}
		n := int(le.Uint16(b[12:]))
		if len(b) < entryHeader+n {
			return nil, unix.EPROTO
		}
		e := Entry{Ino: le.Uint64(b), Type: le.Uint32(b[8:]), Name: string(b[entryHeader : entryHeader+n])}
		if e.Name == "" || e.Name == "." || e.Name == ".." || strings.ContainsAny(e.Name, "/\x00") {
			return nil, unix.EPROTO
		}
		list = append(list, e)
		b = b[entryHeader+n:]
	}
	return list, nil
}

// clean makes a path of a request one of the served tree: relative, without "..",
// "." for its root.
func clean(p string) (string, error) {
	switch {
	case p == "":
		return "", unix.ENOENT
	case len(p) > MaxPath:
		return "", unix.ENAMETOOLONG
	case strings.IndexByte(p, 0) >= 0:
		return "", unix.EINVAL
	}
	if p = path.Clean("/" + p); p == "/" {
		return ".", nil
	}
	return p[1:], nil
}

// errnoOf finds a number for any error.
func errnoOf(err error) syscall.Errno {
	var errno syscall.Errno
	switch {
	case err == nil:
		return 0
	case errors.As(err, &errno):
		return errno
	case errors.Is(err, fs.ErrNotExist):
		return unix.ENOENT
	case errors.Is(err, fs.ErrExist):
		return unix.EEXIST
	case errors.Is(err, fs.ErrPermission):
		return unix.EACCES
	case errors.Is(err, fs.ErrInvalid):
		return unix.EINVAL
	case errors.Is(err, errors.ErrUnsupported):
		return unix.ENOSYS
	case errors.Is(err, os.ErrClosed):
		return unix.EBADF
	case strings.Contains(err.Error(), "escapes"):
		return unix.EXDEV // what openat2 says, too
	}
	return unix.EIO
}
