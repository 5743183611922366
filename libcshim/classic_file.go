package libcshim

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/libcshim/namespace"
	"github.com/halite-run/halite/runtime"
)

// Files of the classic ABI. Paths, descriptors and access are as in the other ABI; the
// numbers of errors and open flags are Linux's, the structures NaCl's own.

func init() {
	for slot, c := range map[uint32]*call{
		8:   {"dup", sysDup, list(aFD), rInt},
		9:   {"dup2", classicDup2, list(aFD, aFD), rInt},
		10:  {"open", classicOpen, list(aPath, aOpenFlags, aOpenMode), rInt},
		11:  {"close", sysClose, list(aFD), rInt},
		12:  {"read", classicRead, list(aFD, aOutBuf, aSize), rInt},
		13:  {"write", classicWrite, list(aFD, aInBuf, aSize), rInt},
		14:  {"lseek", classicLseek, list(aFD, aPtr, aWhence), rInt},
		16:  {"stat", classicStat(0), list(aPath, aPtr), rInt},
		17:  {"fstat", classicFstat, list(aFD, aPtr), rInt},
		18:  {"chmod", classicChmod, list(aPath, aMode), rInt},
		19:  {"isatty", classicIsatty, list(aFD), rInt},
		23:  {"getdents", classicGetdents, list(aFD, aPtr, aSize), rInt},
		26:  {"fsync", sysFsync, list(aFD), rInt},
		27:  {"fdatasync", sysFsync, list(aFD), rInt},
		28:  {"fchmod", classicFchmod, list(aFD, aMode), rInt},
		45:  {"mkdir", limited(sysMkdir, 1), list(aPath, aMode), rInt},
		46:  {"rmdir", limited(sysRmdir, 1), list(aPath), rInt},
		47:  {"chdir", limited(sysChdir, 1), list(aPath), rInt},
		48:  {"getcwd", classicGetcwd, list(aPathOut, aSize), rInt},
		49:  {"unlink", limited(sysUnlink, 1), list(aPath), rInt},
		50:  {"fchdir", classicFchdir, list(aFD), rInt},
		52:  {"ftruncate", classicFtruncate, list(aFD, aPtr), rInt},
		60:  naclCalls[naclMakeBoundSock],
		61:  naclCalls[naclAccept],
		62:  naclCalls[naclConnect],
		63:  naclCalls[naclSendMsg],
		64:  naclCalls[naclRecvMsg],
		65:  naclCalls[naclMemObjCreate],
		66:  naclCalls[naclSocketPair],
		130: {"pread", classicPread, list(aFD, aOutBuf, aSize, aPtr), rInt},
		131: {"pwrite", classicPwrite, list(aFD, aInBuf, aSize, aPtr), rInt},
		140: {"truncate", limited(classicTruncate, 1), list(aPath, aPtr), rInt},
		141: {"lstat", classicStat(unix.AT_SYMLINK_NOFOLLOW), list(aPath, aPtr), rInt},
		142: {"link", limited(sysLink, 2), list(aPath, aPath), rInt},
		143: {"rename", limited(sysRename, 2), list(aPath, aPath), rInt},
		144: {"symlink", limited(sysSymlink, 2), list(aPath, aPath), rInt},
		145: {"access", limited(sysAccess, 1), list(aPath, aAccess), rInt},
		146: {"readlink", limited(classicReadlink, 1), list(aPath, aOutBuf, aSize), rInt},
		147: {"utimes", limited(classicUtimes, 1), list(aPath, aPtr), rInt},
	} {
		classicCalls[slot] = c
	}
}

// classicPathMax is the length of NaCl's names, with the terminating NUL.
const classicPathMax = 1024

// limited is a call whose first n arguments are names.
func limited(h handler, n int) handler {
	return func(k *task, a *args) (int64, error) {
		for _, at := range a[:n] {
			if err := k.classicName(at); err != nil {
				return 0, err
			}
		}
		return h(k, a)
	}
}

// classicName checks the length of a name. Whoever reads it again has a limit of
// its own.
func (k *task) classicName(at uint64) error {
	name, err := k.p.mem.ReadString(uint32(at), classicPathMax)
	if err == nil && len(name) >= classicPathMax {
		err = unix.ENAMETOOLONG
	}
	return err
}

