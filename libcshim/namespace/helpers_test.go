package namespace

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

var me = Identity{UID: 1000, GID: 1000}

// tree makes a host directory of name -> contents; a name that ends in a slash is
// a directory, contents that begin with "->" make a symbolic link.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		switch {
		case name[len(name)-1] == '/':
			err = os.MkdirAll(full, 0o755)
		case len(content) > 2 && content[:2] == "->":
			err = os.Symlink(content[2:], full)
		default:
			err = os.WriteFile(full, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func mountAt(t *testing.T, n *Namespace, path string, fs FS, o MountOptions) {
	t.Helper()
	if err := n.Mount(path, fs, o); err != nil {
		t.Fatal(err)
	}
}

// hosted is a namespace with a host directory at a path.
func hosted(t *testing.T, path, dir string, o MountOptions) *Namespace {
	t.Helper()
	n := New()
	fs, err := HostDir(dir, me)
	if err != nil {
		t.Fatal(err)
	}
	mountAt(t, n, path, fs, o)
	t.Cleanup(func() { n.Close() })
	return n
}

func read(t *testing.T, n *Namespace, name string) (string, error) {
	t.Helper()
	f, _, err := n.Open("/", name, unix.O_RDONLY, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var buf [256]byte
	k, err := f.Read(buf[:])
	return string(buf[:k]), err
}

func write(t *testing.T, n *Namespace, name, text string) error {
	t.Helper()
	f, _, err := n.Open("/", name, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Write([]byte(text))
	return err
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if err != want {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// bothWalks runs a test with openat2 and with the walk by hand.
func bothWalks(t *testing.T, f func(t *testing.T)) {
	t.Run("openat2", f)
	t.Run("byhand", func(t *testing.T) {
		was := noOpenat2.Swap(true)
		defer noOpenat2.Store(was)
		f(t)
	})
}
