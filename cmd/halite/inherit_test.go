package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/imc"
)

// given is a descriptor as a parent process would have left it.
func given(t *testing.T, f *os.File, err error) int {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD, 3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func TestInherit(t *testing.T) {
	acc, conn, err := imc.Kernel.Endpoints()
	if err != nil {
		t.Fatal(err)
	}
	defer acc.Close()
	defer conn.Close()
	x, y := imc.NewDataPair()
	defer x.Close()
	defer y.Close()
	accFile, err := acc.File()
	accFD := given(t, accFile, err)
	connFile, err := conn.File()
	connFD := given(t, connFile, err)
	dataFile, err := x.File()
	dataFD := given(t, dataFile, err)
	file, err := os.Create(t.TempDir() + "/f")
	fileFD := given(t, file, err)

	descs, err := inherit([]string{
		fmt.Sprintf("%d:accept:10", accFD), fmt.Sprintf("%d:connect:11", connFD), fmt.Sprintf("%d:data:12", dataFD), fmt.Sprintf("%d:file", fileFD),
	})
	if err != nil {
		t.Fatal(err)
	}
	for fd, kind := range map[int]imc.Kind{10: imc.KindAcceptEndpoint, 11: imc.KindConnectEndpoint, 12: imc.KindDataSocket, fileFD: imc.KindFile} {
		if d := descs[fd]; d == nil || d.Kind() != kind {
			t.Errorf("%d: %v, want %v", fd, d, kind)
		}
	}
	c, err := descs[11].(*imc.ConnectEndpoint).TryConnect()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	a, err := descs[10].(*imc.AcceptEndpoint).Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := descs[12].(*imc.DataSocket).TrySend([]byte("data")); err != nil {
		t.Fatal(err)
	}
	if m, err := y.Receive(t.Context()); err != nil || string(m.Data) != "data" {
		t.Errorf("%q, %v", m.Data, err)
	}
	closeInherited(descs)

	own, err := os.Open("/dev/null") // closes on exec: not inherited
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	for spec, want := range map[string]string{
		"3": "want fd:kind", "x:file": "no descriptor", "1:file": "standard streams", "1:file:2": "standard streams",
		"9999:file": "not given", fmt.Sprintf("%d:file", own.Fd()): "not given",
		fmt.Sprintf("%d:connect", fileFD): "SOCK_SEQPACKET", fmt.Sprintf("%d:nothing", fileFD): "want connect",
	} {
		if _, err := inherit([]string{spec}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", spec, err, want)
		}
	}
	if _, err := inherit([]string{fmt.Sprintf("%d:data:5", dataFD), fmt.Sprintf("%d:file:5", fileFD)}); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Error(err)
	}
}

// TestInheritRun: "halite run -i" with each kind, to a program that uses it; the other side
// is this process.
func TestInheritRun(t *testing.T) {
	halite := buildCommand(t)
	prog := filepath.Join(t.TempDir(), "prog")
	if out, err := exec.Command(halite, "cc", "-O1", "-static", "-o", prog, "testdata/inherit.c", "-lnacl").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// run gives the program f as what kind says, and wants it to print a line.
	run := func(kind, scene, want string, f *os.File, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		cmd := exec.CommandContext(ctx, halite, "run", "-i", "3:"+kind+":10", prog, scene)
		cmd.ExtraFiles = []*os.File{f}
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != want+"\n" {
			t.Errorf("%s: %v: %q, not %q", kind, err, out, want)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	acc, conn, err := imc.Kernel.Endpoints()
	must(err)
	served := make(chan error, 1)
	go func() {
		served <- imc.Serve(ctx, acc, func(_ context.Context, data []byte, _ []imc.Desc) ([]byte, []imc.Desc, error) {
			return bytes.ToUpper(data), nil, nil
		})
	}()
	f, err := conn.File()
	run("connect", "connect", "connect: QUESTION", f, err)
	must(conn.Close())
	must(<-served)
	must(acc.Close())

	acc, conn, err = imc.Kernel.Endpoints()
	must(err)
	go func() {
		defer func() { served <- nil }()
		c, err := conn.Connect(ctx)
		must(err)
		defer c.Close()
		must(c.Send(ctx, []byte("hello")))
		m, err := c.Receive(ctx)
		must(err)
		if string(m.Data) != "accepted" {
			t.Errorf("%q", m.Data)
		}
	}()
	f, err = acc.File()
	must(acc.Close())
	run("accept", "accept", "accept: hello", f, err)
	<-served
	must(conn.Close())

	a, b, err := imc.Kernel.ConnectedPair()
	must(err)
	x, y := imc.NewDataPair() // moves when it becomes a file
	f, err = b.File()
	g, gerr := y.File()
	for _, s := range []imc.Socket{a, x} {
		must(s.Send(ctx, []byte("question")))
	}
	run("socket", "socket", "socket: question", f, err)
	run("data", "data", "data: question", g, gerr)
	for _, s := range []imc.Socket{a, x} {
		if m, err := s.Receive(ctx); err != nil || string(m.Data) != "answer" {
			t.Errorf("%q, %v", m.Data, err)
		}
	}
	for _, s := range []imc.Socket{a, b, x, y} {
		must(s.Close())
	}

	name := filepath.Join(t.TempDir(), "file")
	must(os.WriteFile(name, []byte("content "), 0o644))
	f, err = os.OpenFile(name, os.O_RDWR, 0)
	run("file", "file", "file: content ", f, err)
	if got, _ := os.ReadFile(name); string(got) != "content written" {
		t.Errorf("%q", got)
	}

	m, err := imc.NewSharedMemory(0x20000)
	must(err)
	v, err := m.Map()
	must(err)
	copy(v.Bytes, "host")
	f, err = m.File()
	run("memory", "memory", "memory: host", f, err)
	if got := string(v.Bytes[0x10000:0x10005]); got != "guest" {
		t.Errorf("%q", got)
	}
	f, err = m.File()
	must(err)
	readOnly, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	must(f.Close())
	run("memory", "read-only", "read-only: host", readOnly, err)
	if got := string(v.Bytes[:4]); got != "host" {
		t.Errorf("the program has written to memory that it may read: %q", got)
	}
	must(v.Unmap())
	must(m.Close())

	// What is no memory that can be relied on is refused before anything runs.
	f, err = os.Open(name)
	must(err)
	defer f.Close()
	cmd := exec.CommandContext(ctx, halite, "run", "-i", "3:memory:10", prog, "memory")
	cmd.ExtraFiles = []*os.File{f}
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "memfd_create") {
		t.Errorf("%v: %s", err, out)
	}
}