func classicDup2(k *task, a *args) (int64, error) {
	const limit = 4096
	if a[1] >= limit {
		return 0, unix.EINVAL
	}
	return sysDup2(k, a)
}

// classicOpen opens directories however they are to be opened.
func classicOpen(k *task, a *args) (int64, error) {
	const known = unix.O_ACCMODE | unix.O_CREAT | unix.O_EXCL | unix.O_TRUNC | unix.O_APPEND | unix.O_DIRECTORY
	if err := k.classicName(a[0]); err != nil {
		return 0, err
	}
	flags := a[1] & known
	st, err := k.statAt(cwdFD, a[0], 0)
	if err == nil && st.IsDir() {
		if flags&unix.O_EXCL != 0 {
			return 0, unix.EEXIST
		}
		return k.open(cwdFD, a[0], unix.O_RDONLY|unix.O_DIRECTORY, 0)
	}
	return k.open(cwdFD, a[0], flags, a[2]&0o600)
}

// clampSize is the most that one call moves. All that it names must be in the sandbox.
func clampSize(n uint64) uint64 { return min(n, 1<<31-1) }

func classicRead(k *task, a *args) (int64, error) {
	return k.withFile(a[0], func(o *openFile) (int64, error) {
		n := clampSize(a[2])
		if !runtime.InSandbox(a[1], a[2]) {
			return 0, unix.EFAULT
		}
		if o.isDir {
			return k.dirents(o, a[1], n, classicDirentHeader)
		}
		if !o.readable() {
			return 0, unix.EBADF
		}
		return k.readv(o, k.one(a[1], n), ownPosition)
	})
}

func classicWrite(k *task, a *args) (int64, error) {
	return k.withFile(a[0], func(o *openFile) (int64, error) {
		n := clampSize(a[2])
		switch {
		case !runtime.InSandbox(a[1], a[2]):
			return 0, unix.EFAULT
		case o.isDir:
			return 0, unix.EINVAL
		}
		return sysWrite(k, &args{a[0], a[1], n})
	})
}

// position64 reads an offset from the guest's memory.
func (k *task) position64(at uint64) (uint64, error) { return k.p.mem.Load64(uint32(at)) }

func classicPread(k *task, a *args) (int64, error)  { return k.classicAt(a, sysPread) }
func classicPwrite(k *task, a *args) (int64, error) { return k.classicAt(a, sysPwrite) }

func (k *task) classicAt(a *args, h handler) (int64, error) {
	return k.withFile(a[0], func(o *openFile) (int64, error) {
		off, err := k.position64(a[3])
		if err != nil {
			return 0, err
		}
		n := clampSize(a[2])
		if !runtime.InSandbox(a[1], a[2]) {
			return 0, unix.EFAULT
		}
		return h(k, &args{a[0], a[1], n, off})
	})
}

func classicLseek(k *task, a *args) (int64, error) {
	return k.withFile(a[0], func(o *openFile) (int64, error) {
		off, err := k.position64(a[1])
		if err != nil {
			return 0, err
		}
		at, err := k.classicSeek(a[0], off, a[2])
		if err != nil {
			return 0, err
		}
		return 0, k.store64(a[1], uint64(at))
	})
}

func (k *task) classicSeek(fd, off, whence uint64) (int64, error) {
	if whence > unix.SEEK_END {
		return 0, unix.EINVAL
	}
	return sysLseek(k, &args{fd, off, whence})
}

// Layouts of NaCl's struct stat, and of what precedes a name in its dirent.
const (
	classicStatSize     = 104
	classicDirentHeader = 18
)

func encodeClassicStat(st *namespace.Stat) []byte {
	b := make([]byte, classicStatSize)
	le.PutUint64(b[8:], st.Ino)
	le.PutUint32(b[16:], st.Mode&(unix.S_IFMT|0o700))
	le.PutUint32(b[20:], uint32(st.Nlink))
	le.PutUint32(b[24:], ^uint32(0)) // nobody
	le.PutUint32(b[28:], ^uint32(0))
	le.PutUint64(b[40:], uint64(st.Size))
	for i, ts := range []unix.Timespec{st.Atim, st.Mtim, st.Ctim} {
		le.PutUint64(b[56+16*i:], uint64(ts.Sec))
	}
	return b
}

