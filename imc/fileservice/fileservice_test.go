package fileservice

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/imc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
}

var transports = []imc.Transport{imc.Memory, imc.Kernel}

// serve runs a server of b and connects a client.
func serve(t *testing.T, tr imc.Transport, b Backend) (*Client, *imc.ConnectEndpoint) {
	acc, e, err := tr.Endpoints()
	must(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	done := make(chan error, 1)
	go func() { done <- (&Server{Backend: b}).Serve(ctx, acc) }()
	c, err := Dial(ctx, e)
	must(t, err)
	t.Cleanup(func() {
		must(t, c.Close())
		must(t, e.Close())
		must(t, <-done) // by itself, when nobody can connect any more
		must(t, acc.Close())
		must(t, b.Close())
		cancel()
	})
	return c, e
}

func tree(t *testing.T) string {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "lib/python3"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "hello"), []byte("hello, world\n"), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "lib/big"), bytes.Repeat([]byte("0123456789abcdef"), 1_000), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "lib/python3/os.py"), []byte("import sys\n"), 0o644))
	must(t, os.Symlink("hello", filepath.Join(dir, "link")))
	return dir
}

func TestFS(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.String(), func(t *testing.T) {
			dir := tree(t)
			c, _ := serve(t, tr, FS(os.DirFS(dir), 0))
			must(t, fstest.TestFS(c, "hello", "lib/big", "lib/python3/os.py"))
			d, err := Dir(dir, false)
			must(t, err)
			c, _ = serve(t, tr, d)
			must(t, fstest.TestFS(c, "hello", "lib/big", "lib/python3/os.py"))
			target, err := fs.ReadLink(c, "link")
			must(t, err)
			if target != "hello" {
				t.Error(target)
			}
			memory := fstest.MapFS{"a/b": {Data: []byte("in memory")}, "a/c": {Data: []byte("other")}}
			c, _ = serve(t, tr, FS(memory, 6))
			text, err := fs.ReadFile(c, "a/c")
			must(t, err)
			if string(text) != "other" {
				t.Error(string(text))
			}
			_, err = c.Open("a/b")
			want(t, err, unix.EFBIG)
			// Python tells modules apart by these two.
			x, err := c.stat("stat", "a/b", 0)
			must(t, err)
			y, err := c.stat("stat", "a/c", 0)
			must(t, err)
			f, z, err := c.OpenFile(context.Background(), "/a/c", unix.O_RDONLY, 0)
			must(t, err)
			must(t, f.Close())
			if x.Ino == y.Ino || y.Ino != z.Ino || y.Dev != z.Dev {
				t.Error(x.Ino, y.Ino, z.Ino)
			}
			for _, err := range []error{c.Mkdir("x", 0o777), c.Unlink("a/b"), c.Rmdir("a"), c.Rename("a", "b"), c.Symlink("a", "b"), c.Truncate("a/b", 0), c.Chmod("a/b", 0)} {
				want(t, err, unix.EROFS)
			}
			_, _, err = c.OpenFile(context.Background(), "a/c", unix.O_RDWR, 0)
			want(t, err, unix.EROFS)
		})
	}
}

func TestChanges(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.String(), func(t *testing.T) {
			ctx := context.Background()
			dir := tree(t)
			b, err := Dir(dir, true)
			must(t, err)
			c, _ := serve(t, tr, b)
			must(t, c.Mkdir("new", 0o755))
			want(t, c.Mkdir("new", 0o755), fs.ErrExist)
			f, st, err := c.OpenFile(ctx, "/new/file", unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, 0o640)
			must(t, err)
			if st.Mode != unix.S_IFREG|0o640 || f.Flags()&unix.O_NONBLOCK != 0 {
				t.Errorf("%o %#x", st.Mode, f.Flags())
			}
			_, err = f.Write([]byte("written through a descriptor"))
			must(t, err)
			must(t, f.Close())
			must(t, c.Truncate("new/file", 7))
			text, err := os.ReadFile(filepath.Join(dir, "new/file"))
			must(t, err)
			if string(text) != "written" {
				t.Error(string(text))
			}
			must(t, c.Chmod("new/file", 0o600))
			must(t, c.Rename("new/file", "new/other"))
			must(t, c.Symlink("other", "new/link"))
			text, err = fs.ReadFile(c, "new/link")
			must(t, err)
			if string(text) != "written" {
				t.Error(string(text))
			}
			fi, err := c.Lstat("new/link")
			must(t, err)
			if fi.Mode().Type() != fs.ModeSymlink {
				t.Error(fi.Mode())
			}
			want(t, c.Rmdir("new"), unix.ENOTEMPTY)
			want(t, c.Rmdir("new/other"), unix.ENOTDIR)
			want(t, c.Unlink("new"), unix.EISDIR)
			must(t, c.Unlink("new/link"))
			must(t, c.Unlink("new/other"))
			must(t, c.Rmdir("new"))
			want(t, c.Unlink("new"), fs.ErrNotExist)
			want(t, c.Truncate("hello", -1), unix.EINVAL)
		})
	}
}

