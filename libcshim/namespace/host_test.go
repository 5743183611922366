package namespace

import (
	"archive/zip"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"

	"golang.org/x/sys/unix"
)

func names(t *testing.T, n *Namespace, dir string) []string {
	t.Helper()
	f, _, err := n.Open("/", dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatalf("%s: %v", dir, err)
	}
	defer f.Close()
	list, err := f.ReadDir()
	if err != nil {
		t.Fatalf("%s: %v", dir, err)
	}
	var out []string
	for _, e := range list {
		out = append(out, e.Name)
	}
	slices.Sort(out)
	return out
}

func TestMountTable(t *testing.T) {
	n := hosted(t, "/usr/share/data", tree(t, map[string]string{"a": "A", "sub/hidden": "H"}), MountOptions{})
	mountAt(t, n, "/usr/share/data/sub", NewMemory(MemoryConfig{Identity: me}), MountOptions{})
	mountAt(t, n, "/tmp", NewMemory(MemoryConfig{Identity: me}), MountOptions{})
	for dir, want := range map[string][]string{
		"/": {"tmp", "usr"}, "/usr": {"share"}, "/usr/share": {"data"}, "/usr/share/data": {"a", "sub"}, "/usr/share/data/sub": nil,
	} {
		if got := names(t, n, dir); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", dir, got, want)
		}
	}
	if st, _, err := n.Stat("/", "/usr/share", true); err != nil || !st.IsDir() {
		t.Errorf("a directory that leads to a mount: %v %v", st, err)
	}
	wantErr(t, "mkdir in it", n.Mkdir("/", "/usr/x", 0o755), unix.EROFS)
	wantErr(t, "rmdir of it", n.Rmdir("/", "/usr"), unix.EBUSY)
	wantErr(t, "rmdir of a mount point", n.Rmdir("/", "/tmp"), unix.EBUSY)
	_, _, err := n.Rename("/", "/tmp", "/", "/tmp2", 0)
	if err != unix.EBUSY && err != unix.EXDEV {
		t.Errorf("rename of a mount point: %v", err)
	}
	if err := write(t, n, "/usr/share/data/sub/f", "x"); err != nil {
		t.Error(err)
	}
	if p, err := n.Chdir("/usr", "share/../share/data/sub/.."); p != "/usr/share/data" {
		t.Errorf("chdir: %q %v", p, err)
	}
}

