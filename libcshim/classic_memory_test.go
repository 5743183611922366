package libcshim

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/internal/nexe"
	"github.com/halite-run/halite/libcshim/namespace"
)

// handled lets faults go on behind the record that raised them, and denied says that a
// function of driver.s raises one: its result is then a context, which lies on the
// main stack, above everything that the tests put into memory.
func (s *script) handled() { s.t.Helper(); s.call(87, 0, s.fns["handler"], 0) }

func (s *script) denied(name string, args ...uint64) {
	s.t.Helper()
	s.add(name+" that is denied", s.fns[name], 0, func(v uint64) bool { return v>>24 == 0xff }, args)
}

// access says what can be done with a word of memory that is 0.
func (s *script) access(at uint64, prot int) {
	s.t.Helper()
	if prot&unix.PROT_READ == 0 {
		s.denied("peek", at)
	} else {
		s.peek(at, 0)
	}
	if prot&unix.PROT_WRITE == 0 {
		s.denied("poke", at, 1)
	} else {
		s.fn("poke", at, at, 0)
	}
}

// mounted gives the script files in /w, on the host or in memory, and returns the
// host's directory.
func (s *script) mounted(place string) string {
	s.t.Helper()
	dir := s.t.TempDir()
	var fs namespace.FS = namespace.NewMemory(namespace.MemoryConfig{Identity: testID})
	if place == "host" {
		w, err := namespace.HostDir(dir, testID)
		check(s.t, err)
		fs = w
	}
	s.cfg.Namespace = namespace.New()
	check(s.t, s.cfg.Namespace.Mount("/w", fs, namespace.MountOptions{}))
	return dir
}

// file makes /w/NAME with size bytes, of which the word at each of the places is its
// own place plus one, and opens it; the descriptor is fd.
func (s *script) file(name string, fd int64, size uint64, places ...uint64) {
	s.t.Helper()
	path, at := s.str("/w/"+name), s.word(size)
	s.call(10, fd, path, unix.O_CREAT|unix.O_RDWR, 0o600)
	s.call(52, 0, uint64(fd), at)
	for _, p := range places {
		s.call(131, 4, uint64(fd), s.u32(uint32(p)+1), 4, s.word(p))
	}
}

// Arguments of mmap.
const (
	mapAnon    = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS
	mapPrivate = unix.MAP_PRIVATE | unix.MAP_FIXED
	mapShared  = unix.MAP_SHARED | unix.MAP_FIXED
	protRW     = unix.PROT_READ | unix.PROT_WRITE
	noFD       = 0xffffffff
)

// inPlaces runs a test with files on the host and in memory.
func inPlaces(t *testing.T, f func(t *testing.T, s *script, dir string)) {
	for _, place := range []string{"memory", "host"} {
		t.Run(place, func(t *testing.T) {
			s := newScript(t)
			f(t, s, s.mounted(place))
		})
	}
}

// TestClassicProtect: what mprotect and munmap say is what the processor does, on
// every page of theirs and on no other.
func TestClassicProtect(t *testing.T) {
	s := newScript(t)
	const at, page, size = 0x20000000, 0x10000, 4 * 0x10000
	zero := s.word(0)
	s.handled()
	s.call(21, at, at, size, unix.PROT_READ, mapAnon, noFD, zero)
	for _, prot := range []int{unix.PROT_READ, unix.PROT_NONE, protRW, unix.PROT_READ} {
		s.call(24, 0, at, size, uint64(prot))
		for off := uint64(0); off < size; off += page {
			s.access(at+off, prot)
			s.access(at+off+page-4, prot)
		}
	}
	// A part of it, of which the last page is named by its first byte.
	s.call(24, 0, at+page, page+1, protRW)
	for off := uint64(0); off < size; off += page {
		prot := unix.PROT_READ
		if off == page || off == 2*page {
			prot = protRW
		}
		s.access(at+off+0x5000, prot)
	}
	// Partly or wholly not mapped.
	s.fails(24, unix.EACCES, at+3*page, 2*page, protRW)
	s.access(at+3*page, unix.PROT_READ)
	s.fails(24, unix.EACCES, at+size, page, unix.PROT_READ)
	// Without its second page; unmapping it twice is no error.
	s.call(22, 0, at+page, 1024)
	s.call(22, 0, at+page, page)
	s.access(at, unix.PROT_READ)
	s.access(at+page, unix.PROT_NONE)
	s.access(at+2*page-4, unix.PROT_NONE)
	s.access(at+2*page, protRW)
	s.fails(24, unix.EACCES, at, 2*page, unix.PROT_READ)
	s.call(22, 0, at, size)
	for off := uint64(0); off < size; off += page {
		s.access(at+off, unix.PROT_NONE)
	}
	// Where no program may map anything.
	for _, low := range []uint64{0x8000, 0x0} {
		s.fails(21, unix.EINVAL, low, page, protRW, mapAnon|unix.MAP_FIXED, noFD, zero)
	}
	s.access(0xffff0000, unix.PROT_NONE) // the last page of all
	s.run()
}

