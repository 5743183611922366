package namespace

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// resolveRetries bounds how often a name is resolved again because it changed
// between the look and the operation.
const resolveRetries = 8

// retry resolves name and does op until op does not meet a link that was not
// there a moment ago.
func (n *Namespace) retry(dir, name string, end following, op func(p place) error) error {
	for range resolveRetries {
		p, err := n.resolve(dir, name, end)
		if err != nil {
			return err
		}
		if err = op(p); err != unix.ELOOP {
			return err
		}
		if end != asTarget && p.exists && p.stat.IsSymlink() {
			return err
		}
	}
	return unix.ELOOP
}

// existing is retry for something that must be there.
func (n *Namespace) existing(dir, name string, end following, op func(p place) error) error {
	return n.retry(dir, name, end, func(p place) error {
		if !p.exists {
			return unix.ENOENT
		}
		return op(p)
	})
}

// writable refuses changes in read-only mounts and of the directories that exist
// only because a mount is below them.
func (p *place) writable() error {
	if p.m.readOnly || p.virtual {
		return unix.EROFS
	}
	return nil
}

// Stat looks at a name; follow says whether a link at its end is followed. It
// returns the absolute name too.
func (n *Namespace) Stat(dir, name string, follow bool) (Stat, string, error) {
	p, err := n.resolve(dir, name, follows(follow))
	if err != nil {
		return Stat{}, "", err
	}
	if !p.exists {
		return Stat{}, "", unix.ENOENT
	}
	return p.stat, p.path, nil
}

// Readlink returns the target of a symbolic link.
func (n *Namespace) Readlink(dir, name string) (target string, err error) {
	err = n.existing(dir, name, asLink, func(p place) error {
		// A descriptor in /proc/self/fd looks like a device and can be asked.
		if !p.stat.IsSymlink() && p.stat.Mode&unix.S_IFMT != unix.S_IFCHR {
			return unix.EINVAL
		}
		target, err = p.m.fs.Readlink(p.rel)
		return err
	})
	return target, err
}

// Access is access(2); mode is a set of R_OK, W_OK, X_OK or F_OK.
func (n *Namespace) Access(dir, name string, mode uint32, follow bool) error {
	return n.existing(dir, name, follows(follow), func(p place) error {
		if mode&unix.W_OK != 0 && (p.m.readOnly || p.virtual) {
			return unix.EROFS
		}
		if p.virtual || mode == unix.F_OK {
			return nil
		}
		return p.m.fs.Access(p.rel, mode)
	})
}

// openFlags are the flags of open(2) that a mount sees.
const openFlags = unix.O_ACCMODE | unix.O_CREAT | unix.O_EXCL | unix.O_TRUNC | unix.O_APPEND |
	unix.O_DIRECTORY | unix.O_SYNC | unix.O_DSYNC | unix.O_NOATIME

