package loader

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/halite-run/halite/internal/safemem"
	"github.com/halite-run/halite/validator"
)

func openTestVerdicts(t *testing.T, dir string) *Verdicts {
	t.Helper()
	v, err := OpenVerdicts(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.Close() })
	return v
}

// badFile is a file with code that no validator accepts.
func badFile(t *testing.T) *File {
	t.Helper()
	tf := newTestFile()
	copy(tf.b[tf.at["text"]:], []byte{0x0f, 0x05}) // syscall
	f, err := tf.read()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// mapOnce maps a file as a process does that has seen nothing yet, and tells
// whether its code was accepted, and the code as it stands.
func mapOnce(t *testing.T, l Loader, f *File) (code []byte, ok bool) {
	t.Helper()
	FlushTextCache()
	defer FlushTextCache()
	c := newCage(t)
	m, err := l.Map(c, f, Anywhere)
	if err != nil {
		return nil, false
	}
	code = make([]byte, PageSize)
	if err := safemem.New(c.Base()).Read(0x1000+m.Bias, code); err != nil {
		t.Fatal(err)
	}
	return code, true
}

// vouch stores a verdict for a file's code, as Map would have if it were safe. It
// returns the key and the path of the record.
func vouch(t *testing.T, v *Verdicts, f *File) (textKey, string) {
	t.Helper()
	m := (&Loader{}).Stage(newCage(t), f)
	if err := m.Place(Anywhere); err != nil {
		t.Fatal(err)
	}
	key := textKey{m.code[0].sum, validator.Halite, 0x1000 + m.Bias, validator.DefaultThreadPointer, validator.HostFeatures()}
	v.store(&key, &verdict{sum: key.sum})
	id := key.id()
	name := filepath.Join(v.Path(), hex.EncodeToString(id[:]))
	if _, err := os.Stat(name); err != nil {
		t.Fatal(err)
	}
	return key, name
}

// TestVerdicts: what one process found out the next one knows. That it believes
// what it reads is shown with a false record that it was given with the key; the
// attacks below would be no tests otherwise.
func TestVerdicts(t *testing.T) {
	v := openTestVerdicts(t, filepath.Join(t.TempDir(), "not", "there", "yet"))
	l := Loader{Verdicts: v}
	if _, ok := mapOnce(t, l, goodFile(t)); !ok {
		t.Fatal("good code was refused")
	}
	if n := records(t, v); n != 1 {
		t.Fatalf("%d records", n)
	}
	if _, ok := mapOnce(t, l, badFile(t)); ok {
		t.Fatal("bad code was accepted")
	}
	if n := records(t, v); n != 1 {
		t.Errorf("%d records: refusals are not kept", n)
	}
	vouch(t, v, badFile(t))
	l.Verdicts = openTestVerdicts(t, v.Path())
	if _, ok := mapOnce(t, l, badFile(t)); !ok {
		t.Error("a verdict was not looked at")
	}
}

func records(t *testing.T, v *Verdicts) (n int) {
	t.Helper()
	list, err := os.ReadDir(v.Path())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.Name() != verdictKey {
			n++
		}
	}
	return n
}

