package namespace

import (
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// MemoryConfig bounds a tree in memory.
type MemoryConfig struct {
	MaxBytes  int64 // contents of all files; 0 means 64 MiB
	MaxInodes int   // names of files, directories and links; 0 means 16,384
	Identity
	// Mode of the root directory; 0 means 0777 and sticky, as /tmp has it.
	Mode uint32
}

const (
	defaultMemoryBytes  = 64 << 20
	defaultMemoryInodes = 16384

	memBlock = 512
)

// memFS is a read-write tree in memory. One lock guards all of it: files are for
// scratch data, and an operation under the lock is a copy at most.
type memFS struct {
	cfg MemoryConfig

	mu      sync.Mutex
	root    *memNode
	bytes   int64
	names   int // a hard link costs memory too
	lastIno uint64
}

// memNode is a file, a directory or a symbolic link.
type memNode struct {
	ino      uint64
	mode     uint32
	nlink    uint64
	data     []byte              // of a file
	host     *os.File            // of a file that was mapped: its contents, instead of data
	hostSize int64               // charged for host
	opens    int                 // descriptors
	children map[string]*memNode // of a directory
	parent   *memNode            // of a directory
	target   string              // of a link

	atim, mtim, ctim, btim unix.Timespec
}

// NewMemory makes an empty tree in memory.
func NewMemory(c MemoryConfig) FS {
	if c.MaxBytes <= 0 {
		c.MaxBytes = defaultMemoryBytes
	}
	if c.MaxInodes <= 0 {
		c.MaxInodes = defaultMemoryInodes
	}
	if c.Mode == 0 {
		c.Mode = 0o1777
	}
	m := &memFS{cfg: c}
	m.root = m.node(unix.S_IFDIR | c.Mode&0o7777)
	return m
}

func now() unix.Timespec { return unix.NsecToTimespec(time.Now().UnixNano()) }

func (m *memFS) node(mode uint32) *memNode {
	t := now()
	m.lastIno++
	n := &memNode{ino: m.lastIno, mode: mode, nlink: 1, atim: t, mtim: t, ctim: t, btim: t}
	if mode&unix.S_IFMT == unix.S_IFDIR {
		n.nlink = 2
		n.children = make(map[string]*memNode)
	}
	return n
}

func (n *memNode) isDir() bool { return n.children != nil }

func (n *memNode) modified() {
	n.mtim = now()
	n.ctim = n.mtim
}

// find walks to a node. The caller holds the lock.
func (m *memFS) find(name string) (*memNode, error) {
	n := m.root
	if name == "." {
		return n, nil
	}
	for c := range strings.SplitSeq(name, "/") {
		switch n.mode & unix.S_IFMT {
		case unix.S_IFLNK:
			return nil, unix.ELOOP
		case unix.S_IFDIR:
		default:
			return nil, unix.ENOTDIR
		}
		if !m.may(n, unix.X_OK) {
			return nil, unix.EACCES
		}
		child := n.children[c]
		if child == nil {
			return nil, unix.ENOENT
		}
		n = child
	}
	return n, nil
}

// findParent walks to the directory that holds the last component.
func (m *memFS) findParent(name string) (dir *memNode, base string, err error) {
	if name == "." {
		return nil, "", unix.EBUSY
	}
	dirName := "."
	base = name
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		dirName, base = name[:i], name[i+1:]
	}
	dir, err = m.find(dirName)
	if err != nil {
		return nil, "", err
	}
	switch dir.mode & unix.S_IFMT {
	case unix.S_IFLNK:
		return nil, "", unix.ELOOP
	case unix.S_IFDIR:
		return dir, base, nil
	}
	return nil, "", unix.ENOTDIR
}

// may checks the owner's permission bits; everything here belongs to the guest's
// user, and user 0 is not asked.
func (m *memFS) may(n *memNode, mode uint32) bool {
	return m.cfg.UID == 0 || n.mode>>6&7&mode == mode
}

