package libcshim

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/libcshim/namespace"
)

// TestClassicFilePositions: a descriptor's number is the lowest that is free; copies
// share their position, which pread and pwrite leave alone.
func TestClassicFilePositions(t *testing.T) {
	inPlaces(t, func(t *testing.T, s *script, dir string) {
		buf := s.space(64)
		s.call(10, 3, s.str("/w/f"), unix.O_CREAT|unix.O_RDWR, 0o644) // only the user's bits count
		s.call(13, 10, 3, s.str("0123456789"), 10)
		s.call(8, 4, 3)
		s.call(9, 20, 3, 20)
		s.call(9, 4, 20, 4)
		s.call(11, 0, 3)
		s.call(8, 3, 20)
		s.call(9, 0, 3, 0) // over standard input
		s.call(14, 0, 3, s.word(2), unix.SEEK_SET)
		s.call(12, 2, 0, buf, 2)
		s.call(131, 3, 20, s.str("abc"), 3, s.word(8))
		s.call(130, 4, 4, buf+8, 4, s.word(7))
		s.call(12, 3, 20, buf+2, 3)
		for whence, off := range []int64{7, 2, -2} {
			at := s.word(uint64(off))
			s.call(14, 0, 4, at, uint64(whence))
			s.peek(at, []uint32{7, 9, 9}[whence])
		}
		// A seek that fails leaves the position, and what says where to.
		before := s.word(^uint64(99))
		s.fails(14, unix.EINVAL, 4, before, unix.SEEK_CUR)
		s.fails(14, unix.EINVAL, 4, before, 3)
		s.call(12, 2, 3, buf+16, 60)
		s.call(12, 0, 3, buf+20, 20)
		// What is opened for appending is appended to, also with an offset.
		s.call(10, 5, s.str("/w/f"), unix.O_WRONLY|unix.O_APPEND, 0)
		s.call(13, 1, 5, s.str("z"), 1)
		s.call(131, 1, 5, s.str("X"), 1, s.word(0))
		s.call(130, 1, 3, buf+24, 1, s.word(0))
		s.fails(12, unix.EBADF, 5, buf, 1)
		s.run()
		if b := s.memory(buf, 26); string(b[:5]) != "23456" || string(b[8:12]) != "7abc" || string(b[16:20]) != "bc\x00\x00" || b[24] != '0' {
			t.Errorf("read %q", b)
		}
		if st, err := os.Stat(filepath.Join(dir, "f")); err == nil && st.Mode().Perm() != 0o600 {
			t.Errorf("the host's file has mode %v", st.Mode())
		}
		if s.load64(before) != ^uint64(99) {
			t.Errorf("a failed seek has stored %d", s.load64(before))
		}
	})
}

// TestClassicFileSizes: what grows is zero, what shrinks is gone, and links share it.
func TestClassicFileSizes(t *testing.T) {
	inPlaces(t, func(t *testing.T, s *script, dir string) {
		file, other := s.str("/w/f"), s.str("/w/g")
		buf, stat, lstat := s.bytes(bytes.Repeat([]byte{0xff}, 64)), s.space(104), s.space(104)
		s.call(10, 3, file, unix.O_CREAT|unix.O_RDWR, 0o600)
		s.call(13, 10, 3, s.str("0123456789"), 10)
		s.call(140, 0, file, s.word(4))
		s.call(52, 0, 3, s.word(12))
		s.call(130, 12, 3, buf, 64, s.word(0))
		s.call(142, 0, file, other)
		s.call(10, 4, other, unix.O_RDWR, 0)
		s.call(131, 1, 4, s.str("!"), 1, s.word(1))
		s.call(130, 4, 3, buf+16, 4, s.word(0))
		// What stat tells is what fstat tells, of one file by two names.
		s.call(16, 0, other, stat)
		s.call(17, 0, 3, lstat)
		s.peek(stat+20, 2)
		s.call(10, 5, file, unix.O_RDWR|unix.O_TRUNC, 0)
		s.call(12, 0, 4, buf+32, 4)
		s.fails(10, unix.EINVAL, file, unix.O_ACCMODE, 0)
		s.fails(52, unix.EINVAL, 3, s.word(1<<63))
		s.run()
		if b := s.memory(buf, 20); string(b[:12]) != "0123"+strings.Repeat("\x00", 8) || string(b[16:]) != "0!23" {
			t.Errorf("read %q", b)
		}
		if a, b := s.memory(stat, 104), s.memory(lstat, 104); !bytes.Equal(a, b) || le.Uint64(a[40:]) != 12 || le.Uint64(a[8:]) == 0 {
			t.Errorf("stat % x\nfstat % x", a, b)
		}
	})
}

