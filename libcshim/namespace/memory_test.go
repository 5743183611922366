package namespace

import (
	"fmt"
	"io"
	"testing"

	"golang.org/x/sys/unix"
)

func memory(t *testing.T, c MemoryConfig) *Namespace {
	t.Helper()
	c.Identity = me
	n := New()
	mountAt(t, n, "/t", NewMemory(c), MountOptions{})
	t.Cleanup(func() { n.Close() })
	return n
}

func TestMemoryTree(t *testing.T) {
	n := memory(t, MemoryConfig{})
	wantErr(t, "mkdir", n.Mkdir("/", "/t/a", 0o755), nil)
	wantErr(t, "mkdir", n.Mkdir("/", "/t/a/b", 0o755), nil)
	wantErr(t, "mkdir again", n.Mkdir("/", "/t/a", 0o755), unix.EEXIST)
	wantErr(t, "write", write(t, n, "/t/a/f", "text"), nil)
	wantErr(t, "link", n.Link("/", "/t/a/f", "/", "/t/g", false), nil)
	if st, _, _ := n.Stat("/", "/t/g", true); st.Nlink != 2 || st.Size != 4 {
		t.Errorf("%+v", st)
	}
	_, _, err := n.Rename("/", "/t/a", "/", "/t/a/b/c", 0)
	wantErr(t, "a directory into itself", err, unix.EINVAL)
	_, _, err = n.Rename("/", "/t/g", "/", "/t/a/b", 0)
	wantErr(t, "a file over a directory", err, unix.EISDIR)
	_, _, err = n.Rename("/", "/t/a/b", "/", "/t/c", 0)
	wantErr(t, "a directory elsewhere", err, nil)
	if st, _, _ := n.Stat("/", "/t/a", true); st.Nlink != 2 {
		t.Errorf("links of the directory it left: %d", st.Nlink)
	}
	_, _, err = n.Rename("/", "/t/g", "/", "/t/c", unix.RENAME_EXCHANGE)
	wantErr(t, "exchange", err, nil)
	if st, _, _ := n.Stat("/", "/t/g", true); !st.IsDir() {
		t.Error("not exchanged")
	}
	wantErr(t, "symlink", n.Symlink("/t/a/f", "/", "/t/s"), nil)
	if got, _ := read(t, n, "/t/s"); got != "text" {
		t.Errorf("%q", got)
	}
	wantErr(t, "chmod", n.Chmod("/", "/t/a/f", 0o200, true), nil)
	_, err = read(t, n, "/t/a/f")
	wantErr(t, "a file that is not readable", err, unix.EACCES)
}

func TestMemoryUnlinkedFileLives(t *testing.T) {
	n := memory(t, MemoryConfig{MaxBytes: 1 << 20})
	f, _, err := n.Open("/", "/t/f", unix.O_CREAT|unix.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(1 << 20); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "unlink", n.Unlink("/", "/t/f"), nil)
	wantErr(t, "no room while it is open", write(t, n, "/t/g", "x"), unix.ENOSPC)
	f.Close()
	wantErr(t, "room again", write(t, n, "/t/g", "x"), nil)
}