func (m *memFS) stat(n *memNode) Stat {
	s := Stat{
		Dev: 1, Ino: n.ino, Nlink: n.nlink, Mode: n.mode, UID: m.cfg.UID, GID: m.cfg.GID,
		Blksize: 4096, Atim: n.atim, Mtim: n.mtim, Ctim: n.ctim, Btim: n.btim,
	}
	switch {
	case n.isDir():
		s.Size = int64(len(n.children)+2) * 20
	case n.mode&unix.S_IFMT == unix.S_IFLNK:
		s.Size = int64(len(n.target))
	default:
		s.Size = n.size()
		s.Blocks = (s.Size + memBlock - 1) / memBlock
	}
	return s
}

func (n *memNode) size() int64 {
	if n.host != nil {
		return n.hostSize
	}
	return int64(len(n.data))
}

func (m *memFS) Lstat(name string) (Stat, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(name)
	if err != nil {
		return Stat{}, err
	}
	return m.stat(n), nil
}

func (m *memFS) Readlink(name string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(name)
	if err != nil {
		return "", err
	}
	if n.mode&unix.S_IFMT != unix.S_IFLNK {
		return "", unix.EINVAL
	}
	return n.target, nil
}

func (m *memFS) Access(name string, mode uint32) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(name)
	if err != nil {
		return err
	}
	if mode&unix.X_OK != 0 && !n.isDir() && n.mode&0o111 == 0 || !m.may(n, mode) {
		return unix.EACCES
	}
	return nil
}

// add puts a new node into a directory. The caller holds the lock.
func (m *memFS) add(name string, mode uint32) (*memNode, error) {
	dir, base, err := m.findParent(name)
	if err != nil {
		return nil, err
	}
	if dir.children[base] != nil {
		return nil, unix.EEXIST
	}
	if !m.may(dir, unix.W_OK|unix.X_OK) {
		return nil, unix.EACCES
	}
	if dir.nlink == 0 {
		return nil, unix.ENOENT
	}
	if m.names >= m.cfg.MaxInodes {
		return nil, unix.ENOSPC
	}
	n := m.node(mode)
	m.names++
	dir.children[base] = n
	dir.modified()
	if n.isDir() {
		n.parent = dir
		dir.nlink++
	}
	return n, nil
}

func (m *memFS) Open(name string, flags int, perm uint32) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(name)
	if err == unix.ENOENT && flags&unix.O_CREAT != 0 {
		n, err = m.add(name, unix.S_IFREG|perm&0o777)
	} else if err == nil {
		want := uint32(unix.R_OK)
		switch flags & unix.O_ACCMODE {
		case unix.O_WRONLY:
			want = unix.W_OK
		case unix.O_RDWR:
			want = unix.R_OK | unix.W_OK
		}
		switch {
		case flags&unix.O_CREAT != 0 && flags&unix.O_EXCL != 0:
			err = unix.EEXIST
		case n.mode&unix.S_IFMT == unix.S_IFLNK:
			err = unix.ELOOP
		case n.isDir() && want&unix.W_OK != 0:
			err = unix.EISDIR
		case !m.may(n, want):
			err = unix.EACCES
		}
	}
	if err != nil {
		return nil, err
	}
	if flags&unix.O_TRUNC != 0 && !n.isDir() {
		if err := m.resize(n, 0); err != nil {
			return nil, err
		}
		n.modified()
	}
	n.opens++
	return &memFile{fs: m, n: n, append: flags&unix.O_APPEND != 0}, nil
}

// resize changes the length of a file within the limit. The caller holds the
// lock.
func (m *memFS) resize(n *memNode, size int64) error {
	old := n.size()
	if size > old && size-old > m.cfg.MaxBytes-m.bytes {
		return unix.ENOSPC
	}
	if n.host != nil {
		if err := n.host.Truncate(size); err != nil {
			return errno(err)
		}
		n.hostSize = size
	} else {
		switch {
		case size <= old:
			// What is cut off must read as zero if the file grows again.
			clear(n.data[size:])
			n.data = n.data[:size]
			if size == 0 {
				n.data = nil
			}
		case size <= int64(cap(n.data)):
			n.data = n.data[:size]
		default:
			grown := make([]byte, size, min(size+size/4, max(size, m.cfg.MaxBytes)))
			copy(grown, n.data)
			n.data = grown
		}
	}
	m.bytes += size - old
	return nil
}

