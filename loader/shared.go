package loader

import (
	"io"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/internal/lru"
)

// Revision tells one state of one file of the host from all others. It must come from the
// kernel: whoever could make one up would have his file taken for another.
type Revision struct {
	Dev, Ino     uint64
	Size         int64
	Mtime, Ctime unix.Timespec
}

// settled is how old a change has to be before the times of a file say that there was no
// other since: the clock of file systems has steps, up to two seconds.
const settled = 2 * time.Second

// RevisionOf is that of a regular file that did not change of late; ok is false for others.
func RevisionOf(st *unix.Stat_t) (v Revision, ok bool) {
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return Revision{}, false
	}
	before := time.Now().Add(-settled)
	if time.Unix(st.Mtim.Unix()).After(before) || time.Unix(st.Ctim.Unix()).After(before) {
		return Revision{}, false
	}
	return Revision{st.Dev, st.Ino, st.Size, st.Mtim, st.Ctim}, true
}

// ReadShared is ReadELF for a file that others may have read: who reads the same revision
// of it a second time, and from then on, gets the same File, whose contents stay in
// memory. revision is asked before and after reading.
func ReadShared(revision func() (Revision, bool), r io.ReaderAt, size int64, name string) (*File, error) {
	v, ok := revision()
	if !ok || v.Size != size {
		return ReadELF(r, size, name)
	}
	key := fileKey{v, name}
	f, seen := files.get(key)
	if f != nil {
		return f, nil
	}
	f, err := ReadELF(r, size, name)
	if err != nil || !seen {
		return f, err
	}
	if again, ok := revision(); ok && again == v {
		f = files.put(key, f)
	}
	return f, nil
}

// files remembers files, for all cages of the process. What is read once is not kept: a
// process that runs one program needs its memory for other things.
var files = newFileCache()

const (
	maxCachedFiles     = 512
	maxCachedFileBytes = 64 << 20
)

type fileKey struct {
	revision Revision
	name     string // which errors tell
}

type fileCache struct {
	mu sync.Mutex
	m  *lru.Map[fileKey, *File] // nil: read once
}

func newFileCache() *fileCache {
	return &fileCache{m: lru.New[fileKey, *File](maxCachedFiles, maxCachedFileBytes, nil)}
}

// get returns a file, or nil and whether it was asked for before.
func (c *fileCache) get(key fileKey) (f *File, seen bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f, seen = c.m.Get(key); !seen {
		c.m.Put(key, nil, 0)
	}
	return f, seen
}

// put keeps a file and returns the one to use: somebody else may have been faster.
func (c *fileCache) put(key fileKey, f *File) *File {
	c.mu.Lock()
	defer c.mu.Unlock()
	if first, _ := c.m.Get(key); first != nil {
		return first
	}
	if n := f.LoadedBytes(); n <= maxCachedFileBytes/4 {
		f.shared = true
		c.m.Put(key, f, n)
	}
	return f
}

// FlushFiles forgets all files. Those that are in use stay as they are.
func FlushFiles() {
	files.mu.Lock()
	defer files.mu.Unlock()
	files.m.Flush()
}