// No path leads out of the served directory.
func TestConfinement(t *testing.T) {
	outer := t.TempDir()
	must(t, os.WriteFile(filepath.Join(outer, "secret"), []byte("secret"), 0o644))
	dir := filepath.Join(outer, "served")
	must(t, os.Mkdir(dir, 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "fine"), []byte("fine"), 0o644))
	must(t, os.Symlink("../secret", filepath.Join(dir, "out")))
	must(t, os.Symlink(filepath.Join(outer, "secret"), filepath.Join(dir, "absolute")))
	must(t, os.Symlink("..", filepath.Join(dir, "up")))
	must(t, os.Symlink("/", filepath.Join(dir, "root")))
	must(t, unix.Mkfifo(filepath.Join(dir, "pipe"), 0o644))
	b, err := Dir(dir, true)
	must(t, err)
	c, _ := serve(t, imc.Memory, b)
	ctx := context.Background()
	for _, name := range []string{"out", "absolute", "up/secret", "root/etc/passwd", "up/served/../secret", "root/proc/self/environ", "../secret", "/../secret",
		"fine/../../secret", filepath.Join(outer, "secret"), "pipe", ".", "/", "..", "nothing", "fine/x"} {
		for _, flags := range []int{unix.O_RDONLY, unix.O_RDWR, unix.O_WRONLY | unix.O_TRUNC, unix.O_PATH, unix.O_DIRECTORY} {
			if f, _, err := c.OpenFile(ctx, name, flags, 0o644); err == nil {
				text, _ := io.ReadAll(f)
				t.Errorf("opened %s with %#x: %q", name, flags, text)
			}
		}
		if name == "." || name == "/" || name == ".." {
			continue
		}
		if err := c.Truncate(name, 0); err == nil {
			t.Errorf("truncated %s", name)
		}
		if err := c.Rename("fine", "up/stolen"); err == nil {
			t.Error("renamed out")
		}
		if err := c.Mkdir("up/made", 0o755); err == nil {
			t.Error("made outside")
		}
		if err := c.Chmod("out", 0); err == nil {
			t.Error("changed outside")
		}
	}
	for name, err := range map[string]error{"": unix.ENOENT, "a\x00b": unix.EINVAL, strings.Repeat("x", MaxPath+1): unix.ENAMETOOLONG} {
		_, _, got := c.OpenFile(ctx, name, 0, 0)
		want(t, got, err)
	}
	text, err := os.ReadFile(filepath.Join(outer, "secret"))
	must(t, err)
	if string(text) != "secret" {
		t.Error("the file outside was changed")
	}
	if f, _, err := c.OpenFile(ctx, "/../../served/../fine", 0, 0); err != nil {
		t.Error(".. at the root is the root:", err)
	} else {
		f.Close()
	}
}

func TestManyAtOnce(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.String(), func(t *testing.T) {
			memory := fstest.MapFS{}
			for i := range 3000 {
				memory[fmt.Sprintf("d/%0100d", i)] = &fstest.MapFile{Data: []byte(fmt.Sprint(i))}
			}
			c, _ := serve(t, tr, FS(memory, 0))
			var wg sync.WaitGroup
			for i := range 40 {
				wg.Add(1)
				go func() {
					defer wg.Done()
					text, err := fs.ReadFile(c, fmt.Sprintf("d/%0100d", i))
					if err != nil || string(text) != fmt.Sprint(i) {
						t.Errorf("%d: %q %v", i, text, err)
					}
				}()
			}
			wg.Wait()
			// More than one reply holds.
			list, err := c.Entries("d")
			must(t, err)
			if len(list) != 3000 {
				t.Error(len(list))
			}
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_, _, err = c.OpenFile(ctx, "d", 0, 0)
			want(t, err, context.Canceled)
		})
	}
}

// Versions 1 and 2, as programs of their time send them.
func TestOldVersions(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.String(), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			dir := tree(t)
			b, err := Dir(dir, true)
			must(t, err)
			defer b.Close()
			// Version 2 has one connection for requests and another for replies.
			toServer, in, err := tr.ConnectedPair()
			must(t, err)
			fromServer, out, err := tr.ConnectedPair()
			must(t, err)
			done := make(chan error)
			go func() { done <- (&Server{Backend: b}).ServeConn(ctx, in, out) }()
			ask := func(text string) imc.Message {
				t.Helper()
				must(t, toServer.Send(ctx, []byte(text)))
				m, err := fromServer.Receive(ctx)
				must(t, err)
				return m
			}
			for _, text := range []string{"Open/hello", "Open\x00\x00\x00\x00\x00\x00\x00\x00/hello", "Openhello"} {
				m := ask(text)
				if string(m.Data) != "Okay" || len(m.Descs) != 1 {
					t.Fatalf("%q: %q, %d descriptors", text, m.Data, len(m.Descs))
				}
				got, err := io.ReadAll(m.Descs[0].(*imc.File))
				must(t, err)
				if string(got) != "hello, world\n" {
					t.Error(string(got))
				}
				m.Close()
			}
			for _, text := range []string{"Open/nothing", "Open\x00\x00\x00\x00\x00\x00\x00\x00/nothing", "Stat/nothing", "Open", "Stat", "", "What?", "Open\x00\x00\x00\x00\x00\x00\x00\x00"} {
				if m := ask(text); string(m.Data) != "Fail" || len(m.Descs) != 0 {
					t.Errorf("%q: %q", text, m.Data)
				}
			}
			// O_WRONLY|O_CREAT, 0600
			m := ask("Open\x41\x00\x00\x00\x80\x01\x00\x00/made")
			if len(m.Descs) != 1 {
				t.Fatal(string(m.Data))
			}
			m.Close()
			m = ask("Stat/hello")
			if len(m.Data) != 68 || string(m.Data[:4]) != "Rsta" {
				t.Fatalf("%q", m.Data)
			}
			var st unix.Stat_t
			must(t, unix.Stat(filepath.Join(dir, "hello"), &st))
			word := func(i int) uint32 { return le.Uint32(m.Data[4+4*i:]) }
			if word(1) != uint32(st.Ino) || word(2) != unix.S_IFREG|0o644 || word(7) != 13 || word(12) != uint32(st.Mtim.Sec) {
				t.Errorf("%q", m.Data)
			}
			must(t, toServer.Close())
			must(t, <-done)
			for _, d := range []imc.Desc{in, out, fromServer} {
				must(t, d.Close())
			}
		})
	}
}

