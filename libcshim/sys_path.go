package libcshim

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/libcshim/namespace"
)

// base is the directory that a relative name of an *at call starts from.
func (k *task) base(dirfd uint64, name string) (string, error) {
	if name != "" && name[0] == '/' {
		return "/", nil
	}
	fd := int32Arg(dirfd)
	if fd == unix.AT_FDCWD {
		return k.p.dir(), nil
	}
	o, err := k.p.fds.get(fd)
	if err != nil {
		return "", err
	}
	defer o.release()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.isDir {
		return "", unix.ENOTDIR
	}
	return o.path, nil
}

// atPath reads a name and finds where it starts.
func (k *task) atPath(dirfd, addr uint64) (dir, name string, err error) {
	if name, err = k.path(addr); err != nil {
		return "", "", err
	}
	if name == "" {
		return "", "", unix.ENOENT
	}
	dir, err = k.base(dirfd, name)
	return dir, name, err
}

// cwdFD makes a classic call an *at call.
var cwdFD = func() uint64 { v := int64(unix.AT_FDCWD); return uint64(v) }()

func sysOpen(k *task, a *args) (int64, error) { return k.open(cwdFD, a[0], a[1], a[2]) }
func sysCreat(k *task, a *args) (int64, error) {
	return k.open(cwdFD, a[0], unix.O_CREAT|unix.O_WRONLY|unix.O_TRUNC, a[1])
}
func sysOpenat(k *task, a *args) (int64, error) { return k.open(a[0], a[1], a[2], a[3]) }

func (k *task) open(dirfd, addr, flagsArg, mode uint64) (int64, error) {
	dir, name, err := k.atPath(dirfd, addr)
	if err != nil {
		return 0, err
	}
	flags := int32Arg(flagsArg)
	if flags&unix.O_ACCMODE == unix.O_ACCMODE {
		return 0, unix.EINVAL
	}
	k.p.mu.Lock()
	perm := uint32(mode) & 0o7777 &^ k.p.umask
	k.p.mu.Unlock()
	f, path, err := k.p.ns.Open(dir, name, flags, perm)
	if err != nil {
		return 0, err
	}
	if d, ok := namespace.Unwrap(f).(*namespace.DescriptorFile); ok {
		// /dev/fd/3: the descriptor itself, with no more access than it has.
		_ = f.Close()
		return k.dupFrom(d.FD, 0, flags&unix.O_CLOEXEC != 0)
	}
	if d, ok := namespace.Unwrap(f).(*namespace.TerminalFile); ok && flags&unix.O_PATH == 0 {
		_ = f.Close()
		if f, err = k.openTerminal(d.Number, flags); err != nil {
			return 0, err
		}
		path = f.(interface{ name() string }).name()
	}
	if k.p.tree.fifos.any() && flags&unix.O_PATH == 0 {
		st, err := f.Stat()
		if err != nil {
			_ = f.Close()
			return 0, err
		}
		if pipe := k.p.tree.fifos.get(st); pipe != nil {
			_ = f.Close()
			if f, err = k.openFIFO(pipe, k.p.specialNode(st), flags); err != nil {
				return 0, err
			}
		}
	}
	o := newOpenFile(f, path, flags)
	o.isDir = namespace.IsDir(f)
	fd, err := k.p.fds.add(o, 0, flags&unix.O_CLOEXEC != 0)
	if err != nil {
		_ = o.release()
		return 0, err
	}
	return int64(fd), nil
}

// atStatxSyncType are the bits of AT_STATX_FORCE_SYNC and AT_STATX_DONT_SYNC.
const atStatxSyncType = 0x6000

// Layout of struct stat on x86-64.
const statSize = 144

