package libcshim

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/imc"
	"github.com/halite-run/halite/internal/nexe"
	"github.com/halite-run/halite/libcshim/namespace"
)

// Where mmap puts things: below the main stack.
const driverTop = 0xff000000

// TestClassicNumbers: what is no call says so, and nothing that a guest may call
// does harm.
func TestClassicNumbers(t *testing.T) {
	s := newScript(t)
	s.call(1, 0)
	for _, n := range []uint32{0, 2, 7, 15, 29, 34, 51, 59, 67, 78, 90, 99, 107, 113, 119, 122, 132, 139, 148, 149, 109, 111, 112} {
		s.fails(n, unix.ENOSYS)
	}
	for _, n := range []uint32{151, 160, 161, 162, 200, 255, 512, 1024, 1025, 1026, 1027, 1087, 1088, 2000, 2045} {
		s.fails(n, unix.EINVAL, 1, 2, 3)
	}
	for kind := range uint64(5) {
		s.fails(110, unix.EINVAL, kind)
	}
	s.call(32, 0)
	s.add("getpid", trampoline(31), 0, func(v uint64) bool { return v > 0 && v < 1<<31 }, nil)
	// Priorities: three are known, the rest is a plain -1.
	for n, want := range map[int64]int64{-5: 0, 0: 0, 5: 0, 1: -1, 100: -1} {
		s.call(83, want, uint64(n))
	}
	out := s.space(4)
	for name, want := range map[uint64]uint32{2: 65536, 0x1000000: 1, 0x1000001: 1, 0x1000002: 0} {
		s.call(33, 0, name, out)
		s.peek(out, want)
	}
	processors, features := s.space(4), s.space(4)
	s.call(33, 0, 1, processors)
	s.call(33, 0, 0x10000, features)
	s.fails(33, unix.EINVAL, 77, out)
	s.fails(33, unix.EINVAL, 0xffffffff, out)
	s.fails(33, unix.EFAULT, 2, 0)
	s.fails(33, unix.EFAULT, 2, nexe.RodataAddr)
	s.call(82, 0, driverShared)
	s.call(84, driverShared)
	s.fails(82, unix.EFAULT, 0)
	s.fails(82, unix.EFAULT, 0xfffffffd)
	s.call(85, 0, 0xfffffff0)
	s.call(86, 0xfffffff0)
	s.run()
	if n := s.load32(processors); n < 1 || n > 1<<16 {
		t.Errorf("%d processors", n)
	}
	if f := s.load32(features); f&3 != 3 || f&^7 != 0 {
		t.Errorf("processor features %#x", f)
	}
}

func TestClassicTime(t *testing.T) {
	s := newScript(t)
	buf := s.bytes(bytes.Repeat([]byte{0xff}, 32))
	s.call(40, 0, buf)
	s.fails(40, unix.EFAULT, 0)
	s.fails(40, unix.EFAULT, nexe.RodataAddr)
	ts := s.space(16)
	for id := range uint64(4) {
		s.call(44, 0, id, ts)
		s.call(43, 0, id, ts)
		s.call(43, 0, id, 0)
		s.fails(44, unix.EFAULT, id, 0)
	}
	s.fails(44, unix.EINVAL, 4, ts)
	s.fails(43, unix.EINVAL, 0xffffffff, ts)
	s.call(44, 0, 1<<32|1, ts) // only the lower half of an argument counts
	s.any(41)
	short := s.bytes(le.AppendUint32(le.AppendUint64(nil, 0), 1e6))
	s.call(42, 0, short, 0)
	s.fails(42, unix.EFAULT, 0, 0)
	s.fails(42, unix.EINVAL, s.bytes(le.AppendUint32(le.AppendUint64(nil, 0), 1e9)), 0)
	s.fails(42, unix.EINVAL, s.bytes(le.AppendUint32(le.AppendUint64(nil, 1<<63), 0)), 0)
	s.run()
	if sec := s.load64(buf); sec < 1e9 || s.load32(buf+8) >= 1e6 {
		t.Errorf("gettimeofday: %d s %d", sec, s.load32(buf+8))
	}
}