// TestVerdictForged: somebody can write records, or puts true ones where they do
// not belong. None of them makes bad code run.
func TestVerdictForged(t *testing.T) {
	for name, forge := range map[string]func(t *testing.T, v *Verdicts, key textKey, path string){
		"of another content": func(t *testing.T, v *Verdicts, _ textKey, path string) {
			_, other := vouch(t, v, goodFile(t))
			move(t, other, path)
		},
		"of another place": func(t *testing.T, v *Verdicts, key textKey, path string) {
			key.at += PageSize
			moveRecord(t, v, key, path)
		},
		"of another CPU": func(t *testing.T, v *Verdicts, key textKey, path string) {
			key.features ^= validator.FeatureAVX2
			moveRecord(t, v, key, path)
		},
		"of another ABI": func(t *testing.T, v *Verdicts, key textKey, path string) {
			key.abi = validator.Classic
			moveRecord(t, v, key, path)
		},
		"of another thread pointer": func(t *testing.T, v *Verdicts, key textKey, path string) {
			key.disp++
			moveRecord(t, v, key, path)
		},
		"of other rules": func(t *testing.T, v *Verdicts, key textKey, path string) {
			b := readAll(t, path)
			id := sha256.Sum256([]byte("what the record was named by under other rules"))
			copy(b[len(verdictMagic):], id[:])
			body := b[:len(b)-sha256.Size]
			write(t, path, append(body, v.mac(body)...))
		},
		"with the code of another result": func(t *testing.T, v *Verdicts, key textKey, path string) {
			v.store(&key, &verdict{sum: sha256.Sum256(nil)})
		},
		"with patches outside": func(t *testing.T, v *Verdicts, key textKey, path string) {
			v.store(&key, &verdict{sum: key.sum, loads: []uint32{PageSize - 3}})
			v.store(&key, &verdict{sum: key.sum, loads: []uint32{1<<32 - 1}})
		},
		"with patches inside": func(t *testing.T, v *Verdicts, key textKey, path string) {
			v.store(&key, &verdict{sum: key.sum, loads: []uint32{0}})
		},
		"with another key": func(t *testing.T, v *Verdicts, key textKey, path string) {
			other := openTestVerdicts(t, t.TempDir()+"/v")
			other.store(&key, &verdict{sum: key.sum})
			move(t, filepath.Join(other.Path(), filepath.Base(path)), path)
		},
		"without a key": func(t *testing.T, v *Verdicts, key textKey, path string) {
			b := readAll(t, path)
			body := b[:len(b)-sha256.Size]
			sum := sha256.Sum256(body)
			write(t, path, append(body, sum[:]...))
		},
		"empty": func(t *testing.T, v *Verdicts, key textKey, path string) { write(t, path, nil) },
		"doubled": func(t *testing.T, v *Verdicts, key textKey, path string) {
			b := readAll(t, path)
			write(t, path, append(b, b...))
		},
		"huge": func(t *testing.T, v *Verdicts, key textKey, path string) {
			if err := os.Truncate(path, 1<<40); err != nil {
				t.Skip(err)
			}
		},
		"a FIFO": func(t *testing.T, v *Verdicts, key textKey, path string) {
			os.Remove(path)
			if err := syscall.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"a directory": func(t *testing.T, v *Verdicts, key textKey, path string) {
			os.Remove(path)
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		},
		"a symbolic link": func(t *testing.T, v *Verdicts, key textKey, path string) {
			to := filepath.Join(t.TempDir(), "record")
			move(t, path, to)
			if err := os.Symlink(to, path); err != nil {
				t.Fatal(err)
			}
		},
		"that others can write": func(t *testing.T, v *Verdicts, key textKey, path string) {
			if err := os.Chmod(path, 0o622); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := openTestVerdicts(t, t.TempDir()+"/v")
			f := badFile(t)
			key, path := vouch(t, v, f)
			forge(t, v, key, path)
			if _, ok := mapOnce(t, Loader{Verdicts: v}, f); ok {
				t.Fatal("bad code was accepted")
			}
		})
	}
}

// TestVerdictDamaged: every bit of a record counts, and every byte.
func TestVerdictDamaged(t *testing.T) {
	v := openTestVerdicts(t, t.TempDir()+"/v")
	f := badFile(t)
	key, path := vouch(t, v, f)
	good := readAll(t, path)
	refused := func(b []byte, what string, i int) {
		write(t, path, b)
		if _, ok := v.find(&key); ok {
			t.Errorf("%s %d: the record is believed", what, i)
		}
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s %d: the record is kept", what, i)
		}
	}
	for i := range 8 * len(good) {
		b := bytes.Clone(good)
		b[i/8] ^= 1 << (i % 8)
		refused(b, "bit", i)
	}
	for n := range good {
		refused(good[:n], "length", n)
	}
	write(t, path, good)
	if _, ok := v.find(&key); !ok {
		t.Error("the undamaged record is not believed")
	}
}