// TestClassicLarge: 128 MiB of each kind, and a word near the top of the sandbox by way
// of an address above it.
func TestClassicLarge(t *testing.T) {
	s := newScript(t)
	const size, end = 128 << 20, nexe.DataAddr + 0x20000
	s.call(20, end+size, end+size)
	s.access(end+size-4, protRW)
	s.call(21, driverTop-size, 0, size, protRW, mapAnon, noFD, s.word(0))
	s.access(driverTop-size, protRW)
	s.access(driverTop-4, protRW)
	s.fn("top", 0x55)
	s.run()
}

// TestClassicOvermap: memory that is mapped anew while another thread writes to it is
// there at every moment.
func TestClassicOvermap(t *testing.T) {
	s := newScript(t)
	const at, page = 0x20000000, 0x10000
	zero := s.word(0)
	s.call(21, at, at, page, protRW, mapAnon, noFD, zero)
	s.fn("poke", driverShared+0x60, driverShared+0x60, at)
	s.call(80, 0, s.fns["adder"], driverShared-0x800, driverShared, 0)
	s.fn("remap", at, at, 5000)
	s.fn("poke", driverShared+0x20, driverShared+0x20, 1)
	s.waitWord(0)
	s.run()
	if s.load32(driverShared+0x64) == 0 {
		t.Error("the thread has written nothing")
	}
}

// TestClassicMapFile: of a file that is smaller than what is mapped there is as much as
// there are pages of 4 KiB, and the rest can't be touched, but is taken.
func TestClassicMapFile(t *testing.T) {
	inPlaces(t, func(t *testing.T, s *script, dir string) {
		const at, page = 0x20000000, 0x10000
		s.handled()
		s.file("small", 3, 100, 0)
		s.file("large", 4, 2*page, 0, page, 2*page-4)
		zero, one := s.word(0), s.word(page)
		s.call(21, at, at, 2*page, unix.PROT_READ, unix.MAP_PRIVATE, 3, zero)
		s.peek(at, 1)
		s.access(at+4, unix.PROT_READ) // behind the file's end, in its page
		s.access(at+0x1000, unix.PROT_NONE)
		s.access(at+0xfffc, unix.PROT_NONE)
		s.access(at+page, unix.PROT_NONE)
		s.call(21, at+2*page, at, page, protRW, mapAnon, noFD, zero)
		s.call(22, 0, at, 2*page)
		s.call(21, at, at, page, unix.PROT_READ, unix.MAP_PRIVATE, 4, one)
		s.peek(at, page+1)
		s.peek(at+page-4, 2*page-3)
		s.fails(21, unix.EINVAL, 0, page, unix.PROT_READ, unix.MAP_PRIVATE, 4, s.word(0x100))
		s.fails(21, unix.EBADF, 0, page, unix.PROT_READ, unix.MAP_PRIVATE, 0xfffffffd, zero)
		// At the end exactly there is nothing, behind it an error.
		s.call(21, at+0x100000, at+0x100000, page, unix.PROT_READ, mapPrivate, 4, s.word(2*page))
		s.access(at+0x100000, unix.PROT_NONE)
		s.fails(21, unix.EINVAL, at+0x200000, page, unix.PROT_READ, mapPrivate, 4, s.word(3*page))
		s.run()
	})
}

