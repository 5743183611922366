package namespace

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// hostFS is a directory of the host, or a single file of one.
//
// root is an O_PATH descriptor. Every operation goes through parent, which walks
// to the directory that holds the last component without following a link, and
// then names only that component. The last component itself is always used with
// the no-follow form of the system call.
type hostFS struct {
	root *os.File
	// only, when not empty, is the name in root of the single file that the
	// tree consists of.
	only string
	ids  Identity
	uid  uint32 // of this process
	gid  uint32
	// verdicts remembers by device number whether a file system is fit for a
	// guest.
	verdicts sync.Map // uint64 -> bool
	devices  sync.Map // host device number -> small number shown to the guest
	lastDev  atomic.Uint64
}

// Identity says which user a guest takes itself for. Files of the user that the
// host process runs as look as if they belonged to it, all others to "nobody".
type Identity struct{ UID, GID uint32 }

const nobody = 65534

// HostDir makes a tree of a directory of the host. The name is resolved now and
// never again: the mount stays on that directory even if it is renamed or its
// name is given to something else.
func HostDir(dir string, ids Identity) (FS, error) {
	f, err := openPath(dir, unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	h := newHostFS(f, "", ids)
	if err := h.fit(int(f.Fd())); err != nil {
		f.Close()
		return nil, &os.PathError{Op: "mount", Path: dir, Err: fmt.Errorf("a pseudo file system of the host can not be given to a guest: %w", err)}
	}
	return h, nil
}

func newHostFS(root *os.File, only string, ids Identity) *hostFS {
	return &hostFS{root: root, only: only, ids: ids, uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}
}

// HostFile makes a tree that is one regular file of the host. Symbolic links in
// its name are resolved now; the directory is held, the last component is looked
// up when it is used.
func HostFile(file string, ids Identity) (FS, error) {
	real, err := filepath.EvalSymlinks(file)
	if err != nil {
		return nil, err
	}
	info, err := os.Lstat(real)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &os.PathError{Op: "mount", Path: file, Err: fmt.Errorf("not a regular file")}
	}
	f, err := openPath(filepath.Dir(real), unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	return newHostFS(f, filepath.Base(real), ids), nil
}

func openPath(name string, flags int) (*os.File, error) {
	fd, err := ignoringEINTR(func() (int, error) {
		return unix.Open(name, unix.O_PATH|unix.O_CLOEXEC|flags, 0)
	})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

func ignoringEINTR(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if err != unix.EINTR {
			return n, err
		}
	}
}

// Close closes the root.
func (h *hostFS) Close() error { return h.root.Close() }

// noOpenat2 is set once the kernel, or a filter around this process, refuses
// openat2.
var noOpenat2 atomic.Bool

// walk opens the directory rel (in normal form) below dir without following a
// link, as O_PATH.
func walk(dir int, rel string) (int, error) {
	const flags = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	if !noOpenat2.Load() {
		how := unix.OpenHow{Flags: flags, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS}
		fd, err := ignoringEINTR(func() (int, error) { return unix.Openat2(dir, rel, &how) })
		switch err {
		case unix.ENOSYS, unix.EPERM:
			noOpenat2.Store(true)
		case unix.EAGAIN: // something was renamed meanwhile: go by hand
		default:
			return fd, err
		}
	}
	cur := dir
	for c := range strings.SplitSeq(rel, "/") {
		fd, err := ignoringEINTR(func() (int, error) { return unix.Openat(cur, c, flags, 0) })
		if cur != dir {
			unix.Close(cur)
		}
		if err != nil {
			// The kernel says ENOTDIR for a link that it was told not to follow
			// where a directory is wanted; the caller must know the difference.
			var st unix.Stat_t
			if err == unix.ENOTDIR && cur == dir && unix.Fstatat(dir, c, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
				err = unix.ELOOP
			}
			return -1, err
		}
		cur = fd
	}
	return cur, nil
}

// in calls op with the directory that holds the last component of name, and that
// component ("." for the root itself).
func (h *hostFS) in(name string, op func(dir int, base string) error) error {
	raw, err := h.root.SyscallConn()
	if err != nil {
		return errno(err)
	}
	var result error
	err = raw.Control(func(root uintptr) { result = h.inRoot(int(root), name, op) })
	if err != nil {
		return unix.ENOENT // the namespace was closed
	}
	return result
}

func (h *hostFS) inRoot(root int, name string, op func(dir int, base string) error) error {
	if h.only != "" {
		if name != "." {
			return unix.ENOTDIR
		}
		return op(root, h.only)
	}
	slash := strings.LastIndexByte(name, '/')
	if slash < 0 {
		return op(root, name)
	}
	dir, err := walk(root, name[:slash])
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	if err := h.fit(dir); err != nil {
		return err
	}
	return op(dir, name[slash+1:])
}

// Pseudo file systems of the kernel: files there are doors to the host, not
// files. The numbers are in statfs(2).
var pseudoFileSystems = map[int64]bool{
	unix.PROC_SUPER_MAGIC: true, unix.SYSFS_MAGIC: true, unix.DEBUGFS_MAGIC: true, unix.TRACEFS_MAGIC: true,
	unix.SECURITYFS_MAGIC: true, unix.CGROUP_SUPER_MAGIC: true, unix.CGROUP2_SUPER_MAGIC: true,
	unix.BPF_FS_MAGIC: true, unix.DEVPTS_SUPER_MAGIC: true, unix.SELINUX_MAGIC: true, unix.SMACK_MAGIC: true,
	unix.NSFS_MAGIC: true, unix.EFIVARFS_MAGIC: true, unix.BINFMTFS_MAGIC: true, unix.PSTOREFS_MAGIC: true,
	unix.XENFS_SUPER_MAGIC: true, unix.HUGETLBFS_MAGIC: true, unix.FUTEXFS_SUPER_MAGIC: true,
	unix.MTD_INODE_FS_MAGIC: true, unix.RDTGROUP_SUPER_MAGIC: true, unix.USBDEVICE_SUPER_MAGIC: true,
	configfsMagic: true, fusectlMagic: true,
}

const (
	configfsMagic = 0x62656570
	fusectlMagic  = 0x65735543
)

// fit refuses an open file or directory that is on a pseudo file system.
func (h *hostFS) fit(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	return h.fitDevice(fd, st.Dev)
}

// fitDevice is fit for a file whose device number is known.
func (h *hostFS) fitDevice(fd int, dev uint64) error {
	if ok, known := h.verdicts.Load(dev); known {
		if ok.(bool) {
			return nil
		}
		return unix.EACCES
	}
	var fs unix.Statfs_t
	if _, err := ignoringEINTR(func() (int, error) { return 0, unix.Fstatfs(fd, &fs) }); err != nil {
		return err
	}
	ok := !pseudoFileSystems[int64(uint32(fs.Type))]
	h.verdicts.Store(dev, ok)
	if !ok {
		return unix.EACCES
	}
	return nil
}

// stat translates what the host says into what the guest is told.
func (h *hostFS) stat(st *unix.Stat_t) Stat {
	dev, known := h.devices.Load(st.Dev)
	if !known {
		dev, _ = h.devices.LoadOrStore(st.Dev, h.lastDev.Add(1))
	}
	s := Stat{
		Dev: dev.(uint64), Ino: st.Ino, Nlink: uint64(st.Nlink), Mode: st.Mode,
		UID: nobody, GID: nobody, Size: st.Size, Blksize: int64(st.Blksize), Blocks: st.Blocks,
		Atim: st.Atim, Mtim: st.Mtim, Ctim: st.Ctim,
	}
	if st.Uid == h.uid {
		s.UID = h.ids.UID
	}
	if st.Gid == h.gid {
		s.GID = h.ids.GID
	}
	return s
}

// Lstat of a longer name opens it as O_PATH, which is one walk of the kernel.
func (h *hostFS) Lstat(name string) (s Stat, err error) {
	if h.only == "" && !noOpenat2.Load() && strings.IndexByte(name, '/') >= 0 {
		if s, err = h.lstatAtOnce(name); err != unix.EAGAIN {
			return s, err
		}
	}
	err = h.in(name, func(dir int, base string) error {
		var st unix.Stat_t
		if err := fstatat(dir, base, &st); err != nil {
			return err
		}
		s = h.stat(&st)
		return nil
	})
	return s, err
}

// lstatAtOnce is EAGAIN when the other way must be taken.
func (h *hostFS) lstatAtOnce(name string) (s Stat, err error) {
	raw, err := h.root.SyscallConn()
	if err != nil {
		return s, errno(err)
	}
	var result error
	if err := raw.Control(func(root uintptr) {
		how := unix.OpenHow{
			Flags:   unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
		}
		fd, err := ignoringEINTR(func() (int, error) { return unix.Openat2(int(root), name, &how) })
		switch err {
		case nil:
		case unix.ENOSYS, unix.EPERM:
			noOpenat2.Store(true)
			result = unix.EAGAIN
			return
		default:
			result = err
			return
		}
		defer unix.Close(fd)
		var st unix.Stat_t
		if result = unix.Fstat(fd, &st); result != nil {
			return
		}
		if result = h.fitDevice(fd, st.Dev); result == nil {
			s = h.stat(&st)
		}
	}); err != nil {
		return s, unix.ENOENT
	}
	return s, result
}

func fstatat(dir int, base string, st *unix.Stat_t) error {
	_, err := ignoringEINTR(func() (int, error) { return 0, unix.Fstatat(dir, base, st, unix.AT_SYMLINK_NOFOLLOW) })
	return err
}

func (h *hostFS) Readlink(name string) (target string, err error) {
	err = h.in(name, func(dir int, base string) error {
		var buf [PathMax]byte
		n, err := ignoringEINTR(func() (int, error) { return unix.Readlinkat(dir, base, buf[:]) })
		if err != nil {
			return err
		}
		target = string(buf[:n])
		return nil
	})
	return target, err
}

func (h *hostFS) Access(name string, mode uint32) error {
	return h.in(name, func(dir int, base string) error {
		err := unix.Faccessat(dir, base, mode, unix.AT_SYMLINK_NOFOLLOW|unix.AT_EACCESS)
		if err == unix.EINVAL || err == unix.ENOSYS || err == unix.EOPNOTSUPP {
			// A kernel without faccessat2: go by the bits of the owner.
			var st unix.Stat_t
			if err := fstatat(dir, base, &st); err != nil {
				return err
			}
			if st.Mode>>6&mode != mode && os.Geteuid() != 0 {
				return unix.EACCES
			}
			return nil
		}
		return err
	})
}

// hostOpenFlags keep an open from blocking, from making a terminal ours, from
// following a link and from surviving an exec.
const hostOpenFlags = unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC

func (h *hostFS) Open(name string, flags int, perm uint32) (f File, err error) {
	if h.only == "" && flags&unix.O_CREAT == 0 && !noOpenat2.Load() {
		if f, err = h.openAtOnce(name, flags); err != unix.EAGAIN {
			return f, err
		}
	}
	err = h.in(name, func(dir int, base string) error {
		fd, err := h.open(dir, base, flags, perm&0o777)
		if err != nil {
			return err
		}
		f = &hostFile{fs: h, fd: fd}
		return nil
	})
	return f, err
}

// openAtOnce opens what is there with one walk of the kernel. The namespace has
// looked at it a moment ago, so that a device is not opened but in a race, and
// then without waiting (O_NONBLOCK) and not for the guest. EAGAIN means that the
// other way must be taken.
func (h *hostFS) openAtOnce(name string, flags int) (f File, err error) {
	raw, err := h.root.SyscallConn()
	if err != nil {
		return nil, errno(err)
	}
	var result error
	if err := raw.Control(func(root uintptr) {
		how := unix.OpenHow{
			Flags:   uint64(flags | hostOpenFlags),
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
		}
		fd, err := ignoringEINTR(func() (int, error) { return unix.Openat2(int(root), name, &how) })
		if err != nil {
			// Refused for a flag, or by a filter: the other way finds out.
			if result = err; err == unix.ENOSYS || err == unix.EPERM || err == unix.EINVAL {
				result = unix.EAGAIN
			}
			return
		}
		var st unix.Stat_t
		if result = unix.Fstat(fd, &st); result == nil {
			if result = ordinary(&st); result == nil {
				result = h.fitDevice(fd, st.Dev)
			}
		}
		if result != nil {
			unix.Close(fd)
			return
		}
		f = &hostFile{fs: h, fd: fd}
	}); err != nil {
		return nil, unix.ENOENT
	}
	return f, result
}

func (h *hostFS) open(dir int, base string, flags int, perm uint32) (int, error) {
	openat := func(flags int) (int, error) {
		return ignoringEINTR(func() (int, error) { return unix.Openat(dir, base, flags|hostOpenFlags, perm) })
	}
	create := flags&unix.O_CREAT != 0
	exclusive := flags&unix.O_EXCL != 0
	flags &^= unix.O_CREAT | unix.O_EXCL
	for range resolveRetries {
		if create {
			// Made by us and by nobody else, so that its mode can be made what
			// the guest's own umask says: the host's does not count.
			fd, err := openat(flags&^unix.O_DIRECTORY | unix.O_CREAT | unix.O_EXCL)
			if err == nil {
				if err = unix.Fchmod(fd, perm); err == nil {
					err = h.fit(fd)
				}
				if err != nil {
					unix.Close(fd)
					return -1, err
				}
				return fd, nil
			}
			if err != unix.EEXIST || exclusive {
				return -1, err
			}
		}
		// The look before keeps devices with side effects from being opened at
		// all; the look after is the one that is not raced.
		var st unix.Stat_t
		err := fstatat(dir, base, &st)
		if err == unix.ENOENT && create {
			continue // removed by somebody between the two
		}
		if err != nil {
			return -1, err
		}
		if err := ordinary(&st); err != nil {
			return -1, err
		}
		fd, err := openat(flags)
		if err == unix.ENOENT && create {
			continue
		}
		if err == unix.EPERM && flags&unix.O_NOATIME != 0 {
			fd, err = openat(flags &^ unix.O_NOATIME)
		}
		if err != nil {
			return -1, err
		}
		if err = unix.Fstat(fd, &st); err == nil {
			if err = ordinary(&st); err == nil {
				err = h.fitDevice(fd, st.Dev)
			}
		}
		if err != nil {
			unix.Close(fd)
			return -1, err
		}
		return fd, nil
	}
	return -1, unix.EAGAIN
}

// ordinary accepts regular files and directories only: a device, a pipe or a
// socket of the host is something else than it seems to be.
func ordinary(st *unix.Stat_t) error {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFDIR:
		return nil
	case unix.S_IFLNK:
		return unix.ELOOP
	case unix.S_IFSOCK:
		return unix.ENXIO
	}
	return unix.EACCES
}