// TestVerdictFileChanges: what is hashed and what is mapped are the same bytes,
// whatever happens to the file meanwhile.
func TestVerdictFileChanges(t *testing.T) {
	v := openTestVerdicts(t, t.TempDir()+"/v")
	l := Loader{Verdicts: v}
	tf := newTestFile()
	f, err := tf.read()
	if err != nil {
		t.Fatal(err)
	}
	want, ok := mapOnce(t, l, f) // the verdict is on disk now
	if !ok {
		t.Fatal("good code was refused")
	}
	FlushTextCache()
	defer FlushTextCache()
	for i, at := range []string{"read", "staged", "checked"} {
		tf := newTestFile()
		if f, err = ReadELF(bytes.NewReader(tf.b), int64(len(tf.b)), "t"); err != nil {
			t.Fatal(err)
		}
		c := newCage(t)
		step := func(n int) {
			if n == i {
				copy(tf.b[tf.at["text"]:], []byte{0x0f, 0x05}) // syscall
			}
		}
		step(0)
		m := l.Stage(c, f)
		step(1)
		for _, stage := range []func() error{func() error { return m.Place(Anywhere) }, m.CheckText, func() error { step(2); return m.Commit(false) }, m.InstallText} {
			if err := stage(); err != nil {
				t.Fatal(at, err)
			}
		}
		got := make([]byte, PageSize)
		if err := safemem.New(c.Base()).Read(0x1000+m.Bias, got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("changed when %s: other code is mapped than was judged", at)
		}
		FlushTextCache()
	}
}

// TestVerdictThreadPointer: a recalled text is adjusted as the validated one was.
func TestVerdictThreadPointer(t *testing.T) {
	v := openTestVerdicts(t, t.TempDir()+"/v")
	l := Loader{ThreadPointer: 0x110, Verdicts: v}
	tf := newTestFile()
	copy(tf.b[tf.at["text"]:], []byte{0x64, 0x40, 0x8b, 0x04, 0x25, 0x10, 0, 0, 0}) // rex mov %fs:0x10,%eax
	f, err := tf.read()
	if err != nil {
		t.Fatal(err)
	}
	first, ok := mapOnce(t, l, f)
	if !ok || first[5] != 0x10 || first[6] != 1 {
		t.Fatal("not adjusted", first[:9])
	}
	m := l.Stage(newCage(t), f)
	if err := m.Place(Anywhere); err != nil {
		t.Fatal(err)
	}
	key := textKey{m.code[0].sum, validator.Halite, 0x1000 + m.Bias, 0x110, validator.HostFeatures()}
	if !l.recall(&m.code[0], &key) || !bytes.Equal(m.code[0].bytes, first) {
		t.Errorf("recalled: % x", m.code[0].bytes[:9])
	}
	if second, ok := mapOnce(t, l, f); !ok || !bytes.Equal(first, second) {
		t.Error("the second process sees other code")
	}
	if _, ok := mapOnce(t, Loader{Verdicts: v}, f); !ok {
		t.Error("at the file's own displacement: refused")
	}
}

// TestVerdictDirectory: directories and keys that others can get at are refused,
// with the reason.
func TestVerdictDirectory(t *testing.T) {
	key := func(dir string) string { return filepath.Join(dir, verdictKey) }
	for name, c := range map[string]struct {
		change func(dir string) error
		want   string
	}{
		"directory for the group": {func(dir string) error { return os.Chmod(dir, 0o710) }, "mode 0710"},
		"directory for others":    {func(dir string) error { return os.Chmod(dir, 0o702) }, "mode 0702"},
		"somebody's directory":    {func(dir string) error { return os.Chown(dir, 12345, -1) }, "belongs to user 12345"},
		"key for the group":       {func(dir string) error { return os.Chmod(key(dir), 0o640) }, "mode 0640"},
		"somebody's key":          {func(dir string) error { return os.Chown(key(dir), 12345, -1) }, "belongs to user 12345"},
		"short key":               {func(dir string) error { return os.Truncate(key(dir), 20) }, "damaged"},
		"long key":                {func(dir string) error { return os.Truncate(key(dir), 1<<20) }, "at most"},
		"empty key":               {func(dir string) error { return os.Truncate(key(dir), 0) }, "damaged"},
		"key is a link": {func(dir string) error {
			if err := os.Rename(key(dir), dir+"2"); err != nil {
				return err
			}
			return os.Symlink(dir+"2", key(dir))
		}, "escapes"},
		"key is a FIFO": {func(dir string) error {
			if err := os.Remove(key(dir)); err != nil {
				return err
			}
			return syscall.Mkfifo(key(dir), 0o600)
		}, "not a regular file"},
		"a file": {func(dir string) error {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
			return os.WriteFile(dir, nil, 0o600)
		}, "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "v")
			openTestVerdicts(t, dir)
			if err := c.change(dir); err != nil {
				if os.IsPermission(err) {
					t.Skipf("only root can make this: %v", err)
				}
				t.Fatal(err)
			}
			_, err := OpenVerdicts(dir)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("error %v, want %q in it", err, c.want)
			}
		})
	}
}

