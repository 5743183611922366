package namespace

import (
	"hash/fnv"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// A Namespace is a table of mounts. The zero value is not usable; see New. It
// may be used by several goroutines, and by several processes at once.
type Namespace struct {
	mu     sync.RWMutex
	mounts []*mount // longest path first
	lastID uint64
}

type mount struct {
	path     string // "/" or "/a/b"
	fs       FS
	readOnly bool
	id       uint64
	borrowed bool // of another namespace, which closes it
}

// New returns a namespace that has nothing but an empty root directory, which
// can not be written to.
func New() *Namespace {
	n := &Namespace{}
	n.mounts = []*mount{{path: "/", fs: emptyFS{}, readOnly: true}}
	return n
}

// MountOptions modify a mount.
type MountOptions struct{ ReadOnly bool }

// Mount makes fs appear at path, over whatever was there. The directories that
// lead to it need not exist. The namespace owns fs from then on.
func (n *Namespace) Mount(path string, fs FS, o MountOptions) error {
	clean, err := Clean("/", path)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lastID++
	m := &mount{path: clean, fs: fs, readOnly: o.ReadOnly, id: n.lastID}
	for i, old := range n.mounts {
		if old.path == clean {
			n.mounts[i] = m
			return old.close()
		}
	}
	n.mounts = append(n.mounts, m)
	slices.SortStableFunc(n.mounts, func(a, b *mount) int { return len(b.path) - len(a.path) })
	return nil
}

func (m *mount) close() error {
	if m.borrowed {
		return nil
	}
	return m.fs.Close()
}

// Clone returns a namespace with the same mounts, to which others can be added.
// The file systems belong to the first namespace still, which must be closed last.
func (n *Namespace) Clone() *Namespace {
	n.mu.RLock()
	defer n.mu.RUnlock()
	c := &Namespace{lastID: n.lastID}
	for _, m := range n.mounts {
		b := *m
		b.borrowed = true
		c.mounts = append(c.mounts, &b)
	}
	return c
}

// Renew is Clone for somebody who must not see what the others write to memory: file
// systems of NewMemory are new and empty. Those are closed with the clone.
func (n *Namespace) Renew() *Namespace {
	c := n.Clone()
	for _, m := range c.mounts {
		if fs, ok := m.fs.(*memFS); ok {
			m.fs, m.borrowed = NewMemory(fs.cfg), false
		}
	}
	return c
}

// Close closes every mount.
func (n *Namespace) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var first error
	for _, m := range n.mounts {
		if err := m.close(); err != nil && first == nil {
			first = err
		}
	}
	n.mounts = []*mount{{path: "/", fs: emptyFS{}, readOnly: true}}
	return first
}

// Clean makes an absolute path without ".", ".." and empty components, by the
// text alone. It is for names that the host gives; the guest's are resolved.
func Clean(dir, path string) (string, error) {
	if path == "" {
		return "", unix.ENOENT
	}
	var out []string
	if !strings.HasPrefix(path, "/") {
		path = dir + "/" + path
	}
	for c := range strings.SplitSeq(path, "/") {
		switch c {
		case "", ".":
		case "..":
			if len(out) > 0 {
				out = out[:len(out)-1]
			}
		default:
			if len(c) > NameMax {
				return "", unix.ENAMETOOLONG
			}
			if strings.IndexByte(c, 0) >= 0 {
				return "", unix.EINVAL
			}
			out = append(out, c)
		}
	}
	p := "/" + strings.Join(out, "/")
	if len(p) >= PathMax {
		return "", unix.ENAMETOOLONG
	}
	return p, nil
}

// under reports whether path is dir or below it.
func under(path, dir string) bool {
	return dir == "/" || strings.HasPrefix(path, dir) && (len(path) == len(dir) || path[len(dir)] == '/')
}

// at finds the mount that holds an absolute clean path, and the path's name in
// it.
func (n *Namespace) at(path string) (*mount, string) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	for _, m := range n.mounts {
		if under(path, m.path) {
			return m, relative(path, m.path)
		}
	}
	panic("namespace: no root mount") // New put one there, Close leaves one
}

func relative(path, dir string) string {
	rel := strings.TrimPrefix(path[len(dir):], "/")
	if rel == "" {
		return "."
	}
	return rel
}

// leadsToMount reports whether some mount is strictly below path, so that path
// is a directory even if its own mount has none there.
func (n *Namespace) leadsToMount(path string) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	for _, m := range n.mounts {
		if m.path != path && under(m.path, path) {
			return true
		}
	}
	return false
}

// isMountPoint reports whether something is mounted exactly at path.
func (n *Namespace) isMountPoint(path string) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	for _, m := range n.mounts {
		if m.path == path {
			return true
		}
	}
	return false
}

// A place is a resolved name: absolute, clean, and when it was resolved without
// a symbolic link in it (but at its end, if that was not to be followed).
type place struct {
	m       *mount
	rel     string // name in m
	path    string // absolute in the namespace
	stat    Stat
	exists  bool
	virtual bool // a directory that only leads to a mount
	slash   bool // the name ended in a slash: it must be a directory
	dots    bool // the name ended in "." or ".."
}

// lstat looks at one absolute clean path.
func (n *Namespace) lstat(path string) (place, error) {
	m, rel := n.at(path)
	p := place{m: m, rel: rel, path: path}
	st, err := m.fs.Lstat(rel)
	if err == nil {
		p.stat, p.exists = st, true
		p.stat.Dev = p.stat.Dev<<8 | m.id&0xff
		// A file in the way of a mount is hidden by the directory that
		// leads there.
		if st.IsDir() || !n.leadsToMount(path) {
			return p, nil
		}
	} else if err != unix.ENOENT && err != unix.ENOTDIR && err != unix.EACCES {
		return p, err
	}
	if n.leadsToMount(path) || path == "/" {
		p.exists, p.virtual = true, true
		p.stat = virtualStat(path)
		return p, nil
	}
	return p, err
}