// TestClassicClocks: a sleep takes as long as it was to, work takes processor time, and
// the time of day is that of the host.
func TestClassicClocks(t *testing.T) {
	s := newScript(t)
	var before, after [4]uint64
	for id := range before {
		before[id], after[id] = s.space(16), s.space(16)
		s.call(44, 0, uint64(id), before[id])
	}
	const pause = 30e6
	s.call(42, 0, s.bytes(le.AppendUint32(le.AppendUint64(nil, 0), pause)), 0)
	day := s.space(16)
	s.call(40, 0, day)
	start, end := s.space(16), s.space(16)
	s.call(44, 0, 2, start)
	// 16 MiB of zeroes
	s.call(20, nexe.DataAddr+0x20000+16<<20, nexe.DataAddr+0x20000+16<<20)
	s.call(20, nexe.DataAddr+0x20000, nexe.DataAddr+0x20000)
	s.call(20, nexe.DataAddr+0x20000+16<<20, nexe.DataAddr+0x20000+16<<20)
	s.call(44, 0, 2, end)
	for id := range after {
		s.call(44, 0, uint64(id), after[id])
	}
	first := time.Now()
	s.run()
	last := time.Now()
	ns := func(at uint64) int64 { return int64(s.load64(at))*1e9 + int64(int32(s.load32(at+8))) }
	if d := ns(after[1]) - ns(before[1]); d < pause {
		t.Errorf("a sleep of %v took %v", time.Duration(pause), time.Duration(d))
	}
	for id := range before {
		if ns(after[id]) <= ns(before[id]) {
			t.Errorf("clock %d went from %d to %d", id, ns(before[id]), ns(after[id]))
		}
	}
	if ns(before[3]) < ns(before[2]) {
		t.Errorf("the thread's clock, %d, is behind the process's, %d", ns(before[3]), ns(before[2]))
	}
	if ns(end) <= ns(start) {
		t.Errorf("work took %d ns", ns(end)-ns(start))
	}
	if us := int64(s.load64(day))*1e6 + int64(s.load32(day+8)); us < first.UnixMicro() || us > last.UnixMicro() {
		t.Errorf("it is between %v and %v, not %v", first, last, time.UnixMicro(us))
	}
}

func TestClassicRandom(t *testing.T) {
	s := newScript(t)
	buf := s.space(64)
	s.call(150, 0, buf, 48)
	s.call(150, 0, buf, 0)
	s.fails(150, unix.EFAULT, 0, 4)
	s.fails(150, unix.EFAULT, 0xfffffff0, 32)
	one, two := s.space(16), s.space(16)
	s.call(150, 0, one, 16)
	s.call(150, 0, two, 16)
	s.run()
	if bytes.Equal(s.memory(one, 16), s.memory(two, 16)) {
		t.Error("the same bytes twice")
	}
	b := s.memory(buf, 64)
	if bytes.Equal(b[:48], make([]byte, 48)) || !bytes.Equal(b[48:], make([]byte, 16)) {
		t.Errorf("% x", b)
	}
}