// TestVerdictsTogether: many open a new directory at once, and use it.
func TestVerdictsTogether(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "v")
	var all [16]*Verdicts
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			v, err := OpenVerdicts(dir)
			if err != nil {
				t.Error(err)
				return
			}
			all[i] = v
			for n := range 50 {
				k := textKey{at: uint32(n)}
				v.store(&k, &verdict{})
				if _, ok := v.find(&k); !ok {
					t.Errorf("record %d is gone or broken", n)
				}
			}
		})
	}
	wg.Wait()
	for _, v := range all {
		if v == nil {
			continue
		}
		if !bytes.Equal(v.key, all[0].key) {
			t.Error("two keys in one directory")
		}
		v.Close()
	}
	if v := openTestVerdicts(t, dir); records(t, v) != 50 {
		t.Errorf("%d files, want 50 records and nothing else", records(t, v))
	}
}

// TestVerdictsPruned: a directory is bounded; what was used last stays, and so
// does the key.
func TestVerdictsPruned(t *testing.T) {
	v := openTestVerdicts(t, t.TempDir()+"/v")
	for n := range 100 {
		k := textKey{at: uint32(n)}
		v.store(&k, &verdict{})
		id := k.id()
		when := time.Now().Add(time.Duration(n-1000) * time.Hour)
		if err := os.Chtimes(filepath.Join(v.Path(), hex.EncodeToString(id[:])), when, when); err != nil {
			t.Fatal(err)
		}
	}
	used := textKey{at: 3}
	if _, ok := v.find(&used); !ok {
		t.Fatal("not found")
	}
	write(t, filepath.Join(v.Path(), verdictTemp+"young"), nil)
	old := filepath.Join(v.Path(), verdictTemp+"old")
	write(t, old, nil)
	if err := os.Chtimes(old, time.Unix(0, 0), time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	v.prune(100)
	if n := records(t, v); n != 101 {
		t.Errorf("%d files, want 100 records and a temporary file", n)
	}
	v.prune(40)
	if n := records(t, v); n != 31 {
		t.Errorf("%d files, want 30 records and a temporary file", n)
	}
	for n, want := range map[uint32]bool{3: true, 4: false, 70: false, 71: true, 99: true} {
		k := textKey{at: n}
		if _, ok := v.find(&k); ok != want {
			t.Errorf("record %d: found %v", n, ok)
		}
	}
	openTestVerdicts(t, v.Path())
}

// TestHashText: however many share the work, and wherever a byte is.
func TestHashText(t *testing.T) {
	b := make([]byte, 3*parallelBytes/2)
	sum := hashText(b)
	seen := map[[32]byte]bool{sum: true}
	for _, n := range []int{0, 1, 256 << 10, 256<<10 + 1, len(b) - 1} {
		if s := hashText(b[:n]); seen[s] {
			t.Errorf("%d bytes hash as others", n)
		} else {
			seen[s] = true
		}
	}
	for _, i := range []int{0, 256<<10 - 1, 256 << 10, len(b) - 1} {
		b[i] ^= 0x80
		if s := hashText(b); seen[s] {
			t.Errorf("byte %d does not count", i)
		} else {
			seen[s] = true
		}
		b[i] ^= 0x80
	}
	if hashText(b) != sum {
		t.Error("not the same twice")
	}
}

func readAll(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// moveRecord puts a true record for one key in the place of another's.
func moveRecord(t *testing.T, v *Verdicts, key textKey, path string) {
	t.Helper()
	v.store(&key, &verdict{sum: key.sum})
	id := key.id()
	move(t, filepath.Join(v.Path(), hex.EncodeToString(id[:])), path)
}
