package imc

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What a file may be used for is what it was opened for: NaCl's test
// nacl_desc_io_alloc_ctor_test.
func TestFileModes(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(name, []byte("0123456789"), 0o600))
	open := func(mode int) *File {
		t.Helper()
		f, err := os.OpenFile(name, mode, 0)
		must(t, err)
		defer f.Close()
		d, err := NewFile(f)
		must(t, err)
		t.Cleanup(func() { _ = d.Close() })
		return d
	}
	r, w, rw := open(os.O_RDONLY), open(os.O_WRONLY), open(os.O_RDWR)
	b := make([]byte, 2)
	_, err := w.Read(b)
	want(t, err, unix.EBADF)
	_, err = w.ReadAt(b, 0)
	want(t, err, unix.EBADF)
	_, err = r.Write(b)
	want(t, err, unix.EBADF)
	_, err = r.WriteAt(b, 0)
	want(t, err, unix.EBADF)
	for _, c := range []struct {
		f             *File
		write, shared bool
		want          error
	}{
		{r, false, true, nil}, {r, false, false, nil}, {r, true, true, unix.EACCES}, {r, true, false, nil},
		{w, false, true, unix.EACCES}, {w, false, false, unix.EACCES}, {w, true, true, unix.EACCES}, {w, true, false, unix.EACCES},
		{rw, false, true, nil}, {rw, true, true, nil}, {rw, true, false, nil},
	} {
		if err := c.f.MapFlags(c.write, c.shared); c.want == nil && err != nil || c.want != nil && NaClErrno(err) != c.want {
			t.Errorf("mode %d, write %v, shared %v: %v", c.f.Flags(), c.write, c.shared, err)
		}
	}
	// The position is shared by handles, and pread and pwrite leave it alone.
	d, err := rw.Dup()
	must(t, err)
	other := d.(*File)
	_, err = io.ReadFull(rw, b)
	must(t, err)
	_, err = other.WriteAt([]byte("xy"), 8)
	must(t, err)
	_, err = other.ReadAt(b, 8)
	must(t, err)
	if string(b) != "xy" {
		t.Errorf("%q", b)
	}
	_, err = io.ReadFull(other, b)
	must(t, err)
	if string(b) != "23" {
		t.Errorf("%q", b)
	}
	at, err := rw.Seek(0, io.SeekCurrent)
	must(t, err)
	if at != 4 {
		t.Error(at)
	}
	_, err = other.ReadAt(make([]byte, 5), 8)
	want(t, err, io.EOF)
	must(t, other.Close())
	_, err = other.Read(b)
	want(t, err, unix.EBADF)

	// What nobody may be given.
	dir, err := os.Open(filepath.Dir(name))
	must(t, err)
	defer dir.Close()
	_, err = NewFile(dir)
	want(t, err, unix.EISDIR)
}

// A handle of a kernel endpoint that was lost is closed when it is collected.
func TestLostHandles(t *testing.T) {
	ctx := within(t)
	before := descriptorsOf(t)
	x, y, err := Kernel.DataPair()
	must(t, err)
	acc, c, err := Kernel.Endpoints()
	must(t, err)
	runtime.KeepAlive(x)
	runtime.KeepAlive(c)
	x, c = nil, nil
	stop := make(chan bool)
	defer close(stop)
	go func() {
		for {
			runtime.GC()
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	_, err = y.Receive(ctx)
	want(t, err, io.EOF)
	select {
	case <-acc.Gone():
	case <-ctx.Done():
		t.Fatal("a lost capability is still held")
	}
	must(t, y.Close())
	must(t, acc.Close())
	if after := descriptorsOf(t); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}