func TestClassicMemory(t *testing.T) {
	s := newScript(t)
	zero, unit := s.word(0), s.word(0x10000)
	odd, negative := s.word(0x100), s.word(1<<63)
	const anon, private, shared, fixed = unix.MAP_ANONYMOUS, unix.MAP_PRIVATE, unix.MAP_SHARED, unix.MAP_FIXED
	const r, rw = unix.PROT_READ, unix.PROT_READ | unix.PROT_WRITE
	none := uint64(0xffffffff)
	at := func(n int64) uint64 { return uint64(driverTop - n*0x10000) }
	// From the top downwards, in pages of 64 KiB.
	s.call(21, int64(at(1)), 0, 1, rw, private|anon, none, zero)
	s.call(21, int64(at(2)), 0, 0x10000, rw, private|anon, none, zero)
	s.call(21, int64(at(4)), 0, 0x10001, r, shared|anon, none, zero)
	s.fn("poke", uint64(uint32(at(1)+0xfffc)), at(1)+0xfffc, 7)
	s.peek(at(1)+0xfffc, 7)
	s.peek(at(2), 0)
	// A hint: the lowest gap above; one that is odd is cut.
	s.call(21, 0x20000000, 0x20000123, 0x10000, rw, private|anon, none, zero)
	s.call(21, 0x20010000, 0x20000000, 0x10000, rw, private|anon, none, zero)
	s.call(21, int64(at(5)), 0xfffe0000, 0x10000, rw, private|anon, none, zero)
	// What is refused, in NaCl's order.
	s.fails(21, unix.EFAULT, 0, 0x10000, rw, private|anon, none, 0)
	s.fails(21, unix.EBADF, 0, 0x10000, rw, private, 77, zero)
	s.fails(21, unix.EINVAL, 0, 0x10000, unix.PROT_EXEC, private|anon, none, zero)
	s.fails(21, unix.EINVAL, 0x30000, 0x10000, unix.PROT_EXEC|rw, private|anon|fixed, none, zero)
	s.fails(21, unix.EINVAL, 0x20000100, 0x10000, rw, private|anon|fixed, none, zero)
	s.fails(21, unix.EINVAL, 0, 0x10000, rw, private|anon, none, odd)
	s.fails(21, unix.EINVAL, 0, 0x10000, rw, private|anon, none, negative)
	s.fails(21, unix.EINVAL, 0, 0, rw, private|anon, none, zero)
	s.fails(21, unix.EINVAL, 0, 0xffffffff, rw, private|anon, none, zero)
	s.fails(21, unix.ENOMEM, 0, 0xfff00000, rw, private|anon, none, zero)
	s.fails(21, unix.EINVAL, 0xffff0000, 0x20000, rw, private|anon|fixed, none, zero)
	for _, low := range []uint64{0, 0x10000, 0x20000, 0x30000, nexe.RodataAddr - 0x10000} {
		s.fails(21, unix.EINVAL, low, 0x10000, rw, private|anon|fixed, none, zero)
	}
	s.fails(21, unix.EINVAL, 0, 0x10000, rw, anon, none, zero)
	s.fails(21, unix.EINVAL, 0, 0x10000, rw, private|shared|anon, none, zero)
	s.fails(21, unix.ENODEV, 0, 0x10000, r, private, 0, zero) // a stream
	_ = unit
	// mprotect and munmap.
	s.call(24, 0, at(4), 0x20000, rw)
	s.fn("poke", uint64(uint32(at(4))), at(4), 5)
	s.call(24, 0, at(4)+0x10000, 1, 0)
	s.fails(24, unix.EINVAL, at(4)+4096, 1, r)
	s.fails(24, unix.EACCES, at(4), 0x10000, unix.PROT_EXEC|r)
	s.fails(24, unix.EACCES, 0x20000, 0x10000, rw)
	s.fails(24, unix.EACCES, 0x30000, 0x10000, r)
	s.fails(24, unix.EACCES, 0x70000000, 0x10000, r)
	s.fails(24, unix.EFAULT, 0, 0x10000, r)
	s.fails(24, unix.EFAULT, 0xffff0000, 0x20000, r)
	s.call(24, 0, nexe.RodataAddr, 0x10000, rw) // NaCl allows it
	s.call(22, 0, at(2), 1)
	s.call(22, 0, at(2), 1)
	s.fails(22, unix.EINVAL, at(2)+4096, 1)
	s.fails(22, unix.EINVAL, at(2), 0)
	s.fails(22, unix.EINVAL, at(2), 0xffffffff)
	s.fails(22, unix.EFAULT, 0, 0x10000)
	for _, low := range []uint64{0x10000, 0x20000, 0x30000} {
		s.fails(22, unix.EINVAL, low, 0x10000)
	}
	s.call(21, int64(at(2)), 0, 0x10000, rw, private|anon, none, zero)
	s.run()
}

// TestClassicBreak: it moves over unused addresses only, and what comes back is zero.
//
// Attack: growing over the edge.
func TestClassicBreak(t *testing.T) {
	s := newScript(t)
	const end = nexe.DataAddr + 0x20000
	zero := s.word(0)
	s.call(20, end, 0)
	s.call(20, end, 0xffffffff)
	s.call(20, end, end-1)
	s.call(20, end+0x123456, end+0x123456)
	s.fn("poke", end+0x123450, end+0x123450, 0x55)
	s.call(20, end+0x100000, end+0x100000)
	s.peek(end+0x123450, 0x55) // its pages stay
	s.call(20, end+0x200000, end+0x200000)
	s.peek(end+0x123450, 0)
	s.call(21, end+0x300000, end+0x300000, 0x10000, 3, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED, 0xffffffff, zero)
	s.call(20, end+0x300000, end+0x300000)
	s.call(20, end+0x300000, end+0x300001)
	s.run()
}