func encodeStat(st *namespace.Stat) []byte {
	b := make([]byte, statSize)
	le.PutUint64(b[0:], st.Dev)
	le.PutUint64(b[8:], st.Ino)
	le.PutUint64(b[16:], st.Nlink)
	le.PutUint32(b[24:], st.Mode)
	le.PutUint32(b[28:], st.UID)
	le.PutUint32(b[32:], st.GID)
	le.PutUint64(b[40:], st.Rdev)
	le.PutUint64(b[48:], uint64(st.Size))
	le.PutUint64(b[56:], uint64(st.Blksize))
	le.PutUint64(b[64:], uint64(st.Blocks))
	for i, ts := range []unix.Timespec{st.Atim, st.Mtim, st.Ctim} {
		le.PutUint64(b[72+16*i:], uint64(ts.Sec))
		le.PutUint64(b[80+16*i:], uint64(ts.Nsec))
	}
	return b
}

// statAt is the common part of the stat family. flags are AT_*.
func (k *task) statAt(dirfd, addr uint64, flags int) (namespace.Stat, error) {
	if flags&^(unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH|unix.AT_NO_AUTOMOUNT|atStatxSyncType) != 0 {
		return namespace.Stat{}, unix.EINVAL
	}
	name := ""
	if uint32(addr) != 0 || flags&unix.AT_EMPTY_PATH == 0 {
		var err error
		if name, err = k.path(addr); err != nil {
			return namespace.Stat{}, err
		}
	}
	if name == "" {
		if flags&unix.AT_EMPTY_PATH == 0 {
			return namespace.Stat{}, unix.ENOENT
		}
		if int32Arg(dirfd) == unix.AT_FDCWD {
			st, _, err := k.p.ns.Stat(k.p.dir(), ".", true)
			return st, err
		}
		return k.fstat(int32Arg(dirfd))
	}
	dir, err := k.base(dirfd, name)
	if err != nil {
		return namespace.Stat{}, err
	}
	st, _, err := k.p.ns.Stat(dir, name, flags&unix.AT_SYMLINK_NOFOLLOW == 0)
	return k.p.specialNode(st), err
}

func (k *task) fstat(fd int) (namespace.Stat, error) {
	o, err := k.p.fds.get(fd)
	if err != nil {
		return namespace.Stat{}, err
	}
	defer o.release()
	switch s := namespace.Unwrap(o.file).(type) {
	case *ptySlave:
		if st, _, err := k.p.ns.Stat("/", s.name(), true); err == nil { // ttyname compares
			return st, nil
		}
	case *hostStream:
		if !s.isTerminal() {
			break
		}
		// The terminal has one name here, and ttyname compares.
		if st, _, err := k.p.ns.Stat("/", "/dev/tty", true); err == nil {
			return st, nil
		}
	}
	return o.file.Stat()
}

func (k *task) putStat(addr uint64, st namespace.Stat, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return 0, k.write(addr, encodeStat(&st))
}

func sysStat(k *task, a *args) (int64, error) {
	st, err := k.statAt(cwdFD, a[0], 0)
	return k.putStat(a[1], st, err)
}

func sysLstat(k *task, a *args) (int64, error) {
	st, err := k.statAt(cwdFD, a[0], unix.AT_SYMLINK_NOFOLLOW)
	return k.putStat(a[1], st, err)
}

func sysFstat(k *task, a *args) (int64, error) {
	st, err := k.fstat(int32Arg(a[0]))
	return k.putStat(a[1], st, err)
}

func sysNewfstatat(k *task, a *args) (int64, error) {
	st, err := k.statAt(a[0], a[1], int32Arg(a[3]))
	return k.putStat(a[2], st, err)
}

// Layout of struct statx.
const statxSize = 256

