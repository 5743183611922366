package fileservice

import (
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/imc"
)

// A Backend is a tree of files. Names are relative, without "." and "..", "." for
// the root; errors are, or wrap, numbers of the system or errors of io/fs. All methods
// may be called at once.
type Backend interface {
	// Open opens a regular file; flags are those of open(2).
	Open(name string, flags int, mode uint32) (*imc.File, Stat, error)
	Stat(name string, follow bool) (Stat, error)
	ReadDir(name string) ([]Entry, error)
	Readlink(name string) (string, error)
	Mkdir(name string, mode uint32) error
	Unlink(name string) error
	Rmdir(name string) error
	Rename(from, to string) error
	Symlink(target, name string) error
	Truncate(name string, size int64) error
	Chmod(name string, mode uint32) error
	Close() error
}

// openFlags are the flags of open that are passed on.
const openFlags = unix.O_ACCMODE | unix.O_CREAT | unix.O_EXCL | unix.O_TRUNC | unix.O_APPEND

func writes(flags int) bool {
	return flags&unix.O_ACCMODE != unix.O_RDONLY || flags&(unix.O_CREAT|unix.O_TRUNC) != 0
}

// readOnly is what trees have that can't be changed.
type readOnly struct{}

func (readOnly) Mkdir(string, uint32) error   { return unix.EROFS }
func (readOnly) Unlink(string) error          { return unix.EROFS }
func (readOnly) Rmdir(string) error           { return unix.EROFS }
func (readOnly) Rename(_, _ string) error     { return unix.EROFS }
func (readOnly) Symlink(_, _ string) error    { return unix.EROFS }
func (readOnly) Truncate(string, int64) error { return unix.EROFS }
func (readOnly) Chmod(string, uint32) error   { return unix.EROFS }

// FS shows an fs.FS, for reading. What is opened is copied into a memory file, unless
// it is a file of the host; files above maxFile bytes are EFBIG (0 means 1 GiB).
func FS(fsys fs.FS, maxFile int64) Backend {
	if maxFile == 0 {
		maxFile = 1 << 30
	}
	return &fsBackend{fsys: fsys, max: maxFile}
}

type fsBackend struct {
	readOnly
	fsys fs.FS
	max  int64
}

func (b *fsBackend) Close() error { return nil }

// inode is made of the name: the same for one file each time, and another one for
// another file.
func inode(name string) uint64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, path.Clean(name))
	return h.Sum64()&^(1<<63) | 1
}

func (b *fsBackend) Open(name string, flags int, _ uint32) (*imc.File, Stat, error) {
	if writes(flags) {
		return nil, Stat{}, unix.EROFS
	}
	f, err := b.fsys.Open(name)
	if err != nil {
		return nil, Stat{}, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, Stat{}, err
	}
	st := statOf(fi, inode(name))
	switch {
	case fi.IsDir():
		return nil, st, unix.EISDIR
	case !fi.Mode().IsRegular():
		return nil, st, unix.EACCES
	case fi.Size() > b.max:
		return nil, st, unix.EFBIG
	}
	if host, ok := f.(*os.File); ok {
		d, err := imc.NewFile(host)
		return d, st, err
	}
	d, err := memoryFile(f, b.max)
	return d, st, err
}

// memoryFile copies a file into one that has a descriptor, for reading only.
func memoryFile(r io.Reader, limit int64) (*imc.File, error) {
	fd, err := unix.MemfdCreate("fileservice", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, err
	}
	w := os.NewFile(uintptr(fd), "memory")
	defer w.Close()
	n, err := io.Copy(w, io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return nil, err
	case n > limit:
		return nil, unix.EFBIG
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE|unix.F_SEAL_SEAL); err != nil {
		return nil, err
	}
	// Another opening, for reading and at the beginning.
	ro, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return nil, err
	}
	defer ro.Close()
	return imc.NewFile(ro)
}

func (b *fsBackend) Stat(name string, follow bool) (Stat, error) {
	var fi fs.FileInfo
	var err error
	if follow {
		fi, err = fs.Stat(b.fsys, name)
	} else {
		fi, err = fs.Lstat(b.fsys, name)
	}
	if err != nil {
		return Stat{}, err
	}
	return statOf(fi, inode(name)), nil
}