func TestClassicMappings(t *testing.T) {
	s := newScript(t)
	buf := s.space(20 * 20)
	s.call(25, 5, buf, 20)
	s.call(25, 5, buf+200, 1)
	s.fails(25, unix.EFAULT, 0, 20)
	s.fails(25, unix.EFAULT, buf, 0xffffffff)
	s.run()
	want := [][5]uint32{
		{0x10000, 0x10000, 5, 5, 0}, {0x20000, 0x10000, 5, 5, 0}, {nexe.RodataAddr, 0x10000, 1, 3, 0},
		{nexe.DataAddr, 0x20000, 3, 3, 0}, {driverTop, 0xff0000, 3, 3, 0},
	}
	for i, w := range want {
		for j, v := range w {
			if got := s.load32(buf + uint64(20*i+4*j)); got != v {
				t.Errorf("entry %d, word %d: %#x, want %#x", i, j, got, v)
			}
		}
	}
	if s.load32(buf+220) != 0 {
		t.Error("more was written than there was room for")
	}
}

// TestClassicFiles goes through the calls on files and directories.
func TestClassicFiles(t *testing.T) {
	for _, place := range []string{"memory", "host"} {
		t.Run(place, func(t *testing.T) { classicFiles(t, place) })
	}
}

func classicFiles(t *testing.T, place string) {
	s := newScript(t)
	dir := t.TempDir()
	ns := namespace.New()
	if place == "host" {
		w, err := namespace.HostDir(dir, testID)
		check(t, err)
		check(t, ns.Mount("/w", w, namespace.MountOptions{}))
	} else {
		check(t, ns.Mount("/w", namespace.NewMemory(namespace.MemoryConfig{Identity: testID}), namespace.MountOptions{}))
	}
	s.cfg.Namespace = ns
	const creat, rdwr, excl, trunc, directory = unix.O_CREAT, unix.O_RDWR, unix.O_EXCL, unix.O_TRUNC, unix.O_DIRECTORY
	file, sub, link, soft := s.str("/w/file"), s.str("/w/sub"), s.str("/w/link"), s.str("/w/soft")
	text, buf, stat := s.str("hello world"), s.space(64), s.space(104)
	four := s.word(4)
	s.fails(10, unix.ENOENT, file, 0, 0)
	s.fails(10, unix.EFAULT, 0, 0, 0)
	s.fails(10, unix.ENAMETOOLONG, s.str(strings.Repeat("a/", 600)), 0, 0)
	s.call(10, 3, file, creat|rdwr, 0o666)
	s.fails(10, unix.EEXIST, file, creat|excl|rdwr, 0o666)
	s.fails(10, unix.EINVAL, file, 3, 0)
	s.fails(10, unix.ENOTDIR, file, directory, 0)
	s.call(13, 11, 3, text, 11)
	s.fails(13, unix.EFAULT, 3, 0, 0)
	s.fails(13, unix.EFAULT, 3, text, 0xffffffff)
	s.fails(13, unix.EBADF, 77, text, 0xffffffff)
	s.call(13, 0, 3, text, 0)
	pos := s.word(6)
	s.call(14, 0, 3, pos, unix.SEEK_SET)
	s.call(12, 5, 3, buf, 64)
	s.call(12, 0, 3, buf+32, 64)
	s.fails(12, unix.EFAULT, 3, 0, 4)
	s.fails(14, unix.EINVAL, 3, pos, 5)
	s.fails(14, unix.EINVAL, 3, s.word(^uint64(99)), unix.SEEK_CUR)
	s.fails(14, unix.EFAULT, 3, 0, 0)
	s.fails(14, unix.EBADF, 77, 0, 0)
	back := s.word(^uint64(2)) // -3
	s.call(14, 0, 3, back, unix.SEEK_END)
	s.call(130, 4, 3, buf+8, 4, four)
	s.call(131, 2, 3, text, 2, four)
	s.fails(130, unix.EINVAL, 3, buf, 4, s.word(1<<63))
	s.fails(130, unix.EFAULT, 3, buf, 4, 0)
	s.call(17, 0, 3, stat)
	s.fails(17, unix.EBADF, 0xffffffff, stat)
	s.fails(17, unix.EFAULT, 3, 0)
	s.call(52, 0, 3, four)
	s.call(26, 0, 3)
	s.call(27, 0, 3)
	s.fails(19, unix.ENOTTY, 3)
	s.fails(19, unix.EBADF, 77)
	s.call(8, 4, 3)
	s.call(9, 20, 3, 20)
	s.call(9, 3, 3, 3)
	s.fails(9, unix.EINVAL, 77, 4096)
	s.fails(9, unix.EINVAL, 3, 0xffffffff)
	s.fails(9, unix.EBADF, 77, 5)
	s.call(11, 0, 4)
	s.fails(11, unix.EBADF, 4)
	// Names.
	s.call(45, 0, sub, 0o755)
	s.fails(45, unix.EEXIST, sub, 0o755)
	s.call(142, 0, file, link)
	s.call(144, 0, s.str("file"), soft)
	s.fails(144, unix.EEXIST, s.str("file"), soft)
	s.call(146, 3, soft, buf+16, 3)
	s.call(141, 0, soft, stat)
	s.peek(stat+16, unix.S_IFLNK|0o700)
	s.call(16, 0, soft, stat)
	s.call(143, 0, link, s.str("/w/renamed"))
	s.call(18, 0, s.str("/w/renamed"), 0o477)
	s.call(16, 0, s.str("/w/renamed"), stat)
	s.peek(stat+16, unix.S_IFREG|0o400)
	s.call(18, 0, s.str("/w/renamed"), 0o600)
	s.call(28, 0, 3, 0o600)
	s.call(145, 0, file, 4)
	s.fails(145, unix.EINVAL, file, 8)
	s.fails(145, unix.ENOENT, s.str("/w/none"), 0)
	s.call(147, 0, file, s.bytes(append(le.AppendUint64(le.AppendUint64(nil, 1000), 5), le.AppendUint64(le.AppendUint64(nil, 2000), 6|1<<32)...)))
	s.call(147, 0, file, 0)
	s.fails(147, unix.EINVAL, file, s.bytes(le.AppendUint64(le.AppendUint64(make([]byte, 16), 0), 1e6)))
	s.call(140, 0, file, s.word(100))
	s.call(16, 0, file, stat)
	s.peek(stat+40, 100)
	s.call(49, 0, s.str("/w/renamed"))
	s.fails(49, unix.ENOENT, s.str("/w/renamed"))
	// Directories.
	s.call(47, 0, sub)
	s.call(48, 0, buf+24, 7)
	s.fails(48, unix.ERANGE, buf+24, 6)
	s.fails(48, unix.EINVAL, buf+24, 0)
	s.call(10, 4, s.str(".."), rdwr, 0)
	s.fails(10, unix.EEXIST, s.str(".."), creat|excl, 0)
	s.call(50, 0, 4)
	s.fails(50, unix.EINVAL, 3)
	ents := s.space(512)
	s.add("getdents", trampoline(23), 0, func(v uint64) bool { return v == 24+24+32*3-8 || v > 0 && v < 512 && v%8 == 0 }, []uint64{4, ents, 512})
	s.call(23, 0, 4, ents+256, 256)
	s.call(14, 0, 4, s.word(0), 0)
	s.fails(23, unix.EINVAL, 4, ents+256, 8)
	s.fails(23, unix.EINVAL, 4, ents+257, 64)
	s.fails(23, unix.EINVAL, 3, ents+256, 64)
	s.add("read of a directory", trampoline(12), 0, func(v uint64) bool { return v == 24 }, []uint64{4, ents + 256, 24})
	s.fails(13, unix.EINVAL, 4, text, 1)
	s.call(46, 0, sub)
	s.fails(46, unix.ENOENT, sub)
	// The file in memory, mapped: 64 KiB of which a page is there.
	s.call(21, 0x30000000, 0x30000000, 0x20000, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_FIXED, 3, s.word(0))
	s.peek(0x30000000, uint32('h')|uint32('e')<<8|uint32('l')<<16|uint32('l')<<24)
	s.fails(21, unix.EINVAL, 0, 0x10000, unix.PROT_READ, unix.MAP_PRIVATE, 3, s.word(0x10000))
	s.fails(21, unix.ENODEV, 0, 0x10000, unix.PROT_READ, unix.MAP_PRIVATE, 4, s.word(0))
	s.run()
	b := s.memory(buf, 64)
	if string(b[:5]) != "world" || string(b[8:12]) != "o wo" || string(b[16:19]) != "fil" || b[19] != 0 || string(b[24:31]) != "/w/sub\x00" {
		t.Errorf("read %q", b)
	}
	if s.load64(back) != 8 || s.load64(pos) != 6 {
		t.Errorf("positions %d %d", s.load64(back), s.load64(pos))
	}
	names := map[string]bool{}
	d := s.memory(ents, 256)
	for len(d) > 18 {
		n := int(le.Uint16(d[16:]))
		if n == 0 {
			break
		}
		names[string(d[18:18+bytes.IndexByte(d[18:], 0)])] = true
		d = d[n:]
	}
	for _, want := range []string{".", "..", "file", "sub", "soft"} {
		if !names[want] {
			t.Errorf("the directory has no %s: %v", want, names)
		}
	}
	if place == "host" {
		if got, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || len(got) != 100 || string(got[:5]) != "hell\x00" {
			t.Errorf("%q %v", got, err)
		}
	}
}

