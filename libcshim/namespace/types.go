package namespace

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Limits of names, as on Linux. PathMax counts the terminating NUL.
const (
	NameMax  = 255
	PathMax  = 4096
	LinksMax = 40
)

// Stat is what stat(2) tells.
type Stat struct {
	Dev, Ino, Nlink  uint64
	Mode             uint32 // S_IF* and permission bits
	UID, GID         uint32
	Rdev             uint64
	Size             int64
	Blksize, Blocks  int64
	Atim, Mtim, Ctim unix.Timespec
	Btim             unix.Timespec // zero when not known
}

// IsDir reports whether it is a directory.
func (s *Stat) IsDir() bool { return s.Mode&unix.S_IFMT == unix.S_IFDIR }

// IsRegular reports whether it is a regular file.
func (s *Stat) IsRegular() bool { return s.Mode&unix.S_IFMT == unix.S_IFREG }

// IsSymlink reports whether it is a symbolic link.
func (s *Stat) IsSymlink() bool { return s.Mode&unix.S_IFMT == unix.S_IFLNK }

// A Dirent is one entry of a directory. Type is the DT_* constant.
type Dirent struct {
	Ino  uint64
	Type uint8
	Name string
}

// An FS is a tree that can be mounted. Names are "." or slash-separated, without
// empty, "." or ".." components. No method follows a symbolic link: one in the
// middle of a name, or at the end where an operation can't be done to a link,
// is ELOOP.
type FS interface {
	Lstat(name string) (Stat, error)
	Readlink(name string) (string, error)
	// Open takes Linux's flags; perm has the umask applied.
	Open(name string, flags int, perm uint32) (File, error)
	Access(name string, mode uint32) error
	Mkdir(name string, perm uint32) error
	Unlink(name string) error
	Rmdir(name string) error
	Rename(from, to string, flags uint) error
	Link(from, to string) error
	Symlink(target, name string) error
	Chmod(name string, mode uint32) error
	Chown(name string, uid, gid int) error
	// Utimens sets access and modification time; UTIME_NOW and UTIME_OMIT
	// are understood.
	Utimens(name string, ts [2]unix.Timespec) error
	Statfs() (Statfs, error)
	Close() error
}

// Statfs is what statfs(2) tells.
type Statfs struct {
	Type                  int64
	Bsize                 int64
	Blocks, Bfree, Bavail uint64
	Files, Ffree          uint64
	ReadOnly              bool
}

// A File is an open file or directory. Read and Write use and move the file's
// position. At the end of the file Read and ReadAt return 0 and no error, as the
// system call does.
type File interface {
	Read(p []byte) (int, error)
	Write(p []byte) (int, error)
	ReadAt(p []byte, off int64) (int, error)
	WriteAt(p []byte, off int64) (int, error)
	Seek(off int64, whence int) (int64, error)
	Stat() (Stat, error)
	// ReadDir returns all entries but "." and "..".
	ReadDir() ([]Dirent, error)
	Truncate(size int64) error
	Sync() error
	Chmod(mode uint32) error
	Chown(uid, gid int) error
	Utimens(ts [2]unix.Timespec) error
	// SetAppend changes O_APPEND.
	SetAppend(on bool) error
	Close() error
}

// A HostBacked file can be mapped directly. The os.File stays the property of
// the file.
type HostBacked interface {
	HostFile() *os.File
	// Guarded reports whether the os.File has no more access than the file
	// was opened with.
	Guarded() bool
}

// An IOVec is a piece of this process's memory, for the kernel to read or write:
// an address inside a sandbox, where a bad page is EFAULT and no harm.
type IOVec struct{ Addr, Len uintptr }

// A Direct file moves bytes between the kernel and memory of a sandbox without a
// copy in between. off is -1 for the file's own position.
type Direct interface {
	ReadVec(v []IOVec, off int64) (int, error)
	WriteVec(v []IOVec, off int64) (int, error)
}

// Unsupported answers every method of File as an object that is neither a
// regular file nor a directory would. Embed it.
type Unsupported struct{}

func (Unsupported) Read([]byte) (int, error)           { return 0, unix.EINVAL }
func (Unsupported) Write([]byte) (int, error)          { return 0, unix.EINVAL }
func (Unsupported) ReadAt([]byte, int64) (int, error)  { return 0, unix.ESPIPE }
func (Unsupported) WriteAt([]byte, int64) (int, error) { return 0, unix.ESPIPE }
func (Unsupported) Seek(int64, int) (int64, error)     { return 0, unix.ESPIPE }
func (Unsupported) ReadDir() ([]Dirent, error)         { return nil, unix.ENOTDIR }
func (Unsupported) Truncate(int64) error               { return unix.EINVAL }
func (Unsupported) Sync() error                        { return unix.EINVAL }
func (Unsupported) Chmod(uint32) error                 { return unix.EPERM }
func (Unsupported) Chown(int, int) error               { return unix.EPERM }
func (Unsupported) Utimens([2]unix.Timespec) error     { return unix.EPERM }
func (Unsupported) SetAppend(bool) error               { return nil }
func (Unsupported) Close() error                       { return nil }

// ReadOnlyFS answers every changing method of FS with EROFS. Embed it.
type ReadOnlyFS struct{}

func (ReadOnlyFS) Mkdir(string, uint32) error             { return unix.EROFS }
func (ReadOnlyFS) Unlink(string) error                    { return unix.EROFS }
func (ReadOnlyFS) Rmdir(string) error                     { return unix.EROFS }
func (ReadOnlyFS) Rename(string, string, uint) error      { return unix.EROFS }
func (ReadOnlyFS) Link(string, string) error              { return unix.EROFS }
func (ReadOnlyFS) Symlink(string, string) error           { return unix.EROFS }
func (ReadOnlyFS) Chmod(string, uint32) error             { return unix.EROFS }
func (ReadOnlyFS) Chown(string, int, int) error           { return unix.EROFS }
func (ReadOnlyFS) Utimens(string, [2]unix.Timespec) error { return unix.EROFS }
func (ReadOnlyFS) Close() error                           { return nil }

// errno makes a syscall.Errno of any error of the os and io/fs packages.
func errno(err error) error {
	var e syscall.Errno
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return e
	case errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return unix.ENOENT
	case errors.Is(err, fs.ErrExist):
		return unix.EEXIST
	case errors.Is(err, fs.ErrPermission):
		return unix.EACCES
	case errors.Is(err, fs.ErrClosed):
		return unix.EBADF
	case errors.Is(err, fs.ErrInvalid):
		return unix.EINVAL
	}
	return unix.EIO
}

// seekTo computes the new position of a file of the given size.
func seekTo(pos, size, off int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		if off > 0 && pos > math.MaxInt64-off {
			return 0, unix.EOVERFLOW
		}
		off += pos
	case io.SeekEnd:
		if off > 0 && size > math.MaxInt64-off {
			return 0, unix.EOVERFLOW
		}
		off += size
	case unix.SEEK_DATA:
		if off < 0 || off >= size {
			return 0, unix.ENXIO
		}
	case unix.SEEK_HOLE:
		if off < 0 || off >= size {
			return 0, unix.ENXIO
		}
		off = size
	default:
		return 0, unix.EINVAL
	}
	if off < 0 {
		return 0, unix.EINVAL
	}
	return off, nil
}
