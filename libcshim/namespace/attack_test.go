package namespace

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// secret makes a directory with a mounted part and a secret beside it, and
// returns the namespace and the mounted directory.
func secret(t *testing.T, files map[string]string) (*Namespace, string) {
	t.Helper()
	all := map[string]string{"secret": "SECRET", "in/": "", "in/ok": "fine"}
	for name, content := range files {
		all["in/"+name] = content
	}
	dir := tree(t, all)
	return hosted(t, "/m", filepath.Join(dir, "in"), MountOptions{}), filepath.Join(dir, "in")
}

// mustNot fails if a name shows the secret.
func mustNot(t *testing.T, n *Namespace, names ...string) {
	t.Helper()
	for _, name := range names {
		if got, err := read(t, n, name); err == nil && strings.Contains(got, "SECRET") {
			t.Errorf("%s leads out: %q", name, got)
		}
	}
}

func TestDotDotStaysInside(t *testing.T) {
	bothWalks(t, func(t *testing.T) {
		n, _ := secret(t, nil)
		mustNot(t, n, "/m/../secret", "/m/../../secret", "/../../secret", "m/../../../secret", "/m/./.././secret")
		if got, err := read(t, n, "/../../m/../m/ok"); got != "fine" {
			t.Errorf(".. above the root: %q, %v", got, err)
		}
	})
}

func TestSymlinkOut(t *testing.T) {
	bothWalks(t, func(t *testing.T) {
		n, dir := secret(t, map[string]string{
			"rel": "->../secret", "up": "->..", "deep/": "", "deep/rel": "->../../secret", "chain": "->rel",
		})
		if err := os.Symlink(filepath.Join(filepath.Dir(dir), "secret"), filepath.Join(dir, "abs")); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("/", filepath.Join(dir, "root")); err != nil {
			t.Fatal(err)
		}
		mustNot(t, n, "/m/rel", "/m/up/secret", "/m/deep/rel", "/m/chain", "/m/abs", "/m/root/"+filepath.Dir(dir)+"/secret")
		// They are resolved in the guest's tree: /m/root is the guest's root.
		if got, err := read(t, n, "/m/root/m/ok"); got != "fine" {
			t.Errorf("an absolute link in the guest's tree: %q, %v", got, err)
		}
		// Nothing can be made or destroyed through them.
		wantErr(t, "create through a link", write(t, n, "/m/up/made", "x"), unix.EROFS)
		if _, err := os.Lstat(filepath.Join(filepath.Dir(dir), "made")); err == nil {
			t.Error("a file was made outside")
		}
	})
}

// TestRaceSymlink swaps a directory and a link to outside as fast as it can while
// names that go through it are used.
func TestRaceSymlink(t *testing.T) {
	bothWalks(t, func(t *testing.T) {
		n, dir := secret(t, map[string]string{"d/": "", "d/secret": "harmless"})
		outside := filepath.Dir(dir)
		if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
			t.Fatal(err)
		}
		d, link := filepath.Join(dir, "d"), filepath.Join(dir, "link")
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				select {
				case <-stop:
					return
				default:
				}
				// Exchange: the name d is the directory, then the link, ...
				if err := unix.Renameat2(unix.AT_FDCWD, d, unix.AT_FDCWD, link, unix.RENAME_EXCHANGE); err != nil {
					t.Error(err)
					return
				}
			}
		}()
		end := time.Now().Add(300 * time.Millisecond)
		tries, good := 0, 0
		for time.Now().Before(end) {
			tries++
			got, err := read(t, n, "/m/d/secret")
			if err == nil && got != "harmless" {
				t.Errorf("the race was won: %q", got)
				break
			}
			if err == nil {
				good++
			}
			_ = n.Unlink("/", "/m/d/../../secret")
			_ = n.Chmod("/", "/m/d/secret", 0o600, true)
			_ = write(t, n, "/m/d/planted", "x")
			_, _, _ = n.Rename("/", "/m/d/planted", "/", "/m/d/planted2", 0)
		}
		close(stop)
		wg.Wait()
		t.Logf("%d tries, %d reads", tries, good)
		info, err := os.Stat(filepath.Join(outside, "secret"))
		if err != nil || info.Mode().Perm() != 0o644 {
			t.Errorf("the secret was changed: %v %v", info, err)
		}
		if _, err := os.Stat(filepath.Join(outside, "planted")); err == nil {
			t.Error("a file was planted outside")
		}
		if _, err := os.Stat(filepath.Join(outside, "planted2")); err == nil {
			t.Error("a file was renamed outside")
		}
	})
}