func encodeStatx(st *namespace.Stat) []byte {
	b := make([]byte, statxSize)
	mask := uint32(unix.STATX_BASIC_STATS)
	if st.Btim != (unix.Timespec{}) {
		mask |= unix.STATX_BTIME
	}
	le.PutUint32(b[0:], mask)
	le.PutUint32(b[4:], uint32(st.Blksize))
	le.PutUint32(b[16:], uint32(st.Nlink))
	le.PutUint32(b[20:], st.UID)
	le.PutUint32(b[24:], st.GID)
	le.PutUint16(b[28:], uint16(st.Mode))
	le.PutUint64(b[32:], st.Ino)
	le.PutUint64(b[40:], uint64(st.Size))
	le.PutUint64(b[48:], uint64(st.Blocks))
	for i, ts := range []unix.Timespec{st.Atim, st.Btim, st.Ctim, st.Mtim} {
		le.PutUint64(b[64+16*i:], uint64(ts.Sec))
		le.PutUint32(b[72+16*i:], uint32(ts.Nsec))
	}
	le.PutUint32(b[128:], unix.Major(st.Rdev))
	le.PutUint32(b[132:], unix.Minor(st.Rdev))
	le.PutUint32(b[136:], unix.Major(st.Dev))
	le.PutUint32(b[140:], unix.Minor(st.Dev))
	return b
}

func sysStatx(k *task, a *args) (int64, error) {
	st, err := k.statAt(a[0], a[1], int32Arg(a[2]))
	if err != nil {
		return 0, err
	}
	return 0, k.write(a[4], encodeStatx(&st))
}

func sysAccess(k *task, a *args) (int64, error) { return k.access(cwdFD, a[0], a[1], 0) }

// faccessat has no flags in the kernel; faccessat2 has.
func sysFaccessat(k *task, a *args) (int64, error) { return k.access(a[0], a[1], a[2], 0) }
func sysFaccessat2(k *task, a *args) (int64, error) {
	return k.access(a[0], a[1], a[2], int32Arg(a[3]))
}

func (k *task) access(dirfd, addr, mode uint64, flags int) (int64, error) {
	if mode&^7 != 0 || flags&^(unix.AT_EACCESS|unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH) != 0 {
		return 0, unix.EINVAL
	}
	dir, name, err := k.atPath(dirfd, addr)
	if err != nil {
		return 0, err
	}
	return 0, k.p.ns.Access(dir, name, uint32(mode), flags&unix.AT_SYMLINK_NOFOLLOW == 0)
}

func sysReadlink(k *task, a *args) (int64, error)   { return k.readlink(cwdFD, a[0], a[1], a[2]) }
func sysReadlinkat(k *task, a *args) (int64, error) { return k.readlink(a[0], a[1], a[2], a[3]) }

func (k *task) readlink(dirfd, addr, buf, size uint64) (int64, error) {
	if int32Arg(size) <= 0 {
		return 0, unix.EINVAL
	}
	dir, name, err := k.atPath(dirfd, addr)
	if err != nil {
		return 0, err
	}
	target, err := k.p.ns.Readlink(dir, name)
	if err != nil {
		return 0, err
	}
	target = target[:min(len(target), int32Arg(size))]
	return int64(len(target)), k.write(buf, []byte(target))
}

func sysMkdir(k *task, a *args) (int64, error)   { return k.mkdir(cwdFD, a[0], a[1]) }
func sysMkdirat(k *task, a *args) (int64, error) { return k.mkdir(a[0], a[1], a[2]) }

func (k *task) mkdir(dirfd, addr, mode uint64) (int64, error) {
	dir, name, err := k.atPath(dirfd, addr)
	if err != nil {
		return 0, err
	}
	k.p.mu.Lock()
	perm := uint32(mode) & 0o1777 &^ k.p.umask
	k.p.mu.Unlock()
	return 0, k.p.ns.Mkdir(dir, name, perm)
}

func sysRmdir(k *task, a *args) (int64, error)  { return k.unlink(cwdFD, a[0], unix.AT_REMOVEDIR) }
func sysUnlink(k *task, a *args) (int64, error) { return k.unlink(cwdFD, a[0], 0) }
func sysUnlinkat(k *task, a *args) (int64, error) {
	return k.unlink(a[0], a[1], int32Arg(a[2]))
}