func classicStat(flags int) handler {
	return func(k *task, a *args) (int64, error) {
		if err := k.classicName(a[0]); err != nil {
			return 0, err
		}
		st, err := k.statAt(cwdFD, a[0], flags)
		if err != nil {
			return 0, err
		}
		return 0, k.write(a[1], encodeClassicStat(&st))
	}
}

// A classicObject is a file whose type NaCl knows and Linux does not.
type classicObject interface{ classicMode() uint32 }

func classicFstat(k *task, a *args) (int64, error) {
	return k.withFile(a[0], func(o *openFile) (int64, error) {
		st, err := o.file.Stat()
		if err != nil {
			return 0, err
		}
		b := encodeClassicStat(&st)
		if c, ok := namespace.Unwrap(o.file).(classicObject); ok {
			le.PutUint32(b[16:], c.classicMode())
		}
		return 0, k.write(a[1], b)
	})
}

// userBits are the permissions that NaCl's calls can change.
const userBits = 0o700

func classicChmod(k *task, a *args) (int64, error) {
	if err := k.classicName(a[0]); err != nil {
		return 0, err
	}
	return sysChmod(k, &args{a[0], a[1] & userBits})
}

func classicFchmod(k *task, a *args) (int64, error) {
	return sysFchmod(k, &args{a[0], a[1] & userBits})
}

func classicIsatty(k *task, a *args) (int64, error) {
	return k.withFile(a[0], func(o *openFile) (int64, error) {
		if s, ok := namespace.Unwrap(o.file).(*hostStream); ok && s.isTerminal() {
			return 1, nil
		}
		return 0, unix.ENOTTY
	})
}

func classicGetcwd(k *task, a *args) (int64, error) {
	n := min(a[1], classicPathMax-1)
	if n == 0 {
		return 0, unix.EINVAL
	}
	if _, err := sysGetcwd(k, &args{a[0], n}); err != nil {
		return 0, err
	}
	return 0, nil
}

func classicFchdir(k *task, a *args) (int64, error) {
	_, err := sysFchdir(k, a)
	if err == unix.ENOTDIR {
		err = unix.EINVAL
	}
	return 0, err
}

func classicFtruncate(k *task, a *args) (int64, error) {
	return k.withFile(a[0], func(o *openFile) (int64, error) {
		n, err := k.position64(a[1])
		if err != nil {
			return 0, err
		}
		return sysFtruncate(k, &args{a[0], n})
	})
}

func classicTruncate(k *task, a *args) (int64, error) {
	n, err := k.position64(a[1])
	if err != nil {
		return 0, err
	}
	return sysTruncate(k, &args{a[0], n})
}

func classicReadlink(k *task, a *args) (int64, error) {
	n := clampSize(a[2])
	if !runtime.InSandbox(a[1], a[2]) {
		return 0, unix.EFAULT
	}
	return sysReadlink(k, &args{a[0], a[1], n})
}

// classicUtimes takes two timevals: 64 bits of seconds, 32 of microseconds.
func classicUtimes(k *task, a *args) (int64, error) {
	ts := [2]unix.Timespec{{Nsec: unix.UTIME_NOW}, {Nsec: unix.UTIME_NOW}}
	if a[1] != 0 {
		var b [32]byte
		if err := k.read(a[1], b[:]); err != nil {
			return 0, err
		}
		for i := range ts {
			usec := int64(int32(le.Uint32(b[16*i+8:])))
			if usec < 0 || usec >= 1e6 {
				return 0, unix.EINVAL
			}
			ts[i] = unix.Timespec{Sec: int64(le.Uint64(b[16*i:])), Nsec: usec * int64(time.Microsecond)}
		}
	}
	return k.utimens(cwdFD, a[0], ts, true)
}

func classicGetdents(k *task, a *args) (int64, error) {
	return k.withFile(a[0], func(o *openFile) (int64, error) {
		n := clampSize(a[2])
		switch {
		case !runtime.InSandbox(a[1], a[2]):
			return 0, unix.EFAULT
		case a[1]%8 != 0, !o.isDir:
			return 0, unix.EINVAL
		}
		return k.dirents(o, a[1], n, classicDirentHeader)
	})
}
