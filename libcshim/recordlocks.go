package libcshim

import (
	"math"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// recordLocks are the advisory locks of fcntl: of ranges of a file, held by a
// process (*node) or, the OFD kind, by an open file (*openFile). Whoever waits in
// a circle waits until somebody is interrupted: EDEADLK is not found out.
type recordLocks struct {
	count atomic.Int32 // ranges: usually there are none

	mu    sync.Mutex
	files map[[2]uint64]*recordFile // by device and inode
}

// maxRecordLocks bounds the ranges of a tree.
const maxRecordLocks = 8192

type recordFile struct {
	ranges   []recordRange
	watchers watchers
	waiting  int
}

// recordRange is [start, end) of a file, held by one owner; its own never overlap.
type recordRange struct {
	start, end int64 // MaxInt64 is the end of the file, wherever it comes to be
	exclusive  bool
	owner      any
	pid        int // for F_GETLK
}

func (r *recordRange) conflicts(o *recordRange) bool {
	return r.owner != o.owner && (r.exclusive || o.exclusive) && r.start < o.end && o.start < r.end
}

// conflict finds a lock in the way of want.
func (t *recordLocks) conflict(key [2]uint64, want *recordRange) (recordRange, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.files[key]; f != nil {
		return f.conflict(want)
	}
	return recordRange{}, false
}

func (f *recordFile) conflict(want *recordRange) (first recordRange, found bool) {
	for i := range f.ranges {
		if r := &f.ranges[i]; r.conflicts(want) && (!found || r.start < first.start) {
			first, found = *r, true
		}
	}
	return first, found
}

// set gives want to its owner, in place of what that has of the range; with unlock
// it takes that away. EAGAIN when another owner is in the way.
func (t *recordLocks) set(key [2]uint64, want recordRange, unlock bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.files[key]
	if f == nil {
		if unlock {
			return nil
		}
		f = &recordFile{}
		if t.files == nil {
			t.files = make(map[[2]uint64]*recordFile)
		}
		t.files[key] = f
	}
	defer t.tidy(key, f)
	if !unlock {
		if _, found := f.conflict(&want); found {
			return unix.EAGAIN
		}
	}
	if t.count.Load() >= maxRecordLocks {
		return unix.ENOLCK
	}
	before := len(f.ranges)
	f.cut(&want)
	if !unlock {
		f.ranges = append(f.ranges, want)
	}
	t.count.Add(int32(len(f.ranges) - before))
	f.watchers.notify()
	return nil
}

// cut takes a range away from an owner.
func (f *recordFile) cut(w *recordRange) {
	var kept []recordRange
	for _, r := range f.ranges {
		if r.owner != w.owner || r.end <= w.start || w.end <= r.start {
			kept = append(kept, r)
			continue
		}
		if r.start < w.start {
			head := r
			head.end = w.start
			kept = append(kept, head)
		}
		if w.end < r.end {
			tail := r
			tail.start = w.end
			kept = append(kept, tail)
		}
	}
	f.ranges = kept
}

func (t *recordLocks) tidy(key [2]uint64, f *recordFile) {
	if len(f.ranges) == 0 && f.waiting == 0 {
		delete(t.files, key)
	}
}

// closed is told that a process has closed a descriptor of a file: its locks of
// that file go, by whatever descriptor it has them; and those of the open file, if
// this was the last.
func (t *recordLocks) closed(n *node, o *openFile) {
	if t.count.Load() == 0 {
		return
	}
	key, err := lockKey(o)
	if err != nil {
		return
	}
	_ = t.set(key, recordRange{end: math.MaxInt64, owner: n}, true)
	if o.numbers.Load() == 0 {
		_ = t.set(key, recordRange{end: math.MaxInt64, owner: o}, true)
	}
}

// wait sets a lock when it can be had.
func (k *task) waitRecord(key [2]uint64, want recordRange) error {
	t := &k.p.tree.records
	t.mu.Lock()
	f := t.files[key]
	if f == nil {
		t.mu.Unlock()
		return t.set(key, want, false)
	}
	f.waiting++
	t.mu.Unlock()
	f.watchers.watch(k.t)
	defer func() {
		f.watchers.unwatch(k.t)
		t.mu.Lock()
		f.waiting--
		t.tidy(key, f)
		t.mu.Unlock()
	}()
	for {
		if err := t.set(key, want, false); err != unix.EAGAIN {
			return err
		}
		if k.park() {
			return errRestart
		}
	}
}

// Layout of struct flock: type, whence, start, len, pid.
const flockSize = 32

func (k *task) recordLock(o *openFile, cmd int, addr uint64) (int64, error) {
	var b [flockSize]byte
	if err := k.read(addr, b[:]); err != nil {
		return 0, err
	}
	typ, whence := int16(le.Uint16(b[0:])), int16(le.Uint16(b[2:]))
	want := recordRange{exclusive: typ == unix.F_WRLCK, owner: k.p.node, pid: k.p.node.pid}
	var err error
	want.start, want.end, err = o.lockRange(int(whence), int64(le.Uint64(b[8:])), int64(le.Uint64(b[16:])))
	if err != nil {
		return 0, err
	}
	if typ < 0 || typ > 2 {
		return 0, unix.EINVAL
	}
	switch cmd {
	case unix.F_OFD_GETLK, unix.F_OFD_SETLK, unix.F_OFD_SETLKW:
		if le.Uint32(b[24:]) != 0 {
			return 0, unix.EINVAL // as Linux has it
		}
		want.owner, want.pid = o, -1
	}
	key, err := lockKey(o)
	if err != nil {
		return 0, err
	}
	t := &k.p.tree.records
	if cmd == unix.F_GETLK || cmd == unix.F_OFD_GETLK {
		if typ == unix.F_UNLCK {
			return 0, unix.EINVAL
		}
		r, found := t.conflict(key, &want)
		if !found {
			le.PutUint16(b[0:], unix.F_UNLCK)
			return 0, k.write(addr, b[:])
		}
		le.PutUint16(b[0:], unix.F_RDLCK)
		if r.exclusive {
			le.PutUint16(b[0:], unix.F_WRLCK)
		}
		le.PutUint16(b[2:], unix.SEEK_SET)
		le.PutUint64(b[8:], uint64(r.start))
		le.PutUint64(b[16:], uint64(r.end-r.start))
		if r.end == math.MaxInt64 {
			le.PutUint64(b[16:], 0)
		}
		le.PutUint32(b[24:], uint32(r.pid))
		return 0, k.write(addr, b[:])
	}
	switch {
	case typ == unix.F_UNLCK:
		return 0, t.set(key, want, true)
	case typ == unix.F_RDLCK && !o.readable(), typ == unix.F_WRLCK && !o.writable():
		return 0, unix.EBADF
	case cmd == unix.F_SETLKW, cmd == unix.F_OFD_SETLKW:
		return 0, k.waitRecord(key, want)
	}
	return 0, t.set(key, want, false)
}

// lockRange is the range that struct flock means: from start on, or before it when
// the length is negative, or to the end when it is 0.
func (o *openFile) lockRange(whence int, start, length int64) (lo, hi int64, err error) {
	base := int64(0)
	switch whence {
	case unix.SEEK_SET:
	case unix.SEEK_CUR:
		if base, err = o.file.Seek(0, unix.SEEK_CUR); err != nil {
			return 0, 0, err
		}
	case unix.SEEK_END:
		st, err := o.file.Stat()
		if err != nil {
			return 0, 0, err
		}
		base = st.Size
	default:
		return 0, 0, unix.EINVAL
	}
	if base < 0 || start > math.MaxInt64-base {
		return 0, 0, unix.EOVERFLOW
	}
	lo = base + start
	switch {
	case lo < 0:
		return 0, 0, unix.EINVAL
	case length == 0:
		return lo, math.MaxInt64, nil
	case length > 0:
		if length > math.MaxInt64-lo {
			return 0, 0, unix.EOVERFLOW
		}
		return lo, lo + length, nil
	case length < -lo: // lo+length would be negative
		return 0, 0, unix.EINVAL
	}
	return lo + length, lo, nil
}