// TestClassicMapTail: what is behind the file's last page stays out of reach whatever
// mprotect is asked for.
func TestClassicMapTail(t *testing.T) {
	inPlaces(t, func(t *testing.T, s *script, dir string) {
		const at, page = 0x20000000, 0x10000
		zero := s.word(0)
		s.handled()
		s.file("small", 3, 100)
		for i, flags := range []uint64{mapPrivate, mapShared} {
			at := uint64(at + i<<20)
			s.call(21, int64(at), at, 2*page, unix.PROT_NONE, flags, 3, zero)
			s.access(at, unix.PROT_NONE)
			for _, prot := range []int{protRW, unix.PROT_READ, protRW} {
				s.call(24, 0, at, 2*page, uint64(prot))
				s.access(at+0x80, prot)
				s.access(at+0x1000, unix.PROT_NONE)
				s.access(at+page, unix.PROT_NONE)
			}
			s.call(22, 0, at, 2*page)
			s.call(21, int64(at), at, 2*page, protRW, mapAnon, noFD, zero)
			s.access(at+page, protRW)
		}
		s.run()
	})
}

// TestClassicMapViews: views of a file that are shared show each other's writes, and
// those of write; a private one keeps its own.
func TestClassicMapViews(t *testing.T) {
	inPlaces(t, func(t *testing.T, s *script, dir string) {
		const page, one, two, own, read = 0x10000, 0x20000000, 0x20100000, 0x20200000, 0x20300000
		s.handled()
		s.file("f", 3, 3*page, 0, page, 2*page)
		zero, second := s.word(0), s.word(page)
		s.call(21, one, one, 3*page, protRW, mapShared, 3, zero)
		s.call(21, two, two, page, protRW, mapShared, 3, second)
		s.call(21, own, own, 3*page, protRW, mapPrivate, 3, zero)
		s.call(21, read, read, 3*page, unix.PROT_READ, mapPrivate, 3, zero)
		s.peek(two, page+1)
		s.fn("poke", one+page, one+page, 7)
		for _, at := range []uint64{two, own + page, read + page} {
			s.peek(at, 7)
		}
		s.call(131, 4, 3, s.u32(8), 4, second)
		for _, at := range []uint64{one + page, two, own + page, read + page} {
			s.peek(at, 8)
		}
		s.fn("poke", own+page, own+page, 9)
		s.peek(two, 8)
		s.fn("poke", two, two, 10)
		for at, want := range map[uint64]uint32{one + page: 10, own + page: 9, read + page: 10, own: 1, own + 2*page: 2*page + 1} {
			s.peek(at, want)
		}
		// Contents survive a change of protection, in each page alone.
		s.call(24, 0, own, 3*page, unix.PROT_NONE)
		s.call(24, 0, own+page, page, unix.PROT_READ)
		s.peek(own+page, 9)
		s.access(own+8, unix.PROT_NONE)
		s.denied("poke", own+page, 1)
		// One mapping in another's place.
		s.call(21, one+page, one+page, page, protRW, mapPrivate, 3, zero)
		s.peek(one+page, 1)
		s.peek(one+2*page, 2*page+1)
		s.fn("poke", one+page, one+page, 11)
		s.peek(one, 1)
		s.run()
	})
}

// TestClassicMapReadOnly: nothing is written to a file that was opened for reading.
func TestClassicMapReadOnly(t *testing.T) {
	inPlaces(t, func(t *testing.T, s *script, dir string) {
		const page, at, own = 0x10000, 0x20000000, 0x20100000
		zero := s.word(0)
		s.handled()
		s.file("f", 3, page, 0)
		s.call(10, 4, s.str("/w/f"), unix.O_RDONLY, 0)
		s.call(10, 5, s.str("/w/f"), unix.O_WRONLY, 0)
		s.fails(21, unix.EACCES, at, page, protRW, mapShared, 4, zero)
		s.fails(21, unix.EACCES, at, page, protRW, mapShared, 5, zero)
		s.fails(21, unix.EACCES, at, page, unix.PROT_READ, mapPrivate, 5, zero)
		s.call(21, at, at, page, unix.PROT_READ, mapShared, 4, zero)
		s.call(21, own, own, page, protRW, mapPrivate, 4, zero)
		s.fails(24, unix.EACCES, at, page, protRW)
		s.fails(24, unix.EACCES, at, page, unix.PROT_WRITE)
		s.denied("poke", at, 99)
		s.call(24, 0, at, page, unix.PROT_NONE)
		s.call(24, 0, at, page, unix.PROT_READ)
		s.fn("poke", own, own, 99)
		s.peek(at, 1)
		buf := s.space(4)
		s.call(130, 4, 3, buf, 4, zero)
		s.peek(buf, 1)
		s.run()
		if b, err := os.ReadFile(filepath.Join(dir, "f")); err == nil && b[0] != 1 {
			t.Errorf("the file has % x", b[:4])
		}
	})
}