func (k *task) unlink(dirfd, addr uint64, flags int) (int64, error) {
	if flags&^unix.AT_REMOVEDIR != 0 {
		return 0, unix.EINVAL
	}
	dir, name, err := k.atPath(dirfd, addr)
	if err != nil {
		return 0, err
	}
	if flags != 0 {
		return 0, k.p.ns.Rmdir(dir, name)
	}
	key := ""
	if k.p.tree.unix.any() || k.p.tree.fifos.any() {
		if st, _, err := k.p.ns.Stat(dir, name, false); err == nil && st.IsRegular() && st.Nlink <= 1 {
			key = nodeKey(st)
		}
	}
	if err := k.p.ns.Unlink(dir, name); err != nil {
		return 0, err
	}
	if key != "" {
		k.p.tree.unix.drop(key)
		k.p.tree.fifos.drop(key)
	}
	return 0, nil
}

func sysRename(k *task, a *args) (int64, error)    { return k.rename(cwdFD, a[0], cwdFD, a[1], 0) }
func sysRenameat(k *task, a *args) (int64, error)  { return k.rename(a[0], a[1], a[2], a[3], 0) }
func sysRenameat2(k *task, a *args) (int64, error) { return k.rename(a[0], a[1], a[2], a[3], a[4]) }

func (k *task) rename(fromFD, from, toFD, to, flags uint64) (int64, error) {
	d1, n1, err := k.atPath(fromFD, from)
	if err != nil {
		return 0, err
	}
	d2, n2, err := k.atPath(toFD, to)
	if err != nil {
		return 0, err
	}
	oldPath, newPath, err := k.p.ns.Rename(d1, n1, d2, n2, uint(flags))
	if err != nil {
		return 0, err
	}
	k.p.followRename(oldPath, newPath, flags&unix.RENAME_EXCHANGE != 0)
	return 0, nil
}

// followRename keeps open directories and the working directory where they are
// when the guest renames one of them or one above them.
func (p *Process) followRename(from, to string, exchange bool) {
	move := func(path string) string {
		if rest, ok := below(path, from); ok {
			return to + rest
		}
		if rest, ok := below(path, to); ok && exchange {
			return from + rest
		}
		return path
	}
	p.mu.Lock()
	p.cwd = move(p.cwd)
	p.mu.Unlock()
	p.fds.each(func(_ int, o *openFile) {
		o.mu.Lock()
		if o.path != "" {
			o.path = move(o.path)
		}
		o.mu.Unlock()
	})
}

// below returns what follows dir in path.
func below(path, dir string) (string, bool) {
	if path == dir {
		return "", true
	}
	if len(path) > len(dir) && path[:len(dir)] == dir && path[len(dir)] == '/' {
		return path[len(dir):], true
	}
	return "", false
}

func sysLink(k *task, a *args) (int64, error) { return k.link(cwdFD, a[0], cwdFD, a[1], 0) }
func sysLinkat(k *task, a *args) (int64, error) {
	return k.link(a[0], a[1], a[2], a[3], int32Arg(a[4]))
}

func (k *task) link(fromFD, from, toFD, to uint64, flags int) (int64, error) {
	if flags&^unix.AT_SYMLINK_FOLLOW != 0 {
		return 0, unix.EINVAL
	}
	d1, n1, err := k.atPath(fromFD, from)
	if err != nil {
		return 0, err
	}
	d2, n2, err := k.atPath(toFD, to)
	if err != nil {
		return 0, err
	}
	return 0, k.p.ns.Link(d1, n1, d2, n2, flags != 0)
}

func sysSymlink(k *task, a *args) (int64, error)   { return k.symlink(a[0], cwdFD, a[1]) }
func sysSymlinkat(k *task, a *args) (int64, error) { return k.symlink(a[0], a[1], a[2]) }

func (k *task) symlink(target, dirfd, addr uint64) (int64, error) {
	text, err := k.path(target)
	if err != nil {
		return 0, err
	}
	dir, name, err := k.atPath(dirfd, addr)
	if err != nil {
		return 0, err
	}
	return 0, k.p.ns.Symlink(text, dir, name)
}

func sysChmod(k *task, a *args) (int64, error) { return k.chmod(cwdFD, a[0], a[1], 0) }