// TestClassicFileModes: permissions hold for who has the file, and times are set to the
// second.
func TestClassicFileModes(t *testing.T) {
	s := newScript(t)
	s.mounted("memory")
	file, stat := s.str("/w/f"), s.space(104)
	s.call(10, 3, file, unix.O_CREAT|unix.O_RDWR, 0o666)
	s.call(17, 0, 3, stat)
	s.peek(stat+16, unix.S_IFREG|0o600)
	s.call(18, 0, file, 0o477)
	s.fails(10, unix.EACCES, file, unix.O_WRONLY, 0)
	s.fails(145, unix.EACCES, file, 2)
	s.call(145, 0, file, 4)
	s.call(10, 4, file, unix.O_RDONLY, 0)
	s.fails(13, unix.EBADF, 4, file, 1)
	s.call(28, 0, 3, 0o200)
	s.fails(10, unix.EACCES, file, unix.O_RDONLY, 0)
	times := le.AppendUint64(le.AppendUint64(nil, 1000), 5)
	s.call(147, 0, file, s.bytes(le.AppendUint64(le.AppendUint64(times, 2000), 6)))
	s.call(17, 0, 3, stat)
	s.peek(stat+56, 1000)
	s.peek(stat+72, 2000)
	s.call(147, 0, file, 0)
	now := s.space(104)
	s.call(16, 0, file, now)
	clock := s.space(16)
	s.call(44, 0, 0, clock)
	s.run()
	if m, c := s.load64(now+72), s.load64(clock); m < 1e9 || m > c || c-m > 1000 {
		t.Errorf("modified at %d, which is %d", m, c)
	}
}

// TestClassicWorkingDirectory: getcwd, chdir and fchdir, and a directory that is no more.
func TestClassicWorkingDirectory(t *testing.T) {
	inPlaces(t, func(t *testing.T, s *script, dir string) {
		buf := s.space(64)
		cwd := func(want string) {
			s.fn("poke", buf, buf, 0)
			s.call(48, 0, buf, 64)
			s.peek(buf, le.Uint32(append([]byte(want), 0, 0, 0)))
		}
		cwd("/")
		s.fails(48, unix.EINVAL, buf, 0)
		s.fails(48, unix.ERANGE, buf, 1)
		s.fails(48, unix.EFAULT, 0, 64)
		s.call(47, 0, s.str("/w"))
		s.fails(48, unix.ERANGE, buf, 2)
		s.call(48, 0, buf, 3)
		s.call(47, 0, s.str("."))
		cwd("/w")
		s.call(45, 0, s.str("a/"), 0o700)
		s.fails(45, unix.ENOENT, s.str("none/b"), 0o700)
		s.call(47, 0, s.str("a"))
		cwd("/w/a")
		s.call(47, 0, s.str(".."))
		cwd("/w")
		s.call(10, 3, s.str("."), unix.O_RDWR, 0)
		s.call(47, 0, s.str("a"))
		s.call(46, 0, s.str("/w/a/"))
		s.fails(10, unix.ENOENT, s.str("f"), unix.O_CREAT|unix.O_RDWR, 0o600)
		s.fails(48, unix.ENOENT, buf, 64)
		s.call(50, 0, 3)
		cwd("/w")
		s.fails(47, unix.ENOENT, s.str("a"))
		s.fails(47, unix.ENOENT, s.str(""))
		s.run()
	})
}