// TestClassicMapDevices: what is no file and no memory is not mapped.
func TestClassicMapDevices(t *testing.T) {
	s := newScript(t)
	s.cfg.Stderr = io.Discard // not the test's own, which may be a file
	zero := s.word(0)
	buf := s.space(16)
	s.call(10, 3, s.str("/dev/null"), unix.O_RDWR, 0)
	s.call(10, 4, s.str("/"), unix.O_RDONLY, 0)
	s.call(70, 5)
	for fd := range uint64(6) {
		s.fails(21, unix.ENODEV, 0, 0x10000, unix.PROT_READ, unix.MAP_PRIVATE, fd, zero)
	}
	// The null device takes everything and gives nothing.
	s.call(20, nexe.DataAddr+0x20000+1<<20, nexe.DataAddr+0x20000+1<<20)
	s.call(13, 1<<20, 3, nexe.DataAddr+0x20000, 1<<20)
	s.call(12, 0, 3, buf, 16)
	s.run()
	if b := s.memory(buf, 16); !bytes.Equal(b, make([]byte, 16)) {
		t.Errorf("% x", b)
	}
}

// TestClassicNewMapping: a mapping is in the list, in its place, with what may be done
// with it.
func TestClassicNewMapping(t *testing.T) {
	s := newScript(t)
	const at, n = 0x20000000, 10
	before, after := s.space(20*n), s.space(20*n)
	s.call(25, 5, before, n)
	s.call(21, at, at, 0x10000, protRW, mapAnon, noFD, s.word(0))
	s.call(25, 6, after, n)
	s.run()
	a, b := s.memory(before, 20*n), s.memory(after, 20*n)
	const i = 4 * 20 // behind the data, before the stack
	if !bytes.Equal(a[:i], b[:i]) || !bytes.Equal(a[i:i+20], b[i+20:i+40]) {
		t.Error("other entries have changed")
	}
	for j, want := range []uint32{at, 0x10000, 3, 3, 0} {
		if got := le.Uint32(b[i+4*j:]); got != want {
			t.Errorf("word %d: %#x, want %#x", j, got, want)
		}
	}
	for j := 20; j < 6*20; j += 20 {
		if end := le.Uint32(b[j-20:]) + le.Uint32(b[j-16:]); le.Uint32(b[j:]) < end {
			t.Errorf("an entry begins at %#x, the one before ends at %#x", le.Uint32(b[j:]), end)
		}
	}
}

// TestClassicBSS: a program whose data are nothing but zeroes.
func TestClassicBSS(t *testing.T) {
	s := newScript(t)
	s.run() // what follows is about its code alone
	p := nexe.Program(32, s.code, nil, nil)
	p.Segments = append(p.Segments, nexe.Segment{Type: nexe.Load, Flags: nexe.R | nexe.W, Addr: nexe.DataAddr, MemSize: 0x20000})
	file := filepath.Join(t.TempDir(), "bss.nexe")
	check(t, os.WriteFile(file, p.Bytes(), 0o644))
	proc, err := NewProcess(Config{Program: "/bin/prog", Namespace: newTree(t, file, "")})
	check(t, err)
	defer proc.Close()
	status, err := proc.Run(t.Context())
	if err != nil || status.Status() != 0 {
		t.Errorf("%v %v", status, err)
	}
	b := make([]byte, 0x1f000)
	check(t, proc.mem.Read(nexe.DataAddr, b))
	if !bytes.Equal(b, make([]byte, len(b))) {
		t.Error("there was something in the data")
	}
}
