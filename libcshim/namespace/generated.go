package namespace

import (
	"slices"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A Descriptors shows what descriptors a process has, for /dev/fd and
// /proc/self/fd.
type Descriptors interface {
	// Numbers lists the open descriptors, ascending.
	Numbers() []int
	// Name is the absolute name that a descriptor was opened by, or something
	// like "pipe:[3]"; false when it is not open.
	Name(fd int) (string, bool)
}

// A DescriptorFile is what Open returns for /dev/fd/3 and its like: the caller
// duplicates the descriptor instead.
type DescriptorFile struct {
	Unsupported
	FD int
}

// Stat says nothing; the caller asks the descriptor.
func (*DescriptorFile) Stat() (Stat, error) { return Stat{}, unix.EBADF }

// genFS is a small read-only tree whose contents are made up by us.
type genFS struct {
	ReadOnlyFS
	ids   Identity
	nodes map[string]*genNode // by name, "." is the root
	start unix.Timespec
	pid   int // of /proc
}

// genNode is one object of it; exactly one of the fields is set, none for a
// directory.
type genNode struct {
	ino     uint64
	device  func() File   // a character device
	rdev    uint64        // of it
	content func() []byte // a file, made when it is opened
	link    func() string // a symbolic link
	fds     Descriptors   // a directory of descriptors
	ptys    Terminals     // a directory of terminals
	ptmx    bool          // where they are made
}

func newGen(ids Identity) *genFS {
	return &genFS{ids: ids, nodes: map[string]*genNode{".": {ino: 1}}, start: now()}
}

func (g *genFS) add(name string, n *genNode) {
	n.ino = uint64(len(g.nodes) + 1)
	g.nodes[name] = n
	for i := strings.LastIndexByte(name, '/'); i > 0; i = strings.LastIndexByte(name, '/') {
		name = name[:i]
		if g.nodes[name] == nil {
			g.nodes[name] = &genNode{ino: uint64(len(g.nodes) + 1)}
		}
	}
}

// Terminal makes the file of /dev/tty; nil when there is none.
type Terminal func() File

// Terminals are the pseudo terminals of /dev/pts.
type Terminals interface {
	// Numbers lists them, ascending.
	Numbers() []int
}

// A TerminalFile is what Open returns for /dev/pts/3 and, with number -1, for /dev/ptmx:
// the caller opens the terminal, or makes one, instead.
type TerminalFile struct {
	Unsupported
	Number int
}

// Stat says nothing; the caller asks the terminal.
func (*TerminalFile) Stat() (Stat, error) { return Stat{}, unix.EBADF }

// Devices makes the tree for /dev: null, zero, full, random, urandom, tty,
// stdin, stdout, stderr and fd, and with terminals ptmx and pts.
func Devices(ids Identity, fds Descriptors, tty Terminal, terminals Terminals) FS {
	g := newGen(ids)
	device := func(name string, major, minor uint32, make func() File) {
		g.add(name, &genNode{device: make, rdev: unix.Mkdev(major, minor)})
	}
	device("null", 1, 3, func() File { return &nullDevice{} })
	device("zero", 1, 5, func() File { return &zeroDevice{} })
	device("full", 1, 7, func() File { return &fullDevice{} })
	device("random", 1, 8, func() File { return &randomDevice{} })
	device("urandom", 1, 9, func() File { return &randomDevice{} })
	if tty != nil {
		device("tty", 5, 0, tty)
	}
	if terminals != nil {
		g.add("ptmx", &genNode{ptmx: true, rdev: unix.Mkdev(5, 2)})
		g.add("pts", &genNode{ptys: terminals})
	}
	if fds != nil {
		g.add("fd", &genNode{fds: fds})
		for i, name := range []string{"stdin", "stdout", "stderr"} {
			g.add(name, &genNode{link: func() string { return "/dev/fd/" + strconv.Itoa(i) }})
		}
	}
	return g
}

// ProcConfig says what /proc tells.
type ProcConfig struct {
	Identity
	PID         int
	Exe         func() string // absolute name of the program
	Cwd         func() string
	Files       map[string]func() []byte // further files below /proc/self
	Descriptors Descriptors
}

// Proc makes the tree for /proc: self and the process's number, with exe, cwd,
// fd and the files given; nothing of the host is in it.
func Proc(c ProcConfig) FS {
	g := newGen(c.Identity)
	g.pid = c.PID
	pid := strconv.Itoa(c.PID)
	g.add("self", &genNode{link: func() string { return pid }})
	g.add(pid, &genNode{})
	if c.Exe != nil {
		g.add(pid+"/exe", &genNode{link: c.Exe})
	}
	if c.Cwd != nil {
		g.add(pid+"/cwd", &genNode{link: c.Cwd})
	}
	g.add(pid+"/root", &genNode{link: func() string { return "/" }})
	for name, content := range c.Files {
		g.add(pid+"/"+name, &genNode{content: content})
	}
	if c.Descriptors != nil {
		g.add(pid+"/fd", &genNode{fds: c.Descriptors})
	}
	return g
}

// ProcessOf is the number of the process whose directory of /proc an open file is, and 0
// for other files.
func ProcessOf(f File) int {
	if d, ok := f.(*dirFile); ok && d.File != nil {
		if g, ok := Unwrap(d.File).(*genDir); ok && g.g.pid != 0 && g.name == strconv.Itoa(g.g.pid) {
			return g.g.pid
		}
	}
	return 0
}

// lookup finds a node, or a descriptor in a directory of them.
func (g *genFS) lookup(name string) (*genNode, int, error) {
	if n := g.nodes[name]; n != nil {
		return n, -1, nil
	}
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return nil, -1, unix.ENOENT
	}
	dir := g.nodes[name[:i]]
	switch {
	case dir == nil:
		return nil, -1, unix.ENOENT
	case dir.link != nil:
		return nil, -1, unix.ELOOP
	case dir.device != nil || dir.content != nil || dir.ptmx:
		return nil, -1, unix.ENOTDIR
	case dir.fds == nil && dir.ptys == nil:
		return nil, -1, unix.ENOENT
	}
	fd, err := strconv.Atoi(name[i+1:])
	if err != nil || fd < 0 || strconv.Itoa(fd) != name[i+1:] {
		return nil, -1, unix.ENOENT
	}
	if dir.ptys != nil {
		if !slices.Contains(dir.ptys.Numbers(), fd) {
			return nil, -1, unix.ENOENT
		}
		return dir, fd, nil
	}
	if _, ok := dir.fds.Name(fd); !ok {
		return nil, -1, unix.ENOENT
	}
	return dir, fd, nil
}