// TestClassicNames: what a name may be, and that dots go no further up than the root.
func TestClassicNames(t *testing.T) {
	inPlaces(t, func(t *testing.T, s *script, dir string) {
		root, stat := s.space(104), s.space(104)
		s.call(16, 0, s.str("/"), root)
		var same []uint64
		for _, name := range []string{"/..", "/../..", "/../.", "..", "../..", "/w/..", "/w/./.././..", "."} {
			at := s.space(104)
			s.call(16, 0, s.str(name), at)
			same = append(same, at)
		}
		s.call(45, 0, s.str("/w/sub"), 0o700)
		s.call(10, 3, s.str("/w/sub/../f"), unix.O_CREAT|unix.O_RDWR, 0o600)
		s.fails(10, unix.ENOENT, s.str("/w/none/../f"), 0, 0)
		s.fails(10, unix.ENOTDIR, s.str("/w/f/../f"), 0, 0)
		s.fails(10, unix.ENOTDIR, s.str("/w/f/"), 0, 0)
		s.fails(10, unix.ENOENT, s.str(""), 0, 0)
		s.call(10, 4, s.str("/w/..name"), unix.O_CREAT|unix.O_RDWR, 0o600)
		s.call(16, 0, s.str("/w/..name"), stat)
		s.fails(142, unix.EEXIST, s.str("/w/f"), s.str("/w/..name"))
		s.call(143, 0, s.str("/w/..name"), s.str("/w/f"))
		s.fails(16, unix.ENOENT, s.str("/w/..name"), stat)
		s.fails(49, unix.EISDIR, s.str("/w/sub"))
		s.fails(46, unix.ENOTDIR, s.str("/w/f"))
		s.fails(10, unix.EEXIST, s.str("/w/sub"), unix.O_CREAT|unix.O_EXCL, 0o600)
		// Links of either kind, which lead where the guest's tree says.
		buf := s.bytes(bytes.Repeat([]byte{'#'}, 16))
		s.call(144, 0, s.str("/w/f"), s.str("/w/soft"))
		s.call(146, 4, s.str("/w/soft"), buf, 16)
		s.call(146, 2, s.str("/w/soft"), buf+8, 2)
		s.call(10, 5, s.str("/w/soft"), unix.O_RDWR, 0)
		s.fails(146, unix.EINVAL, s.str("/w/f"), buf, 16)
		s.call(144, 0, s.str("../../../../etc/passwd"), s.str("/w/out"))
		s.fails(10, unix.ENOENT, s.str("/w/out"), unix.O_RDONLY, 0)
		s.call(143, 0, s.str("/w/soft"), s.str("/w/softer"))
		s.call(141, 0, s.str("/w/softer"), stat)
		s.peek(stat+16, unix.S_IFLNK|0o700)
		s.run()
		if b := s.memory(buf, 16); string(b) != "/w/f####/w######" {
			t.Errorf("readlink: %q", b)
		}
		for i, at := range same {
			if a, b := s.memory(root, 24), s.memory(at, 24); !bytes.Equal(a, b) {
				t.Errorf("name %d of the root: % x, want % x", i, b, a)
			}
		}
	})
}

// TestClassicDirectory: a directory's entries, twice, and no others.
func TestClassicDirectory(t *testing.T) {
	inPlaces(t, func(t *testing.T, s *script, dir string) {
		const size = 1024
		first, second := s.space(size), s.space(size)
		for _, name := range []string{"/w/one", "/w/two", "/w/three"} {
			s.call(45, 0, s.str(name), 0o700)
		}
		s.call(10, 3, s.str("/w"), unix.O_RDONLY|unix.O_DIRECTORY, 0)
		full := func(v uint64) bool { return v > 0 && v < size }
		s.add("getdents", trampoline(23), 0, full, []uint64{3, first, size})
		s.call(23, 0, 3, second, size)
		s.call(14, 0, 3, s.word(0), unix.SEEK_SET)
		s.add("getdents", trampoline(23), 0, full, []uint64{3, second, size})
		s.run()
		for _, at := range []uint64{first, second} {
			names := map[string]int{}
			for d := s.memory(at, size); le.Uint16(d[16:]) != 0; d = d[le.Uint16(d[16:]):] {
				name := string(d[18 : 18+bytes.IndexByte(d[18:], 0)])
				names[name]++
				if le.Uint64(d) == 0 || le.Uint16(d[16:])%8 != 0 {
					t.Errorf("%s: inode %d, %d bytes", name, le.Uint64(d), le.Uint16(d[16:]))
				}
			}
			if len(names) != 5 || names["."] != 1 || names[".."] != 1 || names["one"] != 1 || names["two"] != 1 || names["three"] != 1 {
				t.Errorf("entries %v", names)
			}
		}
	})
}

// TestClassicReadOnlyMount: a tree that is for reading is that for these calls too.
func TestClassicReadOnlyMount(t *testing.T) {
	s := newScript(t)
	dir, err := namespace.HostDir(t.TempDir(), testID)
	check(t, err)
	s.cfg.Namespace = namespace.New()
	check(t, s.cfg.Namespace.Mount("/w", dir, namespace.MountOptions{ReadOnly: true}))
	name, other := s.str("/w/f"), s.str("/w/g")
	s.fails(10, unix.EROFS, name, unix.O_CREAT|unix.O_RDWR, 0o600)
	s.fails(45, unix.EROFS, name, 0o700)
	s.fails(144, unix.EROFS, name, other)
	s.fails(145, unix.EROFS, s.str("/w"), 2)
	s.call(145, 0, s.str("/w"), 4)
	s.run()
}