// fchmodat has no flags in the kernel; fchmodat2 has.
func sysFchmodat(k *task, a *args) (int64, error) { return k.chmod(a[0], a[1], a[2], 0) }
func sysFchmodat2(k *task, a *args) (int64, error) {
	return k.chmod(a[0], a[1], a[2], int32Arg(a[3]))
}

func (k *task) chmod(dirfd, addr, mode uint64, flags int) (int64, error) {
	if flags&^unix.AT_SYMLINK_NOFOLLOW != 0 {
		return 0, unix.EINVAL
	}
	dir, name, err := k.atPath(dirfd, addr)
	if err != nil {
		return 0, err
	}
	return 0, k.p.ns.Chmod(dir, name, uint32(mode)&0o7777, flags == 0)
}

func sysFchmod(k *task, a *args) (int64, error) {
	return k.withFile(a[0], func(o *openFile) (int64, error) { return 0, o.file.Chmod(uint32(a[1]) & 0o7777) })
}

func sysChown(k *task, a *args) (int64, error) { return k.chown(cwdFD, a[0], a[1], a[2], 0) }
func sysLchown(k *task, a *args) (int64, error) {
	return k.chown(cwdFD, a[0], a[1], a[2], unix.AT_SYMLINK_NOFOLLOW)
}
func sysFchownat(k *task, a *args) (int64, error) {
	return k.chown(a[0], a[1], a[2], a[3], int32Arg(a[4]))
}

func (k *task) chown(dirfd, addr, uid, gid uint64, flags int) (int64, error) {
	if flags&^(unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH) != 0 {
		return 0, unix.EINVAL
	}
	dir, name, err := k.atPath(dirfd, addr)
	if err != nil {
		return 0, err
	}
	return 0, k.p.ns.Chown(dir, name, int32Arg(uid), int32Arg(gid), flags&unix.AT_SYMLINK_NOFOLLOW == 0)
}

func sysFchown(k *task, a *args) (int64, error) {
	return k.withFile(a[0], func(o *openFile) (int64, error) {
		return 0, o.file.Chown(int32Arg(a[1]), int32Arg(a[2]))
	})
}

func sysUtimensat(k *task, a *args) (int64, error) {
	ts := [2]unix.Timespec{{Nsec: unix.UTIME_NOW}, {Nsec: unix.UTIME_NOW}}
	if uint32(a[2]) != 0 {
		var b [32]byte
		if err := k.read(a[2], b[:]); err != nil {
			return 0, err
		}
		for i := range ts {
			ts[i] = unix.Timespec{Sec: int64(le.Uint64(b[16*i:])), Nsec: int64(le.Uint64(b[16*i+8:]))}
		}
	}
	for _, t := range ts {
		if (t.Nsec < 0 || t.Nsec >= 1e9) && t.Nsec != unix.UTIME_NOW && t.Nsec != unix.UTIME_OMIT {
			return 0, unix.EINVAL
		}
	}
	flags := int32Arg(a[3])
	if flags&^(unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH) != 0 {
		return 0, unix.EINVAL
	}
	if uint32(a[1]) == 0 {
		return k.withFile(a[0], func(o *openFile) (int64, error) { return 0, o.file.Utimens(ts) })
	}
	return k.utimens(a[0], a[1], ts, flags&unix.AT_SYMLINK_NOFOLLOW == 0)
}

func (k *task) utimens(dirfd, addr uint64, ts [2]unix.Timespec, follow bool) (int64, error) {
	dir, name, err := k.atPath(dirfd, addr)
	if err != nil {
		return 0, err
	}
	return 0, k.p.ns.Utimens(dir, name, ts, follow)
}

// utimes, futimesat: microseconds; utime: seconds.
func sysUtimes(k *task, a *args) (int64, error) { return k.utimes(cwdFD, a[0], a[1]) }
func sysFutimesat(k *task, a *args) (int64, error) {
	return k.utimes(a[0], a[1], a[2])
}