func TestMemoryBounds(t *testing.T) {
	n := memory(t, MemoryConfig{MaxBytes: 1000, MaxInodes: 10})
	f, _, err := n.Open("/", "/t/f", unix.O_CREAT|unix.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if k, err := f.Write(make([]byte, 1500)); k != 1000 || err != nil {
		t.Errorf("writing more than there is room for: %d %v", k, err)
	}
	_, err = f.Write([]byte{1})
	wantErr(t, "a full disk", err, unix.EFBIG)
	wantErr(t, "a file of 2^62 bytes", f.Truncate(1<<62), unix.EFBIG)
	_, err = f.WriteAt([]byte{1}, 1<<62)
	wantErr(t, "a write at 2^62", err, unix.EFBIG)
	var last error
	for i := range 20 {
		if last = n.Mkdir("/", fmt.Sprintf("/t/d%d", i), 0o755); last != nil {
			break
		}
	}
	wantErr(t, "too many inodes", last, unix.ENOSPC)
	for i := range 20 {
		if last = n.Link("/", "/t/f", "/", fmt.Sprintf("/t/l%d", i), false); last != nil {
			break
		}
	}
	wantErr(t, "too many names of one file", last, unix.ENOSPC)
	wantErr(t, "rmdir", n.Rmdir("/", "/t/d0"), nil)
	wantErr(t, "room for a name again", n.Link("/", "/t/f", "/", "/t/l", false), nil)
	wantErr(t, "shrink", f.Truncate(10), nil)
	wantErr(t, "grow", f.Truncate(20), nil)
	b := make([]byte, 20)
	if k, _ := f.ReadAt(b, 0); k != 20 {
		t.Errorf("%d bytes", k)
	}
}

// TestMemoryMapped: a file that moved to kernel memory behaves as before.
func TestMemoryMapped(t *testing.T) {
	n := memory(t, MemoryConfig{})
	f, _, err := n.Open("/", "/t/f", unix.O_CREAT|unix.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write([]byte("before")); err != nil {
		t.Fatal(err)
	}
	h := Unwrap(f).(HostBacked).HostFile()
	if h == nil {
		t.Skip("no memfd")
	}
	if _, err := h.WriteAt([]byte("B"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(" after")); err != nil {
		t.Fatal(err)
	}
	if got, _ := read(t, n, "/t/f"); got != "Before after" {
		t.Errorf("%q", got)
	}
	wantErr(t, "truncate", f.Truncate(3), nil)
	all, err := io.ReadAll(io.NewSectionReader(h, 0, 100))
	if string(all) != "Bef" {
		t.Errorf("%q %v", all, err)
	}
}

type fakeFDs map[int]string

func (f fakeFDs) Numbers() []int             { return []int{0, 3} }
func (f fakeFDs) Name(fd int) (string, bool) { s, ok := f[fd]; return s, ok }

func TestGenerated(t *testing.T) {
	n := New()
	fds := fakeFDs{0: "pipe:[1]", 3: "/t/x"}
	mountAt(t, n, "/dev", Devices(me, fds, nil, nil), MountOptions{ReadOnly: true})
	mountAt(t, n, "/proc", Proc(ProcConfig{Identity: me, PID: 7, Exe: func() string { return "/bin/p" }, Descriptors: fds,
		Files: map[string]func() []byte{"cmdline": func() []byte { return []byte("p\x00") }}}), MountOptions{ReadOnly: true})
	f, _, err := n.Open("/", "/dev/null", unix.O_RDWR|unix.O_CREAT|unix.O_TRUNC, 0o600)
	if err == unix.EISDIR || err != nil {
		t.Fatalf("/dev/null as the shell opens it: %v", err)
	}
	if k, err := f.Write([]byte("x")); k != 1 || err != nil {
		t.Errorf("%d %v", k, err)
	}
	for _, name := range []string{"/dev/zero", "/dev/urandom", "/dev/full"} {
		if got, err := read(t, n, name); len(got) != 256 {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	for _, name := range []string{"/dev/stdin", "/dev/fd/0", "/proc/self/fd/0", "/proc/7/fd/3"} {
		f, _, err := n.Open("/", name, unix.O_RDONLY, 0)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, ok := Unwrap(f).(*DescriptorFile); !ok {
			t.Errorf("%s is %T", name, Unwrap(f))
		}
	}
	if target, err := n.Readlink("/", "/proc/self/fd/3"); target != "/t/x" {
		t.Errorf("the name of a descriptor: %q %v", target, err)
	}
	if target, err := n.Readlink("/", "/proc/self/exe"); target != "/bin/p" {
		t.Errorf("exe: %q %v", target, err)
	}
	if got, err := read(t, n, "/proc/self/cmdline"); got != "p\x00" {
		t.Errorf("cmdline: %q %v", got, err)
	}
	if _, err := read(t, n, "/dev/fd/4"); err != unix.ENOENT {
		t.Errorf("a descriptor that is not open: %v", err)
	}
	if got := names(t, n, "/proc/self/fd"); len(got) != 2 {
		t.Errorf("%v", got)
	}
	if got := names(t, n, "/dev"); len(got) < 8 {
		t.Errorf("%v", got)
	}
}
