package sysroot

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/imc"
	"github.com/halite-run/halite/imc/fileservice"
)

// filesClient compiles testdata/files.c with the native libnacl.
func filesClient(t *testing.T) string {
	return compileNative(t, "files", "files.c", "serve.c", "native/imc.c")
}

// runFiles runs a scene with descriptors from 3 on, each a connected end, and wants it to
// succeed.
func runFiles(t *testing.T, prog string, env []string, args []string, ends ...interface{ File() (*os.File, error) }) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, prog, args...)
	cmd.Env = env
	for _, e := range ends {
		if e == nil {
			cmd.ExtraFiles = append(cmd.ExtraFiles, nil)
			continue
		}
		f, err := e.File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.HasSuffix(string(out), "ok\n") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestNativeFiles: the file service's client in C, outside of a sandbox, against the
// server in Go. libcshim runs the same program in a domain.
func TestNativeFiles(t *testing.T) {
	prog := filesClient(t)
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "many"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		name := fmt.Sprintf("%04d%s", i, strings.Repeat("n", 200))
		if err := os.WriteFile(filepath.Join(dir, "many", name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := fileservice.Dir(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	acc, object, err := imc.Kernel.Endpoints()
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- (&fileservice.Server{Backend: tree}).Serve(t.Context(), acc) }()
	runFiles(t, prog, nil, []string{"all", "3"}, object)
	_ = object.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
	_ = acc.Close()
}

// TestNativeFilesOld: versions 1 and 2 on the descriptors that Native Client's port had.
func TestNativeFilesOld(t *testing.T) {
	prog := filesClient(t)
	for version := 1; version <= 2; version++ {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "hello"), []byte("hello"), 0o644); err != nil {
			t.Fatal(err)
		}
		tree, err := fileservice.Dir(dir, true)
		if err != nil {
			t.Fatal(err)
		}
		server := &fileservice.Server{Backend: tree}
		in, out, err := imc.Kernel.ConnectedPair()
		if err != nil {
			t.Fatal(err)
		}
		if version == 1 {
			go server.ServeConn(t.Context(), in, in)
			runFiles(t, prog, []string{"NACL_FD=1"}, []string{"old", "1"}, out)
		} else {
			back, answers, err := imc.Kernel.ConnectedPair()
			if err != nil {
				t.Fatal(err)
			}
			go server.ServeConn(t.Context(), in, back)
			runFiles(t, prog, []string{"NACL_FILE_RPC=1"}, []string{"old", "2"}, nil, nil, nil, out, answers)
			_, _ = back.Close(), answers.Close()
			if text, err := os.ReadFile(filepath.Join(dir, "new")); err != nil || string(text) != "text" {
				t.Errorf("%q, %v", text, err)
			}
		}
		_, _ = in.Close(), out.Close()
	}
}

// TestNativeFilesHostile: a service whose answers are none. Every descriptor that it sends
// is closed.
func TestNativeFilesHostile(t *testing.T) {
	prog := filesClient(t)
	server, client, err := imc.Kernel.ConnectedPair()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer server.Close()
		nonsense(t.Context(), server)
	}()
	runFiles(t, prog, nil, []string{"hostile", "3"}, client)
	_ = client.Close()
}

// nonsense answers what the scene "hostile" asks.
func nonsense(ctx context.Context, s *imc.ConnectedSocket) {
	le := binary.LittleEndian
	null, err := os.Open("/dev/null")
	if err != nil {
		return
	}
	defer null.Close()
	file, err := imc.NewFile(null)
	if err != nil {
		return
	}
	defer file.Close()
	entry := func(length int, name string) string {
		b := le.AppendUint16(make([]byte, 12), uint16(length))
		return string(b) + name
	}
	list := []string{entry(1, "."), entry(2, ".."), entry(3, "a/b"), entry(500, "short"), "cut"}
	for {
		m, err := s.Receive(ctx)
		if err != nil {
			return
		}
		id := le.Uint32(m.Data[4:])
		answer := func(id, errno uint32, arg uint64, data string, descs ...imc.Desc) {
			b := le.AppendUint32(nil, 0x33525346)
			b = le.AppendUint32(b, id)
			b = le.AppendUint32(b, errno)
			b = le.AppendUint32(b, 0)
			b = le.AppendUint64(b, arg)
			_ = s.Send(ctx, append(b, data...), descs...)
		}
		switch string(bytes.TrimRight(m.Data[40:], "\x00")) {
		case "no descriptor":
			answer(id, 0, 0, "")
		case "two descriptors":
			answer(id, 0, 0, "", file, file)
		case "short":
			answer(id, 0, 0, "ten bytes!")
		case "others first, and no number":
			answer(id+77, 0, 0, "", file)
			_ = s.Send(ctx, []byte("FSR3"), file)
			_ = s.Send(ctx, nil)
			answer(id, 1<<31, 0, "")
		case "a descriptor":
			answer(id, 0, 0, "", file)
		case "long":
			answer(id, 0, 0, strings.Repeat("l", 100_000))
		case "nothing, and it goes on":
			answer(id, 0, 1, "")
		case "bad entries":
			answer(id, 0, 0, list[0])
			list = list[1:]
		case "an error, and a descriptor":
			answer(id, uint32(unix.EXDEV), 0, "", file)
		default:
			return
		}
	}
}