func TestMountStaysWhenReplaced(t *testing.T) {
	n, dir := secret(t, nil)
	outside := filepath.Dir(dir)
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, dir); err != nil {
		t.Fatal(err)
	}
	mustNot(t, n, "/m/secret")
	if got, err := read(t, n, "/m/ok"); got != "fine" {
		t.Errorf("the mounted directory was lost: %q, %v", got, err)
	}
}

func TestProcIsRefused(t *testing.T) {
	if _, err := HostDir("/proc", me); err == nil {
		t.Error("a mount of /proc was accepted")
	}
	bothWalks(t, func(t *testing.T) {
		n := hosted(t, "/host", "/", MountOptions{})
		for _, name := range []string{"/host/proc/self/mem", "/host/proc/self/maps", "/host/proc/1/environ", "/host/sys/kernel", "/host/proc/self/root/etc/passwd", "/host/proc/self/fd/0"} {
			if f, _, err := n.Open("/", name, unix.O_RDONLY, 0); err == nil {
				f.Close()
				t.Errorf("%s was opened", name)
			}
			if _, _, err := n.Stat("/", name, true); err == nil && name != "/host/sys/kernel" {
				t.Errorf("%s was looked at", name)
			}
		}
		if f, _, err := n.Open("/", "/host/proc", unix.O_RDONLY|unix.O_DIRECTORY, 0); err == nil {
			f.Close()
			t.Error("/host/proc was opened")
		}
	})
}

func TestSpecialFilesAreRefused(t *testing.T) {
	n, dir := secret(t, nil)
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, _, err := n.Open("/", "/m/fifo", unix.O_RDONLY, 0)
		done <- err
	}()
	select {
	case err := <-done:
		wantErr(t, "a fifo", err, unix.EACCES)
	case <-time.After(5 * time.Second):
		t.Fatal("opening a fifo blocks")
	}
	_, _, err := n.Open("/", "/m/fifo", unix.O_WRONLY|unix.O_CREAT, 0o600)
	wantErr(t, "a fifo for writing", err, unix.EACCES)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: filepath.Join(dir, "sock")}); err != nil {
		t.Fatal(err)
	}
	_, _, err = n.Open("/", "/m/sock", unix.O_RDWR, 0)
	wantErr(t, "a socket", err, unix.ENXIO)
	h := hosted(t, "/host", "/", MountOptions{})
	_, _, err = h.Open("/", "/host/dev/null", unix.O_RDWR, 0)
	wantErr(t, "a device", err, unix.EACCES)
}

