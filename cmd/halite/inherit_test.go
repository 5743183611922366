package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

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