func (g *genFS) stat(n *genNode) Stat {
	s := Stat{Dev: 1, Ino: n.ino, Nlink: 1, UID: g.ids.UID, GID: g.ids.GID, Blksize: 4096, Atim: g.start, Mtim: g.start, Ctim: g.start}
	switch {
	case n.device != nil || n.ptmx:
		s.Mode, s.Rdev = unix.S_IFCHR|0o666, n.rdev
	case n.content != nil:
		s.Mode = unix.S_IFREG | 0o444
	case n.link != nil:
		s.Mode, s.Size = unix.S_IFLNK|0o777, int64(len(n.link()))
	default:
		s.Mode, s.Nlink = unix.S_IFDIR|0o555, 2
	}
	return s
}

// Lstat shows a descriptor as a device, not as the link that Linux shows, so that
// opening it never goes by the name it once had.
func (g *genFS) Lstat(name string) (Stat, error) {
	n, fd, err := g.lookup(name)
	if err != nil {
		return Stat{}, err
	}
	s := g.stat(n)
	if fd >= 0 {
		s.Mode, s.Ino, s.Nlink = unix.S_IFCHR|0o600, s.Ino<<20+uint64(fd), 1
		if n.ptys != nil {
			s.Mode, s.Rdev = unix.S_IFCHR|0o620, unix.Mkdev(136, uint32(fd))
		}
	}
	return s, nil
}

// Readlink of a descriptor tells its name although Lstat says that it is no link.
func (g *genFS) Readlink(name string) (string, error) {
	n, fd, err := g.lookup(name)
	switch {
	case err != nil:
		return "", err
	case fd >= 0 && n.ptys != nil:
		return "", unix.EINVAL
	case fd >= 0:
		target, ok := n.fds.Name(fd)
		if !ok {
			return "", unix.ENOENT
		}
		return target, nil
	case n.link == nil:
		return "", unix.EINVAL
	}
	return n.link(), nil
}

func (g *genFS) Access(name string, mode uint32) error {
	st, err := g.Lstat(name)
	if err == nil && mode&^(st.Mode&7) != 0 && st.Mode&unix.S_IFMT != unix.S_IFCHR {
		err = unix.EACCES
	}
	return err
}