func (h *hostFS) Mkdir(name string, perm uint32) error {
	return h.in(name, func(dir int, base string) error {
		perm &= 0o777
		if err := unix.Mkdirat(dir, base, perm); err != nil {
			return err
		}
		fd, err := unix.Openat(dir, base, unix.O_RDONLY|unix.O_DIRECTORY|hostOpenFlags, 0)
		if err != nil {
			return nil // made, with the host's umask applied
		}
		defer unix.Close(fd)
		return unix.Fchmod(fd, perm)
	})
}

func (h *hostFS) Unlink(name string) error {
	return h.in(name, func(dir int, base string) error { return unix.Unlinkat(dir, base, 0) })
}

func (h *hostFS) Rmdir(name string) error {
	return h.in(name, func(dir int, base string) error { return unix.Unlinkat(dir, base, unix.AT_REMOVEDIR) })
}

func (h *hostFS) Rename(from, to string, flags uint) error {
	return h.in(from, func(dir1 int, base1 string) error {
		return h.in(to, func(dir2 int, base2 string) error {
			return unix.Renameat2(dir1, base1, dir2, base2, flags)
		})
	})
}

func (h *hostFS) Link(from, to string) error {
	return h.in(from, func(dir1 int, base1 string) error {
		var st unix.Stat_t
		if err := fstatat(dir1, base1, &st); err != nil {
			return err
		}
		return h.in(to, func(dir2 int, base2 string) error {
			return unix.Linkat(dir1, base1, dir2, base2, 0)
		})
	})
}