func (b *fsBackend) ReadDir(name string) ([]Entry, error) {
	list, err := fs.ReadDir(b.fsys, name)
	return entries(name, list), err
}

func (b *fsBackend) Readlink(name string) (string, error) {
	s, err := fs.ReadLink(b.fsys, name)
	if err != nil && errnoOf(err) == unix.EIO {
		err = unix.EINVAL
	}
	return s, err
}

func entries(dir string, list []fs.DirEntry) []Entry {
	out := make([]Entry, 0, len(list))
	for _, d := range list {
		out = append(out, Entry{Name: d.Name(), Ino: inode(path.Join(dir, d.Name())), Type: unixMode(d.Type()) & unix.S_IFMT})
	}
	return out
}

// Dir shows a directory of the host. Nothing outside can be reached from it, not
// by links either; changes are allowed if it is writable.
func Dir(name string, writable bool) (Backend, error) {
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	return &dirBackend{root: root, writable: writable}, nil
}

type dirBackend struct {
	root     *os.Root
	writable bool
}

func (b *dirBackend) Close() error { return b.root.Close() }

func (b *dirBackend) Open(name string, flags int, mode uint32) (*imc.File, Stat, error) {
	if writes(flags) && !b.writable {
		return nil, Stat{}, unix.EROFS
	}
	if name == "." {
		return nil, Stat{}, unix.EISDIR
	}
	// O_NONBLOCK: opening a pipe must not wait. It means nothing for regular files.
	f, err := b.root.OpenFile(name, flags&openFlags|unix.O_NONBLOCK, fs.FileMode(mode&0o777))
	if err != nil {
		return nil, Stat{}, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, Stat{}, err
	}
	st := statOf(fi, 0)
	switch {
	case fi.IsDir():
		return nil, st, unix.EISDIR
	case !fi.Mode().IsRegular():
		return nil, st, unix.EACCES
	}
	if err := unix.SetNonblock(int(f.Fd()), false); err != nil {
		return nil, st, err
	}
	d, err := imc.NewFile(f)
	return d, st, err
}

func (b *dirBackend) Stat(name string, follow bool) (Stat, error) {
	stat := b.root.Lstat
	if follow {
		stat = b.root.Stat
	}
	fi, err := stat(name)
	if err != nil {
		return Stat{}, err
	}
	return statOf(fi, 0), nil
}

func (b *dirBackend) ReadDir(name string) ([]Entry, error) {
	f, err := b.root.OpenFile(name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list, err := f.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	out := entries(name, list)
	for i, d := range list {
		if fi, err := d.Info(); err == nil {
			out[i].Ino = statOf(fi, out[i].Ino).Ino
		}
	}
	return out, nil
}

func (b *dirBackend) Readlink(name string) (string, error) { return b.root.Readlink(name) }

// change is done if it is allowed.
func (b *dirBackend) change(f func() error) error {
	if !b.writable {
		return unix.EROFS
	}
	return f()
}

func (b *dirBackend) Mkdir(name string, mode uint32) error {
	return b.change(func() error { return b.root.Mkdir(name, fs.FileMode(mode&0o777)) })
}

func (b *dirBackend) Unlink(name string) error { return b.remove(name, false) }
func (b *dirBackend) Rmdir(name string) error  { return b.remove(name, true) }

func (b *dirBackend) remove(name string, dir bool) error {
	return b.change(func() error {
		fi, err := b.root.Lstat(name)
		switch {
		case err != nil:
			return err
		case name == ".":
			return unix.EBUSY
		case dir && !fi.IsDir():
			return unix.ENOTDIR
		case !dir && fi.IsDir():
			return unix.EISDIR
		}
		return b.root.Remove(name)
	})
}

func (b *dirBackend) Rename(from, to string) error {
	return b.change(func() error { return b.root.Rename(from, to) })
}

func (b *dirBackend) Symlink(target, name string) error {
	return b.change(func() error { return b.root.Symlink(target, name) })
}

func (b *dirBackend) Truncate(name string, size int64) error {
	return b.change(func() error {
		if size < 0 {
			return unix.EINVAL
		}
		f, err := b.root.OpenFile(name, unix.O_WRONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		return f.Truncate(size)
	})
}

func (b *dirBackend) Chmod(name string, mode uint32) error {
	return b.change(func() error { return b.root.Chmod(name, fs.FileMode(mode&0o777)) })
}