func TestHostFiles(t *testing.T) {
	dir := t.TempDir()
	n := hosted(t, "/m", dir, MountOptions{})
	old := unix.Umask(0o077)
	err := write(t, n, "/m/f", "hello")
	merr := n.Mkdir("/", "/m/d", 0o755)
	unix.Umask(old)
	if err != nil || merr != nil {
		t.Fatal(err, merr)
	}
	for name, want := range map[string]uint32{"/m/f": unix.S_IFREG | 0o644, "/m/d": unix.S_IFDIR | 0o755} {
		if st, _, err := n.Stat("/", name, true); err != nil || st.Mode != want {
			t.Errorf("%s: mode %o, %v: the host's umask shows", name, st.Mode, err)
		} else if st.UID != 1000 {
			t.Errorf("%s: owner %d", name, st.UID)
		}
	}
	_, _, err = n.Open("/", "/m/f", unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, 0o600)
	wantErr(t, "O_EXCL", err, unix.EEXIST)
	if err := n.Symlink("f", "/", "/m/l"); err != nil {
		t.Fatal(err)
	}
	_, _, err = n.Open("/", "/m/l", unix.O_RDONLY|unix.O_NOFOLLOW, 0)
	wantErr(t, "O_NOFOLLOW", err, unix.ELOOP)
	_, _, err = n.Open("/", "/m/l", unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY, 0o600)
	wantErr(t, "O_EXCL over a link", err, unix.EEXIST)
	if target, err := n.Readlink("/", "/m/l"); target != "f" {
		t.Errorf("readlink: %q %v", target, err)
	}
	_, err = n.Readlink("/", "/m/f")
	wantErr(t, "readlink of a file", err, unix.EINVAL)
	if err := n.Symlink("new", "/", "/m/dangling"); err != nil {
		t.Fatal(err)
	}
	if err := write(t, n, "/m/dangling", "made"); err != nil {
		t.Errorf("creating through a dangling link: %v", err)
	}
	if got, _ := os.ReadFile(filepath.Join(dir, "new")); string(got) != "made" {
		t.Errorf("the link's target: %q", got)
	}
	if err := n.Chmod("/", "/m/f", 0o4700, true); err != nil {
		t.Error(err)
	}
	if st, _, _ := n.Stat("/", "/m/f", true); st.Mode&0o7777 != 0o700 {
		t.Errorf("mode %o: set-user-id must not be given", st.Mode)
	}
	wantErr(t, "chown to somebody else", n.Chown("/", "/m/f", 0, 0, true), unix.EPERM)
	wantErr(t, "chown to oneself", n.Chown("/", "/m/f", 1000, -1, true), nil)
	if err := n.Utimens("/", "/m/f", [2]unix.Timespec{{Sec: 1}, {Sec: 2, Nsec: 3}}, true); err != nil {
		t.Error(err)
	}
	if st, _, _ := n.Stat("/", "/m/f", true); st.Mtim != (unix.Timespec{Sec: 2, Nsec: 3}) {
		t.Errorf("mtime %v", st.Mtim)
	}
	if _, _, err := n.Rename("/", "/m/f", "/", "/m/d/g", 0); err != nil {
		t.Error(err)
	}
	_, _, err = n.Rename("/", "/m/d/g", "/", "/m/new", unix.RENAME_NOREPLACE)
	wantErr(t, "RENAME_NOREPLACE", err, unix.EEXIST)
	wantErr(t, "rmdir of a full directory", n.Rmdir("/", "/m/d"), unix.ENOTEMPTY)
	wantErr(t, "unlink of a directory", n.Unlink("/", "/m/d"), unix.EISDIR)
	wantErr(t, "rmdir of .", n.Rmdir("/", "/m/d/."), unix.EINVAL)
	if err := n.Unlink("/m/d", "g"); err != nil {
		t.Error(err)
	}
	if err := n.Rmdir("/", "/m/d/"); err != nil {
		t.Error(err)
	}
}

func TestAppend(t *testing.T) {
	for name, n := range map[string]*Namespace{
		"host": hosted(t, "/m", t.TempDir(), MountOptions{}),
		"memory": func() *Namespace {
			n := New()
			mountAt(t, n, "/m", NewMemory(MemoryConfig{Identity: me}), MountOptions{})
			return n
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			if err := write(t, n, "/m/f", "one"); err != nil {
				t.Fatal(err)
			}
			f, _, err := n.Open("/", "/m/f", unix.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := f.SetAppend(true); err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write([]byte("two")); err != nil {
				t.Fatal(err)
			}
			if err := f.SetAppend(false); err != nil {
				t.Fatal(err)
			}
			if pos, err := f.Seek(1, unix.SEEK_SET); pos != 1 || err != nil {
				t.Fatal(pos, err)
			}
			if _, err := f.Write([]byte("N")); err != nil {
				t.Fatal(err)
			}
			if got, _ := read(t, n, "/m/f"); got != "oNetwo" {
				t.Errorf("%q", got)
			}
			if k, err := f.ReadAt(make([]byte, 10), 100); k != 0 || err != nil {
				t.Errorf("behind the end: %d %v", k, err)
			}
			if _, err := f.Seek(-1, unix.SEEK_SET); err != unix.EINVAL {
				t.Errorf("a negative position: %v", err)
			}
		})
	}
}