func (h *hostFS) Symlink(target, name string) error {
	return h.in(name, func(dir int, base string) error { return unix.Symlinkat(target, dir, base) })
}

func (h *hostFS) Chmod(name string, mode uint32) error {
	return h.in(name, func(dir int, base string) error {
		err := fchmodat2(dir, base, mode&0o777)
		if err != unix.ENOSYS && err != unix.EPERM {
			return err
		}
		fd, err := unix.Openat(dir, base, unix.O_RDONLY|hostOpenFlags, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Fchmod(fd, mode&0o777)
	})
}

func (h *hostFS) Chown(name string, uid, gid int) error {
	st, err := h.Lstat(name)
	if err != nil {
		return err
	}
	return chownCheck(&st, uid, gid)
}

// chownCheck allows a change of owner that changes nothing.
func chownCheck(st *Stat, uid, gid int) error {
	if uid != -1 && uint32(uid) != st.UID || gid != -1 && uint32(gid) != st.GID {
		return unix.EPERM
	}
	return nil
}

func (h *hostFS) Utimens(name string, ts [2]unix.Timespec) error {
	return h.in(name, func(dir int, base string) error {
		return unix.UtimesNanoAt(dir, base, ts[:], unix.AT_SYMLINK_NOFOLLOW)
	})
}

func (h *hostFS) Statfs() (s Statfs, err error) {
	err = h.in(".", func(dir int, _ string) error {
		s, err = statfs(dir)
		return err
	})
	return s, err
}

func statfs(fd int) (Statfs, error) {
	var st unix.Statfs_t
	if _, err := ignoringEINTR(func() (int, error) { return 0, unix.Fstatfs(fd, &st) }); err != nil {
		return Statfs{}, err
	}
	return Statfs{
		Type: int64(st.Type), Bsize: int64(st.Bsize), Blocks: st.Blocks, Bfree: st.Bfree, Bavail: st.Bavail,
		Files: st.Files, Ffree: st.Ffree, ReadOnly: st.Flags&unix.ST_RDONLY != 0,
	}, nil
}

// hostFile is an open regular file or directory of the host. The position is the
// kernel's. Whoever uses it holds a reference of its open file, so that Close
// comes last.
type hostFile struct {
	fs *hostFS
	fd int

	mu sync.Mutex
	f  *os.File // owns fd once it is set
}

// HostStat is what the kernel says of a file that Namespace.Open returned; ok is false if
// it is no file of a directory of the host.
func HostStat(f File) (st unix.Stat_t, ok bool) {
	h, ok := Unwrap(f).(*hostFile)
	return st, ok && unix.Fstat(h.fd, &st) == nil
}

// HostFile gives the file for mapping.
func (h *hostFile) HostFile() *os.File {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.f == nil {
		h.f = os.NewFile(uintptr(h.fd), "file of the guest")
	}
	return h.f
}

// Guarded is true: the kernel knows how it was opened.
func (h *hostFile) Guarded() bool { return true }

func (h *hostFile) Read(p []byte) (int, error) {
	n, err := ignoringEINTR(func() (int, error) { return unix.Read(h.fd, p) })
	return max(n, 0), err
}

func (h *hostFile) Write(p []byte) (int, error) {
	n, err := ignoringEINTR(func() (int, error) { return unix.Write(h.fd, p) })
	return max(n, 0), err
}

func (h *hostFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := ignoringEINTR(func() (int, error) { return unix.Pread(h.fd, p, off) })
	return max(n, 0), err
}

func (h *hostFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := ignoringEINTR(func() (int, error) { return unix.Pwrite(h.fd, p, off) })
	return max(n, 0), err
}

func (h *hostFile) Seek(off int64, whence int) (int64, error) {
	return unix.Seek(h.fd, off, whence)
}

func (h *hostFile) Stat() (Stat, error) {
	var st unix.Stat_t
	if err := unix.Fstat(h.fd, &st); err != nil {
		return Stat{}, err
	}
	return h.fs.stat(&st), nil
}

// Offsets in struct linux_dirent64.
const (
	direntIno    = 0
	direntReclen = 16
	direntType   = 18
	direntName   = 19
)

func (h *hostFile) ReadDir() (list []Dirent, err error) {
	if _, err := unix.Seek(h.fd, 0, 0); err != nil {
		return nil, err
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := ignoringEINTR(func() (int, error) { return syscall.Getdents(h.fd, buf) })
		if err != nil {
			return nil, err
		}
		if n <= 0 {
			return list, nil
		}
		for rest := buf[:n]; len(rest) > direntName; {
			length := int(binary.NativeEndian.Uint16(rest[direntReclen:]))
			if length <= direntName || length > len(rest) {
				return nil, unix.EIO
			}
			name := string(rest[direntName:length])
			if i := strings.IndexByte(name, 0); i >= 0 {
				name = name[:i]
			}
			if name != "." && name != ".." {
				list = append(list, Dirent{
					Ino: binary.NativeEndian.Uint64(rest[direntIno:]), Type: rest[direntType], Name: name,
				})
			}
			rest = rest[length:]
		}
	}
}

func (h *hostFile) Truncate(size int64) error {
	_, err := ignoringEINTR(func() (int, error) { return 0, unix.Ftruncate(h.fd, size) })
	return err
}

func (h *hostFile) Sync() error {
	_, err := ignoringEINTR(func() (int, error) { return 0, unix.Fsync(h.fd) })
	return err
}

func (h *hostFile) Chmod(mode uint32) error { return unix.Fchmod(h.fd, mode&0o777) }

func (h *hostFile) Chown(uid, gid int) error {
	st, err := h.Stat()
	if err != nil {
		return err
	}
	return chownCheck(&st, uid, gid)
}

func (h *hostFile) SetAppend(on bool) error {
	flags, err := unix.FcntlInt(uintptr(h.fd), unix.F_GETFL, 0)
	if err != nil {
		return err
	}
	flags &^= unix.O_APPEND
	if on {
		flags |= unix.O_APPEND
	}
	_, err = unix.FcntlInt(uintptr(h.fd), unix.F_SETFL, flags)
	return err
}

func (h *hostFile) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	fd := h.fd
	h.fd = -1
	switch {
	case fd < 0:
		return nil
	case h.f != nil:
		return errno(h.f.Close())
	}
	return unix.Close(fd)
}