// TestClassicOutside: names lead nowhere beyond what was granted.
func TestClassicOutside(t *testing.T) {
	s := newScript(t)
	for _, name := range []string{"/etc/passwd", "/w/../etc/passwd", "../../../etc/passwd", "/proc/1/mem", "/proc/self/mem"} {
		s.add("open "+name, trampoline(10), 0, func(v uint64) bool { return v > 0xffffff00 }, []uint64{s.str(name), 0, 0})
	}
	s.run()
}

// TestClassicIMC: pairs of sockets, shared memory, and messages with both.
func TestClassicIMC(t *testing.T) {
	s := newScript(t)
	fds := s.space(8)
	s.call(66, 0, fds)
	s.peek(fds, 3)
	s.peek(fds+4, 4)
	s.call(13, 0, 1, fds, 0)
	s.call(11, 0, 3)
	s.call(11, 0, 4)
	s.call(60, 0, fds)
	s.call(62, 5, 4)
	s.call(61, 6, 3)
	s.call(65, 7, 0x20000)
	s.fails(65, unix.EINVAL, 100)
	zero := s.word(0)
	s.call(21, 0x40000000, 0x40000000, 0x20000, 3, unix.MAP_SHARED|unix.MAP_FIXED, 7, zero)
	s.fn("poke", 0x40000000, 0x40000000, 0x1234)
	s.fails(21, unix.EINVAL, 0x40000000, 0x20000, 3, unix.MAP_PRIVATE|unix.MAP_FIXED, 7, zero)
	text := s.str("message")
	iov, descs := s.u32(uint32(text), 8), s.u32(7)
	s.call(63, 8, 5, s.u32(uint32(iov), 1, uint32(descs), 1, 0), 0)
	in := s.space(16)
	inv, got := s.u32(uint32(in), 16), s.u32(0xffffffff, 0xffffffff)
	header := s.u32(uint32(inv), 1, uint32(got), 2, 0)
	s.call(64, 8, 6, header, 0)
	s.peek(got, 8)
	s.peek(header+12, 1)
	s.call(21, 0x50000000, 0x50000000, 0x20000, 1, unix.MAP_SHARED|unix.MAP_FIXED, 8, zero)
	s.peek(0x50000000, 0x1234)
	s.fails(64, unix.EAGAIN, 6, header, 1)
	s.fails(63, unix.EFAULT, 5, 0, 0)
	// Locks are descriptors in this ABI, and can't be sent.
	s.call(70, 9)
	s.call(74, 10)
	s.call(100, 11, 1)
	for fd := range uint32(3) {
		s.fails(63, unix.EIO, 5, s.u32(uint32(iov), 1, uint32(s.u32(9+fd)), 1, 0), 0)
	}
	s.fails(64, unix.EAGAIN, 6, header, 1)
	s.run()
	if b := s.memory(in, 8); string(b) != "message\x00" {
		t.Errorf("%q", b)
	}
}