// What is no request is answered or passed over, and the service goes on.
func TestNonsense(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, e := serve(t, imc.Memory, FS(fstest.MapFS{"a": {Data: []byte("a")}}, 0))
	s, err := e.Connect(ctx)
	must(t, err)
	defer s.Close()
	good := request{id: 7, op: opStat, path: "a"}.encode()
	edit := func(at int, v uint32) []byte {
		b := bytes.Clone(good)
		le.PutUint32(b[at:], v)
		return b
	}
	for what, b := range map[string][]byte{
		"cut short":         good[:20],
		"a longer path":     edit(20, 2),
		"a huge path":       edit(20, 0xffffffff),
		"lengths that wrap": edit(24, 0xffffffff),
		"an unknown op":     edit(8, 99),
		"a second path":     append(edit(24, 1), 'x'),
	} {
		must(t, s.Send(ctx, b, imc.Invalid))
		m, err := s.Receive(ctx)
		must(t, err)
		r, ok := decodeReply(m.Data)
		if !ok || r.id != 7 || r.errno == 0 {
			t.Errorf("%s: %v %v", what, r, ok)
		}
	}
	if _, err := c.Stat("a"); err != nil {
		t.Error(err)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add(request{id: 7, op: opRename, path: "a", path2: "b"}.encode())
	f.Add(appendEntry(nil, Entry{Name: "x"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRequest(b)
		if err == nil && len(b) >= 4 {
			again, err := decodeRequest(r.encode())
			if err != nil || again != r {
				t.Fatal(again, r)
			}
			if p, err := clean(r.path); err == nil && !fs.ValidPath(strings.ToValidUTF8(p, "?")) {
				t.Fatalf("%q becomes %q", r.path, p)
			}
		}
		if list, err := decodeEntries(b); err == nil {
			var out []byte
			for _, e := range list {
				out = appendEntry(out, e)
			}
			if !bytes.Equal(out, b) {
				t.Fatal("entries")
			}
		}
	})
}

// A client that opens connections without end gets as many as the server gives, and is
// told so; those of others go on, and there is room again when it has gone.
func TestConnectionLimit(t *testing.T) {
	for _, tr := range transports {
		t.Run(tr.String(), func(t *testing.T) {
			acc, e, err := tr.Endpoints()
			must(t, err)
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			b, err := Dir(tree(t), false)
			must(t, err)
			done := make(chan error, 1)
			go func() { done <- (&Server{Backend: b, MaxConnections: 10}).Serve(ctx, acc) }()
			good, err := Dial(ctx, e)
			must(t, err)
			var hoard []*imc.ConnectedSocket
			for range 9 {
				s, err := e.Connect(ctx)
				must(t, err)
				hoard = append(hoard, s)
			}
			for range 500 {
				_, err := e.Connect(ctx)
				want(t, err, unix.ECONNREFUSED)
				if !strings.Contains(err.Error(), "accepts no more connections now") {
					t.Fatal(err)
				}
				_, err = Dial(ctx, e)
				want(t, err, unix.ECONNREFUSED)
				s, err := e.ConnectAsync(ctx) // one that does not wait
				must(t, err)
				_, err = s.Receive(ctx)
				want(t, err, io.EOF)
				must(t, s.Close())
				_, err = good.Stat(".")
				must(t, err)
			}
			for _, s := range hoard {
				must(t, s.Close())
			}
			var again *Client
			for again == nil {
				// The server learns of the end of a connection when it reads there.
				if again, err = Dial(ctx, e); err != nil {
					want(t, err, unix.ECONNREFUSED)
				}
			}
			_, err = again.Stat(".")
			must(t, err)
			must(t, again.Close())
			must(t, good.Close())
			must(t, e.Close())
			must(t, <-done)
			must(t, acc.Close())
			must(t, b.Close())
		})
	}
}
