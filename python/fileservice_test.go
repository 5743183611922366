package python

import (
	"context"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/halite-run/halite"
	"github.com/halite-run/halite/imc"
	"github.com/halite-run/halite/imc/fileservice"
)

// watched is a backend of a file service that notes what is opened.
type watched struct {
	fileservice.Backend
	mu     sync.Mutex
	opened []string
}

func (w *watched) Open(name string, flags int, mode uint32) (*imc.File, fileservice.Stat, error) {
	w.mu.Lock()
	w.opened = append(w.opened, name)
	w.mu.Unlock()
	return w.Backend.Open(name, flags, mode)
}

// TestFileService: the whole of /usr, the program, its libraries and extension modules
// included, is answered by a file service over IMC, through the kernel as from another process; the
// interpreter can't tell.
func TestFileService(t *testing.T) {
	dir, err := fileservice.Dir(home(t), false)
	if err != nil {
		t.Fatal(err)
	}
	backend := &watched{Backend: dir}
	acc, e, err := imc.Kernel.Endpoints()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go (&fileservice.Server{Backend: backend}).Serve(ctx, acc)
	client, err := fileservice.Dial(ctx, e)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	p, err := New(ctx, Config{HomeFS: client, Mounts: []halite.Mount{
		{Guest: "/job", FS: fstest.MapFS{"answer.py": {Data: []byte("x = 42\n")}}},
	}, Path: []string{"/job"}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	v, err := p.Eval(ctx, "__import__('zlib').crc32(b'x') + __import__('answer').x")
	if err != nil || v != int64(2363233923+42) {
		t.Fatal(v, err)
	}
	if err := p.Exec(ctx, "import sqlite3, os\nassert sqlite3.connect(':memory:').execute('select 1').fetchone() == (1,)\nassert 'json' in os.listdir('/usr/lib/python3.11')"); err != nil {
		t.Fatal(err)
	}
	if err := p.Exec(ctx, "open('/usr/lib/python3.11/new', 'w')"); err == nil {
		t.Error("a file was made through a service that only reads")
	}
	backend.mu.Lock()
	defer backend.mu.Unlock()
	all := strings.Join(backend.opened, "\n")
	for _, name := range []string{"bin/python3.11", "lib/libpython3.11.so.1.0", "lib-dynload/zlib.", "lib/libz.so.1", "lib/libsqlite3.so.0"} {
		if !strings.Contains(all, name) {
			t.Errorf("%s did not come from the service", name)
		}
	}
}

var _ fs.FS = (*fileservice.Client)(nil)
