package namespace

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// randomTree makes directories, files and links of all kinds below dir and
// returns the names.
func randomTree(t *testing.T, rnd *rand.Rand, dir string) []string {
	t.Helper()
	dirs := []string{""}
	var all []string
	name := func() string { return string(rune('a' + rnd.IntN(6))) }
	target := func() string {
		parts := make([]string, 1+rnd.IntN(4))
		for i := range parts {
			parts[i] = []string{name(), name(), "..", ".", ""}[rnd.IntN(5)]
		}
		s := strings.Join(parts, "/")
		if rnd.IntN(3) == 0 {
			s = "/" + s
		}
		if s == "" {
			s = "."
		}
		return s
	}
	for range 60 {
		n := dirs[rnd.IntN(len(dirs))] + "/" + name()
		full := filepath.Join(dir, n)
		var err error
		switch rnd.IntN(4) {
		case 0, 1:
			if err = os.Mkdir(full, 0o755); err == nil {
				dirs = append(dirs, n)
			}
		case 2:
			err = os.Symlink(target(), full)
		default:
			var f *os.File
			if f, err = os.OpenFile(full, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644); err == nil {
				f.Close()
			}
		}
		if err == nil {
			all = append(all, n)
		}
	}
	return all
}

// TestLikeKernel compares the resolution of names with the kernel's own, which
// can resolve in a root directory too (RESOLVE_IN_ROOT).
func TestLikeKernel(t *testing.T) {
	probe, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer probe.Close()
	if _, err := unix.Openat2(int(probe.Fd()), ".", &unix.OpenHow{Flags: unix.O_PATH, Resolve: unix.RESOLVE_IN_ROOT}); err != nil {
		t.Skip("no openat2:", err)
	}
	bothWalks(t, func(t *testing.T) {
		checked, found := 0, 0
		for seed := range uint64(12) {
			rnd := rand.New(rand.NewPCG(seed, 3))
			dir := t.TempDir()
			all := randomTree(t, rnd, dir)
			root, err := os.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			n := hosted(t, "/", dir, MountOptions{})
			for range 1500 {
				parts := make([]string, 1+rnd.IntN(6))
				for i := range parts {
					parts[i] = []string{string(rune('a' + rnd.IntN(6))), string(rune('a' + rnd.IntN(6))), "..", ".", ""}[rnd.IntN(5)]
				}
				name := strings.Join(parts, "/")
				if rnd.IntN(2) == 0 && len(all) > 0 {
					name = all[rnd.IntN(len(all))] + "/" + name
				}
				if name == "" {
					continue
				}
				follow := rnd.IntN(2) == 0
				got, _, gotErr := n.Stat("/", name, follow)
				flags := uint64(unix.O_PATH | unix.O_CLOEXEC)
				if !follow {
					flags |= unix.O_NOFOLLOW
				}
				var want unix.Stat_t
				fd, wantErr := -1, error(unix.EAGAIN)
				for wantErr == unix.EAGAIN { // a rename anywhere on the machine
					fd, wantErr = unix.Openat2(int(root.Fd()), name, &unix.OpenHow{Flags: flags, Resolve: unix.RESOLVE_IN_ROOT})
				}
				if wantErr == nil {
					wantErr = unix.Fstat(fd, &want)
					unix.Close(fd)
				}
				checked++
				if fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
					t.Errorf("seed %d, %q (follow %v): %v, the kernel says %v", seed, name, follow, gotErr, wantErr)
				} else if gotErr == nil {
					found++
					if got.Ino != want.Ino || got.Mode != want.Mode {
						t.Errorf("seed %d, %q (follow %v): inode %d, the kernel finds %d", seed, name, follow, got.Ino, want.Ino)
					}
				}
				if t.Failed() {
					t.FailNow()
				}
			}
			root.Close()
		}
		t.Logf("%d names, %d of them there", checked, found)
	})
}
