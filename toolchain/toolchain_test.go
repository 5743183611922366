package toolchain

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestFingerprint(t *testing.T) {
	if f := Fingerprint(); !regexp.MustCompile(`^[0-9a-f]{16}$`).MatchString(f) {
		t.Errorf("fingerprint %q", f)
	}
	for _, name := range []string{"sfi/sfi.go", "driver/cc.go", "sysroot/sysroot.go", "sysroot/overlay/musl/src/thread/halite/__tls_get_addr.c"} {
		if _, err := sources.ReadFile(name); err != nil {
			t.Errorf("not part of the fingerprint: %v", err)
		}
	}
}

func TestMissingTool(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Tools("gcc-12", "make", "dpkg-source", "nm-nowhere")
	var missing *MissingError
	if !errors.As(err, &missing) {
		t.Fatalf("error %v", err)
	}
	for _, want := range []string{"gcc-12", "make", "dpkg-source", "apt-get install dpkg-dev gcc-12 make nm-nowhere"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}

// TestOtherGCC: a gcc of another version is not taken for gcc 12.
func TestOtherGCC(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	if _, err := os.Stat("/usr/bin/gcc-12"); err == nil {
		t.Setenv("PATH", dir)
	}
	write := func(version string) {
		script := "#!/bin/sh\necho " + version + "\n"
		if err := os.WriteFile(filepath.Join(dir, "gcc"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write("13")
	if path, err := Tool("gcc-12"); err == nil {
		t.Errorf("%s was taken for gcc 12", path)
	}
	write("12.2.0")
	if _, err := Tool("gcc-12"); err != nil {
		t.Error(err)
	}
}

func TestSysroot(t *testing.T) {
	t.Setenv("HALITE_CACHE", t.TempDir())
	t.Setenv("HALITE_SYSROOT", "")
	if _, err := Sysroot(); !errors.Is(err, ErrNoSysroot) {
		t.Errorf("error %v", err)
	}
	link, err := SysrootLink()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(filepath.Dir(link), "key")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("key", link); err != nil {
		t.Fatal(err)
	}
	if got, err := Sysroot(); err != nil || filepath.Base(got) != "key" {
		t.Errorf("%s, %v", got, err)
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dir", "lock")
	var inside, waited atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			unlock, err := Lock(path, func() { waited.Add(1) })
			if err != nil {
				t.Error(err)
				return
			}
			if n := inside.Add(1); n != 1 {
				t.Errorf("%d inside", n)
			}
			inside.Add(-1)
			unlock()
		})
	}
	wg.Wait()
}