func TestSingleFile(t *testing.T) {
	dir := tree(t, map[string]string{"prog": "PROG", "other": "OTHER", "link": "->prog"})
	n := New()
	defer n.Close()
	fs, err := HostFile(filepath.Join(dir, "link"), me)
	if err != nil {
		t.Fatal(err)
	}
	mountAt(t, n, "/bin/prog", fs, MountOptions{ReadOnly: true})
	if got, err := read(t, n, "/bin/prog"); got != "PROG" {
		t.Errorf("%q %v", got, err)
	}
	if got := names(t, n, "/bin"); !slices.Equal(got, []string{"prog"}) {
		t.Errorf("/bin: %v", got)
	}
	for _, name := range []string{"/bin/prog/other", "/bin/prog/../other", "/bin/other"} {
		if _, err := read(t, n, name); err == nil {
			t.Errorf("%s was opened", name)
		}
	}
	wantErr(t, "unlink", n.Unlink("/", "/bin/prog"), unix.EBUSY)
	if _, err := HostFile(dir, me); err == nil {
		t.Error("a directory was accepted as a file")
	}
}

func TestFromFS(t *testing.T) {
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for i := range 3 {
		f, err := w.Create(fmt.Sprintf("dir/f%d.txt", i))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(f, "contents %d", i)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
	if err != nil {
		t.Fatal(err)
	}
	n := New()
	mountAt(t, n, "/zip", FromFS(z, me), MountOptions{})
	mountAt(t, n, "/map", FromFS(fstest.MapFS{"a/b": {Data: []byte("B")}}, me), MountOptions{})
	if got := names(t, n, "/zip/dir"); len(got) != 3 {
		t.Errorf("%v", got)
	}
	if got, err := read(t, n, "/zip/dir/f1.txt"); got != "contents 1" {
		t.Errorf("%q %v", got, err)
	}
	f, _, err := n.Open("/", "/zip/dir/f2.txt", unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if pos, err := f.Seek(-1, unix.SEEK_END); pos != 9 || err != nil {
		t.Errorf("seeking in a compressed file: %d %v", pos, err)
	}
	var b [4]byte
	if k, err := f.Read(b[:]); k != 1 || b[0] != '2' || err != nil {
		t.Errorf("reading at the end: %d %q %v", k, b[:k], err)
	}
	if got, err := read(t, n, "/map/a/b"); got != "B" {
		t.Errorf("%q %v", got, err)
	}
	wantErr(t, "write", write(t, n, "/zip/new", "x"), unix.EROFS)
	wantErr(t, "write over", write(t, n, "/zip/dir/f1.txt", "x"), unix.EROFS)
}

// The kernel's word on a file is given for files of the host alone: what others serve could
// have any numbers, those of a library that another domain loads among them.
func TestHostStat(t *testing.T) {
	dir := tree(t, map[string]string{"f": "x"})
	n := hosted(t, "/host", dir, MountOptions{})
	mountAt(t, n, "/io", FromFS(os.DirFS(dir), Identity{}), MountOptions{})
	memory := NewMemory(MemoryConfig{})
	mountAt(t, n, "/memory", memory, MountOptions{})
	if err := write(t, n, "/memory/f", "x"); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/host", "/io", "/memory"} {
		f, _, err := n.Open("/", path+"/f", unix.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var want unix.Stat_t
		if err := unix.Stat(dir+"/f", &want); err != nil {
			t.Fatal(err)
		}
		switch st, ok := HostStat(f); {
		case ok != (path == "/host"):
			t.Errorf("%s: %v", path, ok)
		case ok && (st.Ino != want.Ino || st.Dev != want.Dev || st.Ctim != want.Ctim):
			t.Errorf("%+v, want %+v", st, want)
		}
	}
	d, _, err := n.Open("/", "/host", unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if st, ok := HostStat(d); ok && st.Mode&unix.S_IFMT == unix.S_IFREG {
		t.Error("a directory is a regular file")
	}
}