// drop takes one name of n away. The caller holds the lock.
func (m *memFS) drop(n *memNode) {
	if n.isDir() {
		n.nlink = 0
	} else {
		n.nlink--
	}
	m.names--
	n.ctim = now()
	m.free(n)
}

// free gives back what n used when neither a name nor a descriptor is left.
func (m *memFS) free(n *memNode) {
	if n.nlink > 0 || n.opens > 0 || n == m.root {
		return
	}
	m.bytes -= n.size()
	n.data = nil
	if n.host != nil {
		n.host.Close()
		n.host, n.hostSize = nil, 0
	}
}

func (m *memFS) Mkdir(name string, perm uint32) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, err := m.add(name, unix.S_IFDIR|perm&0o1777)
	return err
}

func (m *memFS) Unlink(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.findParent(name)
	if err != nil {
		return err
	}
	n := dir.children[base]
	switch {
	case n == nil:
		return unix.ENOENT
	case n.isDir():
		return unix.EISDIR
	case !m.may(dir, unix.W_OK|unix.X_OK):
		return unix.EACCES
	}
	delete(dir.children, base)
	dir.modified()
	m.drop(n)
	return nil
}

func (m *memFS) Rmdir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.findParent(name)
	if err != nil {
		return err
	}
	n := dir.children[base]
	switch {
	case n == nil:
		return unix.ENOENT
	case !n.isDir():
		return unix.ENOTDIR
	case len(n.children) > 0:
		return unix.ENOTEMPTY
	case !m.may(dir, unix.W_OK|unix.X_OK):
		return unix.EACCES
	}
	delete(dir.children, base)
	dir.nlink--
	dir.modified()
	m.drop(n)
	return nil
}

func (m *memFS) Rename(from, to string, flags uint) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d1, b1, err := m.findParent(from)
	if err != nil {
		return err
	}
	d2, b2, err := m.findParent(to)
	if err != nil {
		return err
	}
	n, old := d1.children[b1], d2.children[b2]
	switch {
	case n == nil:
		return unix.ENOENT
	case !m.may(d1, unix.W_OK|unix.X_OK) || !m.may(d2, unix.W_OK|unix.X_OK):
		return unix.EACCES
	case within(d2, n):
		return unix.EINVAL
	case flags&unix.RENAME_EXCHANGE != 0:
		if old == nil {
			return unix.ENOENT
		}
		if within(d1, old) {
			return unix.EINVAL
		}
		d1.children[b1], d2.children[b2] = old, n
		m.moved(n, d1, d2)
		m.moved(old, d2, d1)
		return nil
	case old == n:
		return nil
	case old != nil && flags&unix.RENAME_NOREPLACE != 0:
		return unix.EEXIST
	case old != nil && old.isDir() && !n.isDir():
		return unix.EISDIR
	case old != nil && !old.isDir() && n.isDir():
		return unix.ENOTDIR
	case old != nil && len(old.children) > 0:
		return unix.ENOTEMPTY
	}
	if old != nil {
		if old.isDir() {
			d2.nlink--
		}
		m.drop(old)
	}
	delete(d1.children, b1)
	d2.children[b2] = n
	m.moved(n, d1, d2)
	return nil
}

func (m *memFS) moved(n, from, to *memNode) {
	from.modified()
	to.modified()
	n.ctim = now()
	if n.isDir() {
		from.nlink--
		to.nlink++
		n.parent = to
	}
}

// within reports whether dir is n or below it.
func within(dir, n *memNode) bool {
	for ; dir != nil; dir = dir.parent {
		if dir == n {
			return true
		}
	}
	return false
}