func virtualStat(path string) Stat {
	h := fnv.New64a()
	h.Write([]byte(path))
	return Stat{Ino: h.Sum64() >> 1, Nlink: 2, Mode: unix.S_IFDIR | 0o555, Blksize: 4096}
}

// What to do with a symbolic link at the end of a name.
type following uint8

const (
	// asEntry: never follow, the name itself is meant: what is to be made,
	// renamed or removed.
	asEntry following = iota
	// asLink: follow only if a slash is behind it.
	asLink
	// asTarget: follow.
	asTarget
)

func follows(follow bool) following {
	if follow {
		return asTarget
	}
	return asLink
}

// resolve walks name from dir (absolute and clean). A name whose last component
// does not exist is no error: exists is false then.
func (n *Namespace) resolve(dir, name string, end following) (place, error) {
	if name == "" {
		return place{}, unix.ENOENT
	}
	if len(name) >= PathMax {
		return place{}, unix.ENAMETOOLONG
	}
	if p, err, ok := n.resolveFast(dir, name, end == asTarget); ok {
		return p, err
	}
	cur := dir
	if name[0] == '/' {
		cur = "/"
	}
	rest := name
	links := 0
	at, err := n.lstat(cur)
	if err == unix.ENOENT && (name == ".." || strings.HasPrefix(name, "../")) {
		// A directory that was removed while somebody was in it still has
		// a parent.
		at, err = place{exists: true, stat: virtualStat(cur)}, nil
	}
	if err != nil {
		return at, err
	}
	for {
		rest = strings.TrimLeft(rest, "/")
		if rest == "" {
			return at, nil
		}
		c, tail, _ := strings.Cut(rest, "/")
		last := strings.Trim(tail, "/") == ""
		slash := len(rest) > len(c)
		rest = tail
		if len(c) > NameMax {
			return place{}, unix.ENAMETOOLONG
		}
		if !at.exists {
			return place{}, unix.ENOENT
		}
		if !at.stat.IsDir() {
			return place{}, unix.ENOTDIR
		}
		if c == "." || c == ".." {
			if c == ".." {
				cur = cur[:strings.LastIndexByte(cur, '/')]
				if cur == "" {
					cur = "/"
				}
				if at, err = n.lstat(cur); err != nil {
					return place{}, err
				}
			}
			at.slash, at.dots = at.slash || slash, last
			continue
		}
		if cur == "/" {
			cur = ""
		}
		next := cur + "/" + c
		if len(next) >= PathMax {
			return place{}, unix.ENAMETOOLONG
		}
		at, err = n.lstat(next)
		if err != nil {
			if err == unix.ENOENT && last {
				at.slash = slash
				return at, nil
			}
			return place{}, err
		}
		if at.stat.IsSymlink() && (!last || end == asTarget || end == asLink && slash) {
			if links++; links > LinksMax {
				return place{}, unix.ELOOP
			}
			target, err := at.m.fs.Readlink(at.rel)
			if err != nil {
				return place{}, err
			}
			if target == "" {
				return place{}, unix.ENOENT
			}
			if rest != "" || slash {
				target += "/" + rest
			}
			if len(target) >= PathMax {
				return place{}, unix.ENAMETOOLONG
			}
			rest = target
			if target[0] == '/' {
				cur = "/"
			} else if cur == "" {
				cur = "/"
			}
			if at, err = n.lstat(cur); err != nil {
				return place{}, err
			}
			continue
		}
		cur = next
		if slash {
			at.slash = true
			if last && at.exists && !at.stat.IsDir() {
				return place{}, unix.ENOTDIR
			}
		}
	}
}

// resolveFast handles the common name: nothing but ordinary components, all in
// one mount, no symbolic link met. A host mount looks at such a name with one
// walk of the kernel.
func (n *Namespace) resolveFast(dir, name string, follow bool) (place, error, bool) {
	if strings.HasSuffix(name, "/") || strings.Contains(name, "//") {
		return place{}, nil, false
	}
	for c := range strings.SplitSeq(strings.TrimPrefix(name, "/"), "/") {
		if c == "" || c == "." || c == ".." || len(c) > NameMax {
			return place{}, nil, false
		}
	}
	path := name
	if name[0] != '/' {
		path = dir + "/" + name
		if dir == "/" {
			path = dir + name
		}
	}
	if len(path) >= PathMax {
		return place{}, nil, false
	}
	m, rel := n.at(path)
	// A relative name must not leave its start's mount upwards. Directories above
	// a mount point need no look: whatever is there, the mount hides it.
	if name[0] != '/' && !under(dir, m.path) {
		return place{}, nil, false
	}
	if n.leadsToMount(path) {
		return place{}, nil, false
	}
	st, err := m.fs.Lstat(rel)
	p := place{m: m, rel: rel, path: path}
	switch {
	case err == nil && st.IsSymlink() && follow:
		return p, nil, false
	case err == nil:
		p.stat, p.exists = st, true
		p.stat.Dev = st.Dev<<8 | m.id&0xff
		return p, nil, true
	}
	if err == unix.ENOENT && rel != "." {
		// The common case of a search path: all there but the last component.
		up := "."
		if i := strings.LastIndexByte(rel, '/'); i >= 0 {
			up = rel[:i]
		}
		if st, err := m.fs.Lstat(up); err == nil && st.IsDir() {
			return p, nil, true
		}
	}
	// The slow walk finds out which component it is.
	return p, nil, false
}