func TestHostileNames(t *testing.T) {
	n, _ := secret(t, nil)
	long := strings.Repeat("x", NameMax+1)
	for name, want := range map[string]error{
		"":                            unix.ENOENT,
		"/m/" + long:                  unix.ENAMETOOLONG,
		strings.Repeat("/m/..", 1000): unix.ENAMETOOLONG,
		"/m/ok/":                      unix.ENOTDIR,
		"/m/ok/.":                     unix.ENOTDIR,
		"/m/ok/..":                    unix.ENOTDIR,
		"/m/ok/x":                     unix.ENOTDIR,
		"/m/none/..":                  unix.ENOENT,
		"/m/none/ok":                  unix.ENOENT,
		"/m/\x01\xff":                 unix.ENOENT,
		"/m/" + long[:NameMax]:        unix.ENOENT,
	} {
		_, err := read(t, n, name)
		if err != want {
			t.Errorf("%.40q: %v, want %v", name, err, want)
		}
	}
	for _, name := range []string{"//m///ok", "/m/./ok", "/m/../m/ok", "m/ok", "./m/ok"} {
		if got, err := read(t, n, name); got != "fine" {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
}

func TestLinkLoops(t *testing.T) {
	n, dir := secret(t, map[string]string{"a": "->b", "b": "->a", "self": "->self/x", "empty/": ""})
	for _, name := range []string{"/m/a", "/m/self", "/m/a/x"} {
		_, err := read(t, n, name)
		wantErr(t, name, err, unix.ELOOP)
	}
	// 40 links are followed, 41 are not.
	last := "ok"
	for i := range LinksMax + 1 {
		name := "l" + string(rune('A'+i/26)) + string(rune('a'+i%26))
		if err := os.Symlink(last, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		last = name
		got, err := read(t, n, "/m/"+name)
		if i < LinksMax && got != "fine" {
			t.Errorf("link %d: %q, %v", i+1, got, err)
		}
		if i == LinksMax {
			wantErr(t, "one link too many", err, unix.ELOOP)
		}
	}
}

func TestReadOnlyMount(t *testing.T) {
	dir := tree(t, map[string]string{"f": "text", "d/": "", "l": "->f"})
	n := hosted(t, "/m", dir, MountOptions{ReadOnly: true})
	mountAt(t, n, "/tmp", NewMemory(MemoryConfig{Identity: me}), MountOptions{})
	wantErr(t, "write", write(t, n, "/m/f", "x"), unix.EROFS)
	wantErr(t, "create", write(t, n, "/m/new", "x"), unix.EROFS)
	wantErr(t, "mkdir", n.Mkdir("/", "/m/new", 0o755), unix.EROFS)
	wantErr(t, "unlink", n.Unlink("/", "/m/f"), unix.EROFS)
	wantErr(t, "rmdir", n.Rmdir("/", "/m/d"), unix.EROFS)
	wantErr(t, "chmod", n.Chmod("/", "/m/f", 0o600, true), unix.EROFS)
	wantErr(t, "symlink", n.Symlink("x", "/", "/m/new"), unix.EROFS)
	wantErr(t, "link", n.Link("/", "/m/f", "/", "/m/new", false), unix.EROFS)
	wantErr(t, "truncate", n.Truncate("/", "/m/f", 0), unix.EROFS)
	wantErr(t, "utimens", n.Utimens("/", "/m/f", [2]unix.Timespec{}, true), unix.EROFS)
	wantErr(t, "access", n.Access("/", "/m/f", unix.W_OK, true), unix.EROFS)
	_, _, err := n.Rename("/", "/m/f", "/", "/m/g", 0)
	wantErr(t, "rename", err, unix.EROFS)
	_, _, err = n.Rename("/", "/m/f", "/", "/tmp/g", 0)
	wantErr(t, "rename to another mount", err, unix.EXDEV)
	// Nor through a descriptor that is open for reading.
	for _, name := range []string{"/m/f", "/m/d"} {
		f, _, err := n.Open("/", name, unix.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		wantErr(t, "fchmod "+name, f.Chmod(0o600), unix.EROFS)
		wantErr(t, "futimens "+name, f.Utimens([2]unix.Timespec{}), unix.EROFS)
		f.Close()
	}
	if got, _ := read(t, n, "/m/l"); got != "text" {
		t.Errorf("reading: %q", got)
	}
}

func TestHardLinkToTheOutside(t *testing.T) {
	// A link to a name whose last component is a symbolic link makes another
	// symbolic link, never a hard link to what it points to on the host.
	n, dir := secret(t, map[string]string{"rel": "->../secret"})
	if err := n.Link("/", "/m/rel", "/", "/m/hard", false); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(filepath.Join(dir, "hard"))
	if err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("%v %v", info, err)
	}
	mustNot(t, n, "/m/hard")
}