func (m *memFS) Link(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(from)
	if err != nil {
		return err
	}
	if n.isDir() {
		return unix.EPERM
	}
	dir, base, err := m.findParent(to)
	if err != nil {
		return err
	}
	if dir.children[base] != nil {
		return unix.EEXIST
	}
	if !m.may(dir, unix.W_OK|unix.X_OK) {
		return unix.EACCES
	}
	if dir.nlink == 0 {
		return unix.ENOENT
	}
	if m.names >= m.cfg.MaxInodes {
		return unix.ENOSPC
	}
	m.names++
	dir.children[base] = n
	dir.modified()
	n.nlink++
	n.ctim = now()
	return nil
}

func (m *memFS) Symlink(target, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if int64(len(target)) > m.cfg.MaxBytes-m.bytes {
		return unix.ENOSPC
	}
	n, err := m.add(name, unix.S_IFLNK|0o777)
	if err != nil {
		return err
	}
	n.target = strings.Clone(target)
	return nil
}

func (m *memFS) with(name string, op func(n *memNode) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(name)
	if err != nil {
		return err
	}
	return op(n)
}

func (m *memFS) Chmod(name string, mode uint32) error {
	return m.with(name, func(n *memNode) error { return n.chmod(mode) })
}

func (n *memNode) chmod(mode uint32) error {
	n.mode = n.mode&unix.S_IFMT | mode&0o1777
	n.ctim = now()
	return nil
}

func (m *memFS) Chown(name string, uid, gid int) error {
	return m.with(name, func(n *memNode) error { return m.chown(n, uid, gid) })
}

func (m *memFS) chown(n *memNode, uid, gid int) error {
	st := m.stat(n)
	return chownCheck(&st, uid, gid)
}

func (m *memFS) Utimens(name string, ts [2]unix.Timespec) error {
	return m.with(name, func(n *memNode) error { return n.utimens(ts) })
}

func (n *memNode) utimens(ts [2]unix.Timespec) error {
	t := now()
	for i, at := range []*unix.Timespec{&n.atim, &n.mtim} {
		switch ts[i].Nsec {
		case unix.UTIME_NOW:
			*at = t
		case unix.UTIME_OMIT:
		default:
			*at = ts[i]
		}
	}
	n.ctim = t
	return nil
}

func (m *memFS) Statfs() (Statfs, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Statfs{
		Type: tmpfsMagic, Bsize: 4096,
		Blocks: uint64(m.cfg.MaxBytes) / 4096, Bfree: uint64(m.cfg.MaxBytes-m.bytes) / 4096, Bavail: uint64(m.cfg.MaxBytes-m.bytes) / 4096,
		Files: uint64(m.cfg.MaxInodes), Ffree: uint64(max(0, m.cfg.MaxInodes-m.names)),
	}, nil
}

// Close forgets the contents, and closes the files behind those that were
// mapped.
func (m *memFS) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var closeAll func(n *memNode)
	closeAll = func(n *memNode) {
		if n.host != nil {
			n.host.Close()
			n.host = nil
		}
		for _, c := range n.children {
			closeAll(c)
		}
	}
	closeAll(m.root)
	m.root = m.node(unix.S_IFDIR | m.cfg.Mode&0o7777)
	m.bytes, m.names = 0, 0
	return nil
}

// memFile is an open file or directory.
type memFile struct {
	fs     *memFS
	n      *memNode
	pos    int64 // guarded by fs.mu
	append bool
	closed bool
}

func (f *memFile) Read(p []byte) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	n, err := f.readAt(p, f.pos)
	f.pos += int64(n)
	return n, err
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return f.readAt(p, off)
}

func (f *memFile) readAt(p []byte, off int64) (int, error) {
	switch {
	case f.n.isDir():
		return 0, unix.EISDIR
	case off < 0:
		return 0, unix.EINVAL
	case off >= f.n.size():
		return 0, nil
	}
	if f.n.host != nil {
		n, err := f.n.host.ReadAt(p, off)
		if n > 0 {
			return n, nil
		}
		return n, errno(err)
	}
	return copy(p, f.n.data[off:]), nil
}

