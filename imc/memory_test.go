package imc

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// memfd makes a memory file.
func memfd(t *testing.T, size int64, flags int, sealed int) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC|flags)
	must(t, err)
	f := os.NewFile(uintptr(fd), "memfd")
	t.Cleanup(func() { f.Close() })
	must(t, f.Truncate(size))
	if sealed != 0 {
		_, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, sealed)
		must(t, err)
	}
	return f
}

// reopened is the same file, open otherwise.
func reopened(t *testing.T, f *os.File, flags int) *os.File {
	t.Helper()
	r, err := os.OpenFile(procPath(f), flags, 0)
	must(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

func procPath(f *os.File) string { return filepath.Join("/proc/self/fd", strconv.Itoa(int(f.Fd()))) }

func TestSharedMemoryFile(t *testing.T) {
	descriptors := descriptorsOf(t)
	f := memfd(t, 2*MapGranule, unix.MFD_ALLOW_SEALING, 0)
	_, err := f.WriteAt([]byte("before"), 0)
	must(t, err)
	m, err := NewSharedMemoryFile(f)
	must(t, err)
	if m.Size() != 2*MapGranule || !m.Writable() {
		t.Error(m.Size(), m.Writable())
	}
	// It can't be cut off any more, nor grow.
	want(t, f.Truncate(0), unix.EPERM)
	want(t, f.Truncate(4*MapGranule), unix.EPERM)
	v, err := m.Map()
	must(t, err)
	if string(v.Bytes[:6]) != "before" {
		t.Errorf("%q", v.Bytes[:6])
	}
	copy(v.Bytes[MapGranule:], "after")
	b := make([]byte, 5)
	_, err = f.ReadAt(b, MapGranule)
	must(t, err)
	if string(b) != "after" {
		t.Errorf("%q", b)
	}
	must(t, v.Unmap())
	// There and back, as a child would do it; and through a message to another process.
	out, err := m.File()
	must(t, err)
	again, err := NewSharedMemoryFile(out)
	must(t, err)
	must(t, out.Close())
	x, y, err := Kernel.ConnectedPair()
	must(t, err)
	must(t, x.Send(within(t), nil, again))
	third := one[*SharedMemory](t, y)
	if third.Size() != m.Size() || !third.Writable() {
		t.Error(third.Size(), third.Writable())
	}
	// Open for reading alone: neither it nor a file made of it can be written.
	ro, err := NewSharedMemoryFile(reopened(t, f, os.O_RDONLY))
	must(t, err)
	sealedWrite := memfd(t, MapGranule, unix.MFD_ALLOW_SEALING, unix.F_SEAL_WRITE)
	sw, err := NewSharedMemoryFile(sealedWrite)
	must(t, err)
	for _, m := range []*SharedMemory{ro, sw} {
		if m.Writable() {
			t.Error("it is writable")
		}
		file, err := m.File()
		must(t, err)
		if _, err := file.WriteAt([]byte("x"), 0); err == nil {
			t.Error("its file is writable")
		}
		must(t, file.Close())
		v, err := m.Map()
		must(t, err)
		must(t, v.Unmap())
		must(t, m.Close())
	}
	for _, d := range []Desc{m, again, third, x, y} {
		must(t, d.Close())
	}
	_, err = m.File()
	want(t, err, unix.EBADF)
	if n := descriptorsOf(t) - 3; n > descriptors { // the three files of this test
		t.Errorf("%d descriptors before, %d after", descriptors, n)
	}
}

// What is no memory that can be relied on is refused, and nothing is left open.
func TestSharedMemoryFileHostile(t *testing.T) {
	disk, err := os.Create(filepath.Join(t.TempDir(), "f"))
	must(t, err)
	defer disk.Close()
	must(t, disk.Truncate(MapGranule))
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	defer w.Close()
	null, err := os.Open("/dev/null")
	must(t, err)
	defer null.Close()
	dir, err := os.Open("/dev/shm")
	must(t, err)
	defer dir.Close()
	unsealed := memfd(t, MapGranule, unix.MFD_ALLOW_SEALING, 0)
	closed := memfd(t, MapGranule, 0, 0)
	_ = closed.Close()
	good := memfd(t, MapGranule, unix.MFD_ALLOW_SEALING, seals)
	pathFD, err := unix.Open(procPath(good), unix.O_PATH, 0)
	must(t, err)
	path := os.NewFile(uintptr(pathFD), "path")
	defer path.Close()
	list := map[string]*os.File{
		"a file on a disk":         disk,
		"a pipe":                   r,
		"a device":                 null,
		"a directory":              dir,
		"made without sealing":     memfd(t, MapGranule, 0, 0),
		"sealed against sealing":   memfd(t, MapGranule, unix.MFD_ALLOW_SEALING, unix.F_SEAL_SEAL),
		"half sealed":              memfd(t, MapGranule, unix.MFD_ALLOW_SEALING, unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL),
		"empty":                    memfd(t, 0, unix.MFD_ALLOW_SEALING, 0),
		"a byte too long":          memfd(t, MapGranule+1, unix.MFD_ALLOW_SEALING, 0),
		"a page":                   memfd(t, 4096, unix.MFD_ALLOW_SEALING, 0),
		"2 GiB":                    memfd(t, 1<<31, unix.MFD_ALLOW_SEALING, 0),
		"as long as can be":        memfd(t, 1<<62, unix.MFD_ALLOW_SEALING, 0),
		"for writing alone":        reopened(t, good, os.O_WRONLY),
		"not sealed, not writable": reopened(t, unsealed, os.O_RDONLY),
		"a path":                   path,
		"closed":                   closed,
	}
	if dev, err := os.OpenFile("/dev/shm", unix.O_TMPFILE|os.O_RDWR, 0o600); err == nil {
		defer dev.Close()
		must(t, dev.Truncate(MapGranule))
		list["a file in a tmpfs"] = dev
	}
	before := descriptorsOf(t)
	for name, f := range list {
		m, err := NewSharedMemoryFile(f)
		if err == nil {
			t.Errorf("%s: accepted, %d bytes", name, m.Size())
			_ = m.Close()
			continue
		}
		t.Logf("%s: %v", name, err)
	}
	if after := descriptorsOf(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}