func (k *task) utimes(dirfd, addr, times uint64) (int64, error) {
	ts := [2]unix.Timespec{{Nsec: unix.UTIME_NOW}, {Nsec: unix.UTIME_NOW}}
	if uint32(times) != 0 {
		var b [32]byte
		if err := k.read(times, b[:]); err != nil {
			return 0, err
		}
		for i := range ts {
			usec := int64(le.Uint64(b[16*i+8:]))
			if usec < 0 || usec >= 1e6 {
				return 0, unix.EINVAL
			}
			ts[i] = unix.Timespec{Sec: int64(le.Uint64(b[16*i:])), Nsec: usec * 1000}
		}
	}
	return k.utimens(dirfd, addr, ts, true)
}

func sysUtime(k *task, a *args) (int64, error) {
	ts := [2]unix.Timespec{{Nsec: unix.UTIME_NOW}, {Nsec: unix.UTIME_NOW}}
	if uint32(a[1]) != 0 {
		var b [16]byte
		if err := k.read(a[1], b[:]); err != nil {
			return 0, err
		}
		ts = [2]unix.Timespec{{Sec: int64(le.Uint64(b[:]))}, {Sec: int64(le.Uint64(b[8:]))}}
	}
	return k.utimens(cwdFD, a[0], ts, true)
}

func sysTruncate(k *task, a *args) (int64, error) {
	dir, name, err := k.atPath(cwdFD, a[0])
	if err != nil {
		return 0, err
	}
	return 0, k.p.ns.Truncate(dir, name, int64(a[1]))
}

func sysGetcwd(k *task, a *args) (int64, error) {
	dir := k.p.dir()
	if st, _, err := k.p.ns.Stat("/", dir, true); err != nil || !st.IsDir() {
		return 0, unix.ENOENT
	}
	if uint64(len(dir)+1) > a[1] {
		return 0, unix.ERANGE
	}
	return int64(len(dir) + 1), k.write(a[0], append([]byte(dir), 0))
}

func sysChdir(k *task, a *args) (int64, error) {
	dir, name, err := k.atPath(cwdFD, a[0])
	if err != nil {
		return 0, err
	}
	path, err := k.p.ns.Chdir(dir, name)
	if err != nil {
		return 0, err
	}
	k.p.mu.Lock()
	k.p.cwd = path
	k.p.mu.Unlock()
	return 0, nil
}

func sysFchdir(k *task, a *args) (int64, error) {
	return k.withFile(a[0], func(o *openFile) (int64, error) {
		o.mu.Lock()
		path, isDir := o.path, o.isDir
		o.mu.Unlock()
		if !isDir {
			return 0, unix.ENOTDIR
		}
		k.p.mu.Lock()
		k.p.cwd = path
		k.p.mu.Unlock()
		return 0, nil
	})
}

func sysUmask(k *task, a *args) (int64, error) {
	k.p.mu.Lock()
	defer k.p.mu.Unlock()
	old := k.p.umask
	k.p.umask = uint32(a[0]) & 0o777
	return int64(old), nil
}

// Layout of struct statfs on x86-64.
const statfsSize = 120

func (k *task) putStatfs(addr uint64, s namespace.Statfs, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	b := make([]byte, statfsSize)
	le.PutUint64(b[0:], uint64(s.Type))
	le.PutUint64(b[8:], uint64(s.Bsize))
	le.PutUint64(b[16:], s.Blocks)
	le.PutUint64(b[24:], s.Bfree)
	le.PutUint64(b[32:], s.Bavail)
	le.PutUint64(b[40:], s.Files)
	le.PutUint64(b[48:], s.Ffree)
	le.PutUint64(b[64:], namespace.NameMax)
	le.PutUint64(b[72:], uint64(s.Bsize))
	flags := uint64(unix.ST_NOSUID | unix.ST_NODEV)
	if s.ReadOnly {
		flags |= unix.ST_RDONLY
	}
	le.PutUint64(b[80:], flags)
	return 0, k.write(addr, b)
}