func (g *genFS) Open(name string, flags int, _ uint32) (File, error) {
	n, fd, err := g.lookup(name)
	switch {
	case err != nil:
		if err == unix.ENOENT && flags&unix.O_CREAT != 0 {
			err = unix.EACCES
		}
		return nil, err
	case n.ptmx:
		return &TerminalFile{Number: -1}, nil
	case fd >= 0 && n.ptys != nil:
		return &TerminalFile{Number: fd}, nil
	case fd >= 0:
		return &DescriptorFile{FD: fd}, nil
	case n.link != nil:
		return nil, unix.ELOOP
	case n.device != nil:
		f := n.device()
		if f == nil {
			return nil, unix.ENXIO
		}
		return &deviceFile{File: f, st: g.stat(n)}, nil
	case flags&unix.O_ACCMODE != unix.O_RDONLY:
		return nil, unix.EACCES
	case n.content != nil:
		st := g.stat(n)
		data := n.content()
		st.Size = int64(len(data))
		return &ioFile{st: st, at: bytesAt(data)}, nil
	}
	return &genDir{g: g, name: name, n: n}, nil
}

func (g *genFS) Statfs() (Statfs, error) {
	return Statfs{Type: tmpfsMagic, Bsize: 4096, ReadOnly: true}, nil
}

// genDir is an open directory of a generated tree.
type genDir struct {
	Unsupported
	g    *genFS
	name string
	n    *genNode
}

func (d *genDir) Stat() (Stat, error) { return d.g.stat(d.n), nil }
func (d *genDir) Sync() error         { return nil }

func (d *genDir) ReadDir() ([]Dirent, error) {
	var list []Dirent
	if d.n.fds != nil {
		for _, fd := range d.n.fds.Numbers() {
			list = append(list, Dirent{Ino: d.n.ino<<20 + uint64(fd), Type: unix.DT_LNK, Name: strconv.Itoa(fd)})
		}
		return list, nil
	}
	if d.n.ptys != nil {
		for _, n := range d.n.ptys.Numbers() {
			list = append(list, Dirent{Ino: d.n.ino<<20 + uint64(n), Type: unix.DT_CHR, Name: strconv.Itoa(n)})
		}
		return list, nil
	}
	prefix := d.name + "/"
	if d.name == "." {
		prefix = ""
	}
	for name, n := range d.g.nodes {
		base, ok := strings.CutPrefix(name, prefix)
		if !ok || base == "." || strings.Contains(base, "/") {
			continue
		}
		list = append(list, Dirent{Ino: n.ino, Type: uint8(d.g.stat(n).Mode & unix.S_IFMT >> 12), Name: base})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Ino < list[j].Ino })
	return list, nil
}

// deviceFile gives a device its stat.
type deviceFile struct {
	File
	st Stat
}

func (d *deviceFile) Stat() (Stat, error) { return d.st, nil }
func (d *deviceFile) Unwrap() File        { return d.File }

// charDevice is what devices without contents have in common.
type charDevice struct{ Unsupported }

func (charDevice) Seek(int64, int) (int64, error) { return 0, nil }
func (charDevice) Stat() (Stat, error)            { return Stat{Mode: unix.S_IFCHR | 0o666}, nil }

type nullDevice struct{ charDevice }

func (*nullDevice) Read([]byte) (int, error)               { return 0, nil }
func (*nullDevice) ReadAt([]byte, int64) (int, error)      { return 0, nil }
func (*nullDevice) Write(p []byte) (int, error)            { return len(p), nil }
func (*nullDevice) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

type zeroDevice struct{ nullDevice }

func (*zeroDevice) Read(p []byte) (int, error)            { clear(p); return len(p), nil }
func (*zeroDevice) ReadAt(p []byte, _ int64) (int, error) { clear(p); return len(p), nil }

type fullDevice struct{ zeroDevice }

func (*fullDevice) Write([]byte) (int, error)          { return 0, unix.ENOSPC }
func (*fullDevice) WriteAt([]byte, int64) (int, error) { return 0, unix.ENOSPC }

// randomDevice reads from the host's generator; what is written to it is
// dropped, a guest has no entropy to offer.
type randomDevice struct{ nullDevice }

func (*randomDevice) Read(p []byte) (int, error)            { return random(p) }
func (*randomDevice) ReadAt(p []byte, _ int64) (int, error) { return random(p) }

// random fills p. The kernel gives at most 32 MiB at once and may be
// interrupted; a short count is an answer.
func random(p []byte) (int, error) {
	return ignoringEINTR(func() (int, error) { return unix.Getrandom(p, 0) })
}