func (f *memFile) Write(p []byte) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.append {
		f.pos = f.n.size()
	}
	n, err := f.writeAt(p, f.pos)
	f.pos += int64(n)
	return n, err
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.append {
		off = f.n.size() // as Linux does, whatever the standard says
	}
	return f.writeAt(p, off)
}

func (f *memFile) writeAt(p []byte, off int64) (int, error) {
	switch {
	case f.n.isDir():
		return 0, unix.EISDIR
	case off < 0:
		return 0, unix.EINVAL
	case len(p) == 0:
		return 0, nil
	}
	if room := f.fs.cfg.MaxBytes - off; room < int64(len(p)) {
		if room <= 0 {
			return 0, unix.EFBIG
		}
		p = p[:room]
	}
	if end := off + int64(len(p)); end > f.n.size() {
		if err := f.fs.resize(f.n, end); err != nil {
			// As much as fits, as a full disk does.
			end = f.n.size() + f.fs.cfg.MaxBytes - f.fs.bytes
			if end <= off {
				return 0, err
			}
			if err := f.fs.resize(f.n, end); err != nil {
				return 0, err
			}
			p = p[:end-off]
		}
	}
	f.n.modified()
	if f.n.host != nil {
		n, err := f.n.host.WriteAt(p, off)
		if n > 0 {
			return n, nil
		}
		return n, errno(err)
	}
	return copy(f.n.data[off:], p), nil
}

func (f *memFile) Seek(off int64, whence int) (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	pos, err := seekTo(f.pos, f.n.size(), off, whence)
	if err == nil {
		f.pos = pos
	}
	return pos, err
}

func (f *memFile) Stat() (Stat, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return f.fs.stat(f.n), nil
}

func (f *memFile) ReadDir() ([]Dirent, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if !f.n.isDir() {
		return nil, unix.ENOTDIR
	}
	list := make([]Dirent, 0, len(f.n.children))
	for name, c := range f.n.children {
		list = append(list, Dirent{Ino: c.ino, Type: uint8(c.mode & unix.S_IFMT >> 12), Name: name})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	return list, nil
}

func (f *memFile) Truncate(size int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	switch {
	case size < 0 || f.n.isDir():
		return unix.EINVAL
	case size > f.fs.cfg.MaxBytes:
		return unix.EFBIG
	}
	if err := f.fs.resize(f.n, size); err != nil {
		return err
	}
	f.n.modified()
	return nil
}

func (f *memFile) Sync() error { return nil }

func (f *memFile) Chmod(mode uint32) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return f.n.chmod(mode)
}

func (f *memFile) Chown(uid, gid int) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return f.fs.chown(f.n, uid, gid)
}

func (f *memFile) Utimens(ts [2]unix.Timespec) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return f.n.utimens(ts)
}

func (f *memFile) SetAppend(on bool) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.append = on
	return nil
}

func (f *memFile) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if !f.closed {
		f.closed = true
		f.n.opens--
		f.fs.free(f.n)
	}
	return nil
}

// Guarded is false: there is one descriptor for all who opened the file.
func (f *memFile) Guarded() bool { return false }

// HostFile moves the contents into a file of the kernel's memory, which can be
// mapped, and gives that. It is nil when the host refuses.
func (f *memFile) HostFile() *os.File {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	n := f.n
	if n.isDir() {
		return nil
	}
	if n.host == nil {
		fd, err := unix.MemfdCreate("halite-memory-file", unix.MFD_CLOEXEC)
		if err != nil {
			return nil
		}
		host := os.NewFile(uintptr(fd), "memory file")
		if _, err := host.WriteAt(n.data, 0); err != nil {
			host.Close()
			return nil
		}
		n.host, n.hostSize, n.data = host, int64(len(n.data)), nil
	}
	return n.host
}