func sysStatfs(k *task, a *args) (int64, error) {
	dir, name, err := k.atPath(cwdFD, a[0])
	if err != nil {
		return 0, err
	}
	s, err := k.p.ns.Statfs(dir, name)
	return k.putStatfs(a[1], s, err)
}

func sysFstatfs(k *task, a *args) (int64, error) {
	return k.withFile(a[0], func(o *openFile) (int64, error) {
		o.mu.Lock()
		path := o.path
		o.mu.Unlock()
		if path == "" {
			return k.putStatfs(a[1], namespace.Statfs{Type: pipefsMagic, Bsize: 4096}, nil)
		}
		s, err := k.p.ns.Statfs("/", path)
		if errors.Is(err, unix.ENOENT) { // removed meanwhile
			s, err = k.p.ns.Statfs("/", "/")
		}
		return k.putStatfs(a[1], s, err)
	})
}

const pipefsMagic = 0x50495045

// seekDir moves in the list of entries; its offsets are the d_off that getdents
// gave. The beginning starts over with a new list.
func (o *openFile) seekDir(off int64, whence int) (int64, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	pos := 0
	if o.dir != nil {
		pos = o.dir.pos
	}
	switch whence {
	case unix.SEEK_SET:
	case unix.SEEK_CUR:
		off += int64(pos)
	default:
		return 0, unix.EINVAL
	}
	switch {
	case off < 0:
		return 0, unix.EINVAL
	case off == 0:
		o.dir = nil
	case o.dir != nil:
		o.dir.pos = int(min(off, int64(len(o.dir.entries))))
	}
	return off, nil
}

// Layout of struct linux_dirent64.
const direntHeader = 19

func sysGetdents64(k *task, a *args) (int64, error) {
	return k.withFile(a[0], func(o *openFile) (int64, error) {
		if !o.isDir {
			return 0, unix.ENOTDIR
		}
		return k.dirents(o, a[1], a[2], direntHeader)
	})
}

// dirents writes what fits into size bytes of a directory: u64 number, i64 offset,
// u16 length, the type where the header has room for it, and the name.
func (k *task) dirents(o *openFile, at, size uint64, header int) (int64, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.flags&unix.O_PATH != 0 {
		return 0, unix.EBADF
	}
	if o.dir == nil {
		if err := o.list(k.p.ns); err != nil {
			return 0, err
		}
	}
	size = min(size, chunkSize)
	buf := make([]byte, 0, size)
	pos := o.dir.pos
	for ; pos < len(o.dir.entries); pos++ {
		e := o.dir.entries[pos]
		n := (header + len(e.Name) + 1 + 7) &^ 7
		if len(buf)+n > int(size) {
			break
		}
		rec := buf[len(buf) : len(buf)+n]
		clear(rec)
		le.PutUint64(rec, e.Ino)
		le.PutUint64(rec[8:], uint64(pos+1))
		le.PutUint16(rec[16:], uint16(n))
		if header == direntHeader {
			rec[18] = e.Type
		}
		copy(rec[header:], e.Name)
		buf = buf[:len(buf)+n]
	}
	if len(buf) == 0 && pos < len(o.dir.entries) {
		return 0, unix.EINVAL
	}
	if err := k.write(at, buf); err != nil {
		return 0, err
	}
	o.dir.pos = pos
	return int64(len(buf)), nil
}

// list reads the directory. The caller holds o.mu.
func (o *openFile) list(ns *namespace.Namespace) error {
	entries, err := o.file.ReadDir()
	if err != nil {
		return err
	}
	all := make([]namespace.Dirent, 0, len(entries)+2)
	for _, name := range []string{".", ".."} {
		e := namespace.Dirent{Ino: 1, Type: unix.DT_DIR, Name: name}
		if st, _, err := ns.Stat(o.path, name, false); err == nil {
			e.Ino = st.Ino
		}
		all = append(all, e)
	}
	o.dir = &dirState{entries: append(all, entries...)}
	return nil
}
