package sysroot

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/imc"
)

// nativeIMC compiles the scenes of testdata/imc.c with the native libnacl.
func nativeIMC(t *testing.T) string { return compileNative(t, "imc", "serve.c", "native/imc.c") }

// compileNative compiles a program of testdata with sources of libnacl.
func compileNative(t *testing.T, name string, sources ...string) string {
	t.Helper()
	gcc, err := exec.LookPath("gcc-12")
	if err != nil {
		t.Skip("gcc-12 is not installed")
	}
	const dir = "overlay/libnacl/"
	out := filepath.Join(t.TempDir(), name)
	args := []string{"-O2", "-Wall", "-Werror", "-I", dir + "include", "-o", out, "testdata/" + name + ".c"}
	for _, s := range sources {
		args = append(args, dir+s)
	}
	if b, err := exec.Command(gcc, append(args, "-lpthread")...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	return out
}

// start runs a scene; end is its descriptor 3. What it prints goes to out.
func start(t *testing.T, ctx context.Context, prog, scene string, end interface{ File() (*os.File, error) }, out *bytes.Buffer) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(ctx, prog, scene)
	cmd.Stdout = out
	if end != nil {
		f, err := end.File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		cmd.ExtraFiles = []*os.File{f}
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// TestNativeIMC: what NaCl's own tests of sockets expect.
func TestNativeIMC(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out bytes.Buffer
	if err := start(t, ctx, nativeIMC(t), "behaviours", nil, &out).Wait(); err != nil {
		t.Fatal(err)
	}
	const want = `make 0
send 5
receive 5 hello 0 0
back 3
cut 2 yo
bound socket EIO, connected EIO, closed EBADF, -2 EBADF, nine EINVAL
-1: 0 0 1 -1
eight: 0 0 3 2
capability 3 3 1
through it ok 5
memory EINVAL ENOMEM EINVAL 3 1 shared
cut off EPERM
data 3 EIO 4 3 abc
full EAGAIN 1
closed: send EIO, receive EIO
nobody: EIO ECONNREFUSED
kinds: EINVAL EINVAL EIO
no capability: EIO
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", &out, want)
	}
}

// TestNativeIMCServer: a server in C, clients in Go.
func TestNativeIMCServer(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	acc, object, err := imc.Kernel.Endpoints()
	if err != nil {
		t.Fatal(err)
	}
	server := start(t, ctx, nativeIMC(t), "serve", acc, new(bytes.Buffer))
	if err := acc.Close(); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 1, 5, 131064, 131065, 1_000_000} {
		q := bytes.Repeat([]byte("a"), size)
		r, descs, err := imc.Call(ctx, object, q)
		if err != nil || len(descs) != 0 || !bytes.Equal(r, bytes.ToUpper(q)) {
			t.Fatalf("%d bytes: %d back, %d descriptors, %v", size, len(r), len(descs), err)
		}
	}
	_, _, err = imc.Call(ctx, object, []byte("fail"))
	var ce *imc.CallError
	if !errors.As(err, &ce) || !errors.Is(err, unix.EPERM) {
		t.Errorf("a call that fails: %v", err)
	}
	// Descriptors of all kinds, more than fit into one message, there and back.
	memory, err := imc.NewSharedMemory(0x20000)
	if err != nil {
		t.Fatal(err)
	}
	a, b := imc.NewDataPair()
	f, err := os.Open("testdata/imc.c")
	if err != nil {
		t.Fatal(err)
	}
	file, err := imc.NewFile(f)
	if err != nil {
		t.Fatal(err)
	}
	send := []imc.Desc{memory, object, b, file, imc.Invalid}
	for range 15 {
		send = append(send, memory)
	}
	_, back, err := imc.Call(ctx, object, nil, send...)
	if err != nil || len(back) != len(send) {
		t.Fatalf("%d descriptors, %v", len(back), err)
	}
	for i, d := range back {
		if d.Kind() != send[i].Kind() {
			t.Errorf("descriptor %d went as %v and came as %v", i, send[i].Kind(), d.Kind())
		}
	}
	if err := a.Send(ctx, []byte("through C")); err != nil {
		t.Fatal(err)
	}
	m, err := back[2].(*imc.DataSocket).Receive(ctx)
	if err != nil || string(m.Data) != "through C" {
		t.Errorf("a data socket that went through C: %q, %v", m.Data, err)
	}
	for _, d := range append(back, memory, a, b, file, object) {
		_ = d.Close()
	}
	// With the last capability the server ends.
	if err := server.Wait(); err != nil {
		t.Errorf("the server: %v", err)
	}
}

// TestNativeIMCClient: a client in C, a server in Go.
func TestNativeIMCClient(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	acc, object, err := imc.Kernel.Endpoints()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		done <- imc.Serve(ctx, acc, func(_ context.Context, data []byte, descs []imc.Desc) ([]byte, []imc.Desc, error) {
			if string(data) == "fail" {
				return nil, nil, unix.EPERM
			}
			return bytes.ToUpper(data), descs, nil
		})
	}()
	var out bytes.Buffer
	cmd := start(t, ctx, nativeIMC(t), "call", object, &out)
	if err := object.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if want := "call 700000 1 1 0\ncut 3 SHO 1\nerror EPERM\nnothing ok\n"; out.String() != want {
		t.Errorf("got\n%swant\n%s", &out, want)
	}
	if err := <-done; err != nil && !strings.Contains(err.Error(), "EPIPE") && !errors.Is(err, unix.EPIPE) {
		t.Errorf("the server: %v", err)
	}
}

// TestNativeIMCLate: a failure in the middle of a reply makes void what came before.
func TestNativeIMCLate(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	acc, object, err := imc.Kernel.Endpoints()
	if err != nil {
		t.Fatal(err)
	}
	defer acc.Close()
	var out bytes.Buffer
	cmd := start(t, ctx, nativeIMC(t), "late", object, &out)
	if err := object.Close(); err != nil {
		t.Fatal(err)
	}
	for _, parts := range [][]string{
		{"CAL1\x01\x00\x00\x00\x01\x00\x00\x00the first part", "CAL1\x02\x00\x00\x00\x0d\x00\x00\x00no more"},
		{"CAL1\x01\x00\x00\x00the first part"},
	} {
		c, err := acc.Accept(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Receive(ctx); err != nil {
			t.Fatal(err)
		}
		for _, p := range parts {
			if err := c.Send(ctx, []byte(p), imc.Invalid); err != nil {
				t.Fatal(err)
			}
		}
		_ = c.Close()
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if want := "late EACCES ECONNRESET\n"; out.String() != want {
		t.Errorf("got %q, want %q", &out, want)
	}
}
