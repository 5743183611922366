package libcshim

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/halite-run/halite/imc"
	"github.com/halite-run/halite/imc/fileservice"
)

// filesGuest runs a scene of the file service's client, which toolchain/sysroot tests
// outside of a sandbox.
func filesGuest(t *testing.T, prog string, env, args []string, descs map[int]imc.Desc) {
	t.Helper()
	r := &guestRun{cfg: Config{
		Program: "/bin/prog", Args: append([]string{"/bin/prog"}, args...), Env: env, Dir: "/tmp",
		Namespace: newTree(t, prog, t.TempDir()), Descriptors: descs,
	}}
	r.run(t, within(t, time.Minute))
	r.wantOK(t)
}

// TestIMCFiles: files of the host through messages, for a guest that has no file system
// with them; in memory, and with a server behind sockets.
func TestIMCFiles(t *testing.T) {
	prog := build(t, "../toolchain/sysroot/testdata/files.c", "-lnacl")
	for _, tr := range []imc.Transport{imc.Memory, imc.Kernel} {
		t.Run(tr.String(), func(t *testing.T) {
			dir := t.TempDir()
			check(t, os.Mkdir(filepath.Join(dir, "many"), 0o755))
			for i := range 1000 {
				check(t, os.WriteFile(filepath.Join(dir, "many", fmt.Sprintf("%04d%s", i, strings.Repeat("n", 200))), nil, 0o644))
			}
			tree, err := fileservice.Dir(dir, true)
			check(t, err)
			acc, object, err := tr.Endpoints()
			check(t, err)
			served := make(chan error, 1)
			go func() { served <- (&fileservice.Server{Backend: tree}).Serve(t.Context(), acc) }()
			filesGuest(t, prog, nil, []string{"all", "10"}, map[int]imc.Desc{10: object})
			check(t, object.Close())
			check(t, <-served)
			check(t, acc.Close())
		})
	}
}

// TestIMCFilesOld: the two versions of Native Client's port, on its descriptors.
func TestIMCFilesOld(t *testing.T) {
	prog := build(t, "../toolchain/sysroot/testdata/files.c", "-lnacl")
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "hello"), []byte("hello"), 0o644))
	tree, err := fileservice.Dir(dir, true)
	check(t, err)
	server := &fileservice.Server{Backend: tree}
	here, there, err := imc.Memory.ConnectedPair()
	check(t, err)
	back, answers, err := imc.Memory.ConnectedPair()
	check(t, err)
	go server.ServeConn(t.Context(), here, here)
	filesGuest(t, prog, []string{"NACL_FD=1"}, []string{"old", "1"}, map[int]imc.Desc{3: there})
	check(t, there.Close()) // the first server ends
	here2, there2, err := imc.Memory.ConnectedPair()
	check(t, err)
	go server.ServeConn(t.Context(), here2, back)
	filesGuest(t, prog, []string{"NACL_FILE_RPC=1"}, []string{"old", "2"}, map[int]imc.Desc{6: there2, 7: answers})
	text, err := os.ReadFile(filepath.Join(dir, "new"))
	check(t, err)
	if string(text) != "text" {
		t.Errorf("%q", text)
	}
	for _, s := range []*imc.ConnectedSocket{here, back, answers, here2, there2} {
		_ = s.Close()
	}
}

// TestIMCFilesGone: a service that goes away in the middle of an answer.
func TestIMCFilesGone(t *testing.T) {
	prog := build(t, "../toolchain/sysroot/testdata/files.c", "-lnacl")
	here, there, err := imc.Memory.ConnectedPair()
	check(t, err)
	go func() {
		defer here.Close()
		for n := 0; n < 3; n++ {
			m, err := here.Receive(context.Background())
			if err != nil {
				return
			}
			reply := binary.LittleEndian.AppendUint32([]byte("FSR3"), binary.LittleEndian.Uint32(m.Data[4:]))
			_ = here.Send(context.Background(), append(reply, make([]byte, 16)...))
		}
	}()
	filesGuest(t, prog, nil, []string{"gone", "10"}, map[int]imc.Desc{10: there})
	_ = there.Close()
}
