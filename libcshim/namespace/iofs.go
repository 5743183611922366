package namespace

import (
	"errors"
	"hash/fnv"
	"io"
	"io/fs"
	"sync"

	"golang.org/x/sys/unix"
)

// maxBuffered bounds the contents of a file that must be kept in memory because
// its fs.File can only be read from the front.
const maxBuffered = 256 << 20

// ioFS shows an fs.FS as a read-only tree. Links are known if it implements
// fs.ReadLinkFS; an FS that follows links by itself shows what they lead to.
type ioFS struct {
	ReadOnlyFS
	fs  fs.FS
	ids Identity
}

// FromFS makes a read-only tree of any fs.FS: embedded files, a zip archive, a
// test's map. Files need not be seekable.
func FromFS(fsys fs.FS, ids Identity) FS { return &ioFS{fs: fsys, ids: ids} }

func (t *ioFS) stat(name string, info fs.FileInfo) Stat {
	h := fnv.New64a()
	h.Write([]byte(name))
	ts := unix.NsecToTimespec(info.ModTime().UnixNano())
	if info.ModTime().IsZero() {
		ts = unix.Timespec{}
	}
	s := Stat{
		Dev: 1, Ino: h.Sum64()>>1 | 1, Nlink: 1, UID: t.ids.UID, GID: t.ids.GID,
		Size: info.Size(), Blksize: 4096, Blocks: (info.Size() + 511) / 512, Atim: ts, Mtim: ts, Ctim: ts,
		Mode: uint32(info.Mode().Perm()),
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		s.Mode |= unix.S_IFDIR | 0o500
		s.Nlink = 2
	case mode&fs.ModeSymlink != 0:
		s.Mode |= unix.S_IFLNK | 0o777
	default:
		// Archives often carry no modes; what is not a directory or a link is
		// shown as a file.
		s.Mode |= unix.S_IFREG | 0o400
	}
	return s
}

func (t *ioFS) Lstat(name string) (Stat, error) {
	info, err := t.lstat(name)
	if err != nil {
		return Stat{}, errno(err)
	}
	return t.stat(name, info), nil
}

func (t *ioFS) lstat(name string) (fs.FileInfo, error) {
	if !fs.ValidPath(name) {
		return nil, fs.ErrNotExist
	}
	if l, ok := t.fs.(fs.ReadLinkFS); ok {
		return l.Lstat(name)
	}
	return fs.Stat(t.fs, name)
}

func (t *ioFS) Readlink(name string) (string, error) {
	l, ok := t.fs.(fs.ReadLinkFS)
	if !ok || !fs.ValidPath(name) {
		return "", unix.EINVAL
	}
	target, err := l.ReadLink(name)
	return target, errno(err)
}

func (t *ioFS) Access(name string, mode uint32) error {
	st, err := t.Lstat(name)
	if err != nil {
		return err
	}
	if mode&unix.W_OK != 0 {
		return unix.EROFS
	}
	if mode&unix.X_OK != 0 && st.Mode&0o111 == 0 {
		return unix.EACCES
	}
	return nil
}

func (t *ioFS) Open(name string, flags int, _ uint32) (File, error) {
	st, err := t.Lstat(name)
	switch {
	case err == unix.ENOENT && flags&unix.O_CREAT != 0:
		return nil, unix.EROFS
	case err != nil:
		return nil, err
	case st.IsSymlink():
		return nil, unix.ELOOP
	case flags&unix.O_ACCMODE != unix.O_RDONLY || flags&unix.O_TRUNC != 0:
		return nil, unix.EROFS
	}
	if st.IsDir() {
		return &ioFile{tree: t, name: name, st: st}, nil
	}
	f, err := t.fs.Open(name)
	if err != nil {
		return nil, errno(err)
	}
	out := &ioFile{tree: t, name: name, st: st, f: f}
	if at, ok := f.(io.ReaderAt); ok {
		out.at = at
	}
	return out, nil
}

func (t *ioFS) Statfs() (Statfs, error) {
	return Statfs{Type: tmpfsMagic, Bsize: 4096, ReadOnly: true}, nil
}

// Close closes an FS that can be closed (a zip reader's file stays with whoever
// opened it).
func (t *ioFS) Close() error { return nil }

// ioFile is an open file or directory of an fs.FS.
type ioFile struct {
	Unsupported
	tree *ioFS
	name string
	st   Stat

	mu  sync.Mutex
	f   fs.File     // nil for a directory, and once everything was read
	at  io.ReaderAt // f itself, or what was read from it
	pos int64
}

// load makes the contents addressable. The caller holds mu.
func (f *ioFile) load() error {
	if f.at != nil {
		return nil
	}
	if f.f == nil {
		return unix.EISDIR
	}
	if f.st.Size > maxBuffered {
		return unix.EFBIG
	}
	data, err := io.ReadAll(io.LimitReader(f.f, maxBuffered+1))
	if err != nil {
		return errno(err)
	}
	if len(data) > maxBuffered {
		return unix.EFBIG
	}
	f.at = bytesAt(data)
	f.st.Size = int64(len(data))
	err = f.f.Close()
	f.f = nil
	return errno(err)
}

// bytesAt is an io.ReaderAt without a position.
type bytesAt []byte

func (b bytesAt) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(b)) {
		return 0, io.EOF
	}
	return copy(p, b[off:]), nil
}

func (f *ioFile) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.readAt(p, f.pos)
	f.pos += int64(n)
	return n, err
}

func (f *ioFile) ReadAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.readAt(p, off)
}

func (f *ioFile) readAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, unix.EINVAL
	}
	if err := f.load(); err != nil {
		return 0, err
	}
	n, err := f.at.ReadAt(p, off)
	if n > 0 || errors.Is(err, io.EOF) {
		return n, nil
	}
	return n, errno(err)
}

func (f *ioFile) Seek(off int64, whence int) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.load(); err != nil {
		return 0, err
	}
	pos, err := seekTo(f.pos, f.st.Size, off, whence)
	if err == nil {
		f.pos = pos
	}
	return pos, err
}

func (f *ioFile) Stat() (Stat, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.st, nil
}

func (f *ioFile) ReadDir() ([]Dirent, error) {
	entries, err := fs.ReadDir(f.tree.fs, f.name)
	if err != nil {
		return nil, errno(err)
	}
	list := make([]Dirent, 0, len(entries))
	for _, e := range entries {
		full := e.Name()
		if f.name != "." {
			full = f.name + "/" + full
		}
		h := fnv.New64a()
		h.Write([]byte(full))
		d := Dirent{Ino: h.Sum64()>>1 | 1, Type: unix.DT_REG, Name: e.Name()}
		switch {
		case e.IsDir():
			d.Type = unix.DT_DIR
		case e.Type()&fs.ModeSymlink != 0:
			d.Type = unix.DT_UNKNOWN // a link, or what it leads to
		}
		list = append(list, d)
	}
	return list, nil
}

func (f *ioFile) Sync() error                    { return nil }
func (f *ioFile) Chmod(uint32) error             { return unix.EROFS }
func (f *ioFile) Chown(int, int) error           { return unix.EROFS }
func (f *ioFile) Utimens([2]unix.Timespec) error { return unix.EROFS }

func (f *ioFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = nil
	if f.f == nil {
		return nil
	}
	err := f.f.Close()
	f.f = nil
	return errno(err)
}