// Open opens a name and returns its absolute form too. With O_PATH the file can
// only be looked at, which the caller has to see to.
func (n *Namespace) Open(dir, name string, flags int, perm uint32) (f File, path string, err error) {
	if flags&unix.O_TMPFILE == unix.O_TMPFILE {
		return nil, "", unix.EOPNOTSUPP
	}
	if flags&unix.O_PATH != 0 {
		flags &= unix.O_PATH | unix.O_NOFOLLOW | unix.O_DIRECTORY
	}
	follow := flags&unix.O_NOFOLLOW == 0 && flags&(unix.O_CREAT|unix.O_EXCL) != unix.O_CREAT|unix.O_EXCL
	err = n.retry(dir, name, follows(follow), func(p place) error {
		path = p.path
		f, err = n.open(p, flags, perm)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return f, path, nil
}

func (n *Namespace) open(p place, flags int, perm uint32) (File, error) {
	writes := flags&unix.O_ACCMODE != unix.O_RDONLY || flags&unix.O_TRUNC != 0
	if !p.exists {
		switch {
		case flags&unix.O_CREAT == 0:
			return nil, unix.ENOENT
		case p.slash:
			return nil, unix.EISDIR
		case p.m.readOnly:
			return nil, unix.EROFS
		}
		return n.wrap(p, flags, perm)
	}
	if flags&unix.O_CREAT != 0 && flags&unix.O_EXCL != 0 {
		return nil, unix.EEXIST
	}
	if !p.stat.IsRegular() && flags&unix.O_PATH == 0 && !p.offersDevices() {
		// Not even opened: that alone does something to some devices.
		st := unix.Stat_t{Mode: p.stat.Mode}
		if err := ordinary(&st); err != nil {
			return nil, err
		}
	}
	switch {
	case p.stat.IsSymlink():
		if flags&unix.O_PATH != 0 {
			return &pathFile{stat: p.stat}, nil
		}
		return nil, unix.ELOOP
	case p.stat.IsDir():
		if writes || flags&unix.O_CREAT != 0 {
			return nil, unix.EISDIR
		}
	default:
		if flags&unix.O_DIRECTORY != 0 || p.slash {
			return nil, unix.ENOTDIR
		}
		if p.m.readOnly && writes && (p.stat.IsRegular()) {
			return nil, unix.EROFS
		}
	}
	if flags&unix.O_PATH != 0 && !p.stat.IsDir() {
		return &pathFile{stat: p.stat}, nil
	}
	return n.wrap(p, flags&^(unix.O_CREAT|unix.O_EXCL), perm)
}

// offersDevices reports whether p is in a tree whose devices are made by us.
func (p *place) offersDevices() bool {
	_, ok := p.m.fs.(*genFS)
	return ok
}

// wrap opens p in its mount and gives directories the view of the namespace.
func (n *Namespace) wrap(p place, flags int, perm uint32) (File, error) {
	if p.virtual {
		return &dirFile{n: n, path: p.path, stat: p.stat, readOnly: true}, nil
	}
	f, err := p.m.fs.Open(p.rel, flags&openFlags, perm)
	if err != nil {
		return nil, err
	}
	if p.exists && p.stat.IsDir() {
		return &dirFile{File: f, n: n, path: p.path, stat: p.stat, readOnly: p.m.readOnly}, nil
	}
	return &mountedFile{File: f, mount: p.m}, nil
}

// Mkdir makes a directory.
func (n *Namespace) Mkdir(dir, name string, perm uint32) error {
	return n.retry(dir, name, asEntry, func(p place) error {
		if p.exists {
			return unix.EEXIST
		}
		if err := p.writable(); err != nil {
			return err
		}
		return p.m.fs.Mkdir(p.rel, perm)
	})
}

// Rmdir removes an empty directory.
func (n *Namespace) Rmdir(dir, name string) error {
	if base := strings.TrimRight(name, "/"); base == "." || strings.HasSuffix(base, "/.") {
		return unix.EINVAL
	}
	return n.existing(dir, name, asEntry, func(p place) error {
		switch {
		case p.dots:
			return unix.ENOTEMPTY
		case !p.stat.IsDir():
			return unix.ENOTDIR
		case p.rel == "." || n.isMountPoint(p.path) || n.leadsToMount(p.path):
			return unix.EBUSY
		}
		if err := p.writable(); err != nil {
			return err
		}
		return p.m.fs.Rmdir(p.rel)
	})
}

// Unlink removes a name that is not a directory's.
func (n *Namespace) Unlink(dir, name string) error {
	return n.existing(dir, name, asEntry, func(p place) error {
		switch {
		case p.stat.IsDir():
			return unix.EISDIR
		case p.slash:
			return unix.ENOTDIR
		case p.rel == ".":
			return unix.EBUSY
		}
		if err := p.writable(); err != nil {
			return err
		}
		return p.m.fs.Unlink(p.rel)
	})
}

// Rename moves a name; flags are those of renameat2. It returns both absolute
// names, for whoever remembers names.
func (n *Namespace) Rename(fromDir, from, toDir, to string, flags uint) (oldPath, newPath string, err error) {
	if flags&^(unix.RENAME_NOREPLACE|unix.RENAME_EXCHANGE) != 0 {
		return "", "", unix.EINVAL
	}
	err = n.existing(fromDir, from, asEntry, func(p place) error {
		return n.retry(toDir, to, asEntry, func(q place) error {
			oldPath, newPath = p.path, q.path
			switch {
			case p.dots || q.dots:
				return unix.EBUSY
			case p.m != q.m:
				return unix.EXDEV
			case p.rel == "." || q.rel == "." || n.leadsToMount(p.path) || n.leadsToMount(q.path):
				return unix.EBUSY
			case !p.stat.IsDir() && (p.slash || q.slash):
				return unix.ENOTDIR
			}
			if err := p.writable(); err != nil {
				return err
			}
			return p.m.fs.Rename(p.rel, q.rel, flags)
		})
	})
	return oldPath, newPath, err
}

// Link makes a second name of a file.
func (n *Namespace) Link(fromDir, from, toDir, to string, follow bool) error {
	return n.existing(fromDir, from, follows(follow), func(p place) error {
		return n.retry(toDir, to, asEntry, func(q place) error {
			switch {
			case p.stat.IsDir():
				return unix.EPERM
			case q.exists:
				return unix.EEXIST
			case q.slash:
				return unix.ENOENT
			case p.m != q.m || p.rel == ".":
				return unix.EXDEV
			}
			if err := q.writable(); err != nil {
				return err
			}
			return p.m.fs.Link(p.rel, q.rel)
		})
	})
}

// Symlink makes a symbolic link with any text as its target.
func (n *Namespace) Symlink(target, dir, name string) error {
	if target == "" {
		return unix.ENOENT
	}
	if len(target) >= PathMax {
		return unix.ENAMETOOLONG
	}
	return n.retry(dir, name, asEntry, func(p place) error {
		switch {
		case p.exists:
			return unix.EEXIST
		case p.slash:
			return unix.ENOENT
		}
		if err := p.writable(); err != nil {
			return err
		}
		return p.m.fs.Symlink(target, p.rel)
	})
}

// Chmod changes permission bits.
func (n *Namespace) Chmod(dir, name string, mode uint32, follow bool) error {
	return n.change(dir, name, follow, func(p place) error {
		if p.stat.IsSymlink() {
			return unix.EOPNOTSUPP
		}
		return p.m.fs.Chmod(p.rel, mode)
	})
}

// Chown changes the owner; -1 leaves one as it is.
func (n *Namespace) Chown(dir, name string, uid, gid int, follow bool) error {
	return n.change(dir, name, follow, func(p place) error { return p.m.fs.Chown(p.rel, uid, gid) })
}

// Utimens sets the times.
func (n *Namespace) Utimens(dir, name string, ts [2]unix.Timespec, follow bool) error {
	return n.change(dir, name, follow, func(p place) error { return p.m.fs.Utimens(p.rel, ts) })
}

func (n *Namespace) change(dir, name string, follow bool, op func(p place) error) error {
	return n.existing(dir, name, follows(follow), func(p place) error {
		if err := p.writable(); err != nil {
			return err
		}
		return op(p)
	})
}

// Truncate changes the length of a file by name.
func (n *Namespace) Truncate(dir, name string, size int64) error {
	if size < 0 {
		return unix.EINVAL
	}
	f, _, err := n.Open(dir, name, unix.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Truncate(size)
}

// Statfs tells about the mount that a name is in.
func (n *Namespace) Statfs(dir, name string) (s Statfs, err error) {
	err = n.existing(dir, name, asTarget, func(p place) error {
		s, err = p.m.fs.Statfs()
		s.ReadOnly = s.ReadOnly || p.m.readOnly
		return err
	})
	return s, err
}

// Chdir resolves the name of a directory to its absolute form.
func (n *Namespace) Chdir(dir, name string) (string, error) {
	st, path, err := n.Stat(dir, name, true)
	if err != nil {
		return "", err
	}
	if !st.IsDir() {
		return "", unix.ENOTDIR
	}
	return path, n.Access("/", path, unix.X_OK, true)
}

// mountedFile numbers its device as Stat by name does, and keeps a read-only
// mount from being changed through a descriptor that was opened for reading.
type mountedFile struct {
	File
	mount *mount
}

func (f *mountedFile) Chmod(mode uint32) error {
	if f.mount.readOnly {
		return unix.EROFS
	}
	return f.File.Chmod(mode)
}

func (f *mountedFile) Chown(uid, gid int) error {
	if f.mount.readOnly {
		return unix.EROFS
	}
	return f.File.Chown(uid, gid)
}

func (f *mountedFile) Utimens(ts [2]unix.Timespec) error {
	if f.mount.readOnly {
		return unix.EROFS
	}
	return f.File.Utimens(ts)
}

func (f *mountedFile) Stat() (Stat, error) {
	st, err := f.File.Stat()
	st.Dev = st.Dev<<8 | f.mount.id&0xff
	return st, err
}

// Unwrap returns the file that the mount gave.
func (f *mountedFile) Unwrap() File { return f.File }

// Unwrap returns the file of the mount behind what Namespace.Open returned, for
// a look at the interfaces it has beyond File.
func Unwrap(f File) File {
	for {
		u, ok := f.(interface{ Unwrap() File })
		if !ok {
			return f
		}
		f = u.Unwrap()
	}
}

// IsDir reports whether an open file is a directory.
func IsDir(f File) bool {
	_, ok := f.(*dirFile)
	return ok
}

// dirFile is an open directory: the entries of its mount and the mounts in it.
type dirFile struct {
	File // nil for a virtual directory
	n    *Namespace
	path string
	stat Stat

	readOnly bool // true for a virtual directory
}

func (d *dirFile) Read([]byte) (int, error)           { return 0, unix.EISDIR }
func (d *dirFile) Write([]byte) (int, error)          { return 0, unix.EBADF }
func (d *dirFile) ReadAt([]byte, int64) (int, error)  { return 0, unix.EISDIR }
func (d *dirFile) WriteAt([]byte, int64) (int, error) { return 0, unix.EBADF }
func (d *dirFile) Seek(int64, int) (int64, error)     { return 0, unix.EINVAL }
func (d *dirFile) Truncate(int64) error               { return unix.EINVAL }
func (d *dirFile) SetAppend(bool) error               { return nil }

func (d *dirFile) Stat() (Stat, error) {
	if d.File == nil {
		return d.stat, nil
	}
	st, err := d.File.Stat()
	st.Dev = d.stat.Dev
	return st, err
}

func (d *dirFile) Sync() error {
	if d.File == nil {
		return nil
	}
	return d.File.Sync()
}

func (d *dirFile) Chmod(mode uint32) error {
	if d.readOnly {
		return unix.EROFS
	}
	return d.File.Chmod(mode)
}

func (d *dirFile) Chown(uid, gid int) error {
	if d.readOnly {
		return unix.EROFS
	}
	return d.File.Chown(uid, gid)
}

func (d *dirFile) Utimens(ts [2]unix.Timespec) error {
	if d.readOnly {
		return unix.EROFS
	}
	return d.File.Utimens(ts)
}

func (d *dirFile) ReadDir() ([]Dirent, error) {
	var list []Dirent
	if d.File != nil {
		var err error
		if list, err = d.File.ReadDir(); err != nil {
			return nil, err
		}
	}
	names := d.n.mountsIn(d.path)
	if len(names) > 0 {
		list = slices.DeleteFunc(list, func(e Dirent) bool { return slices.Contains(names, e.Name) })
		for _, name := range names {
			st, _, err := d.n.Stat(d.path, name, false)
			if err != nil {
				continue // it can not be listed if it can not be seen
			}
			list = append(list, Dirent{Ino: st.Ino, Type: uint8(st.Mode & unix.S_IFMT >> 12), Name: name})
		}
	}
	return list, nil
}

func (d *dirFile) Close() error {
	if d.File == nil {
		return nil
	}
	return d.File.Close()
}

// mountsIn lists the names in a directory that are mount points or lead to one.
func (n *Namespace) mountsIn(path string) []string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	var names []string
	for _, m := range n.mounts {
		if m.path == path || !under(m.path, path) {
			continue
		}
		name, _, _ := strings.Cut(relative(m.path, path), "/")
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// pathFile is what O_PATH gives for something that is not a directory.
type pathFile struct {
	Unsupported
	stat Stat
}

func (p *pathFile) Read([]byte) (int, error)           { return 0, unix.EBADF }
func (p *pathFile) Write([]byte) (int, error)          { return 0, unix.EBADF }
func (p *pathFile) ReadAt([]byte, int64) (int, error)  { return 0, unix.EBADF }
func (p *pathFile) WriteAt([]byte, int64) (int, error) { return 0, unix.EBADF }
func (p *pathFile) Seek(int64, int) (int64, error)     { return 0, unix.EBADF }
func (p *pathFile) Stat() (Stat, error)                { return p.stat, nil }
func (p *pathFile) Chmod(uint32) error                 { return unix.EBADF }

// emptyFS is the root of a namespace in which nothing is mounted at "/".
type emptyFS struct{ ReadOnlyFS }

func (emptyFS) Lstat(name string) (Stat, error)        { return Stat{}, unix.ENOENT }
func (emptyFS) Readlink(string) (string, error)        { return "", unix.ENOENT }
func (emptyFS) Open(string, int, uint32) (File, error) { return nil, unix.ENOENT }
func (emptyFS) Access(string, uint32) error            { return unix.ENOENT }
func (emptyFS) Statfs() (Statfs, error) {
	return Statfs{Type: tmpfsMagic, Bsize: 4096, ReadOnly: true}, nil
}

const tmpfsMagic = 0x01021994