// TestClassicDomains: two domains send each other messages through descriptors that
// both were given.
func TestClassicDomains(t *testing.T) {
	a, b := imc.NewDataPair()
	defer a.Close()
	defer b.Close()
	message := func(s *script, buf uint64, n uint32) uint64 { return s.u32(uint32(s.u32(uint32(buf), n)), 1, 0, 0, 0) }
	ping, pong := newScript(t), newScript(t)
	ping.cfg.Descriptors, pong.cfg.Descriptors = map[int]imc.Desc{10: a}, map[int]imc.Desc{10: b}
	ping.call(63, 8, 10, message(ping, ping.str("question"), 8), 0)
	answer, question := ping.space(16), pong.space(16)
	ping.call(64, 6, 10, message(ping, answer, 16), 0)
	pong.call(64, 8, 10, message(pong, question, 16), 0)
	pong.call(63, 6, 10, message(pong, pong.str("answer"), 6), 0)
	done := make(chan struct{})
	pong.load()
	go func() {
		defer close(done)
		if status, err := pong.p.Run(within(t, 30*time.Second)); err != nil || status.Status() != 0 {
			t.Errorf("%v %v", status, err)
		}
	}()
	ping.run()
	<-done
	pong.results()
	if got := string(pong.memory(question, 8)) + " " + string(ping.memory(answer, 6)); got != "question answer" {
		t.Errorf("%q", got)
	}
}
