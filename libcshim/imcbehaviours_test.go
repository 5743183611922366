package libcshim

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/imc"
)

// What Native Client's IMC does, seen from guests; docs/imc.md has the list. The two guests
// are in one process, or each in one of its own.

func behavioursGuest(t *testing.T) string { return build(t, "testdata/imc/behaviours.c", "-lnacl") }

// farGuest is the environment variable that makes a test process the far side's.
const farGuest = "HALITE_TEST_IMC_FAR"

func TestIMCBehaviours(t *testing.T) {
	if prog := os.Getenv(farGuest); prog != "" {
		y, err := imc.NewConnectedSocket(os.NewFile(3, "connected"))
		check(t, err)
		acc, err := imc.NewAcceptEndpoint(os.NewFile(4, "accepting"))
		check(t, err)
		far, ended := objectRun(t, prog, "far", map[int]imc.Desc{10: y, 11: acc})
		// The guest is to have the only handle: it waits for the end of both.
		for acc.Ready()&imc.HangUp == 0 {
			time.Sleep(time.Millisecond)
		}
		check(t, y.Close())
		<-ended
		far.wantOK(t)
		return
	}
	prog := behavioursGuest(t)
	near := func(t *testing.T, x *imc.ConnectedSocket, c *imc.ConnectEndpoint) {
		dir := t.TempDir()
		check(t, os.WriteFile(filepath.Join(dir, "f"), []byte("0123456789"), 0o600))
		r := imcScene(t, prog, "near", map[int]imc.Desc{10: x, 12: c})
		r.cfg.Namespace = newTree(t, prog, dir)
		r.run(t, within(t, time.Minute))
		r.wantOK(t)
		check(t, x.Close())
		check(t, c.Close())
	}
	for _, w := range imcWays {
		t.Run(w.name, func(t *testing.T) {
			x, y := w.connected(t)
			acc, c := w.endpoints(t)
			far, ended := objectRun(t, prog, "far", map[int]imc.Desc{10: y, 11: acc})
			near(t, x, c)
			<-ended
			far.wantOK(t)
			check(t, y.Close())
			check(t, acc.Close())
		})
	}
	t.Run("another process", func(t *testing.T) {
		x, y, err := imc.Kernel.ConnectedPair()
		check(t, err)
		acc, c, err := imc.Kernel.Endpoints()
		check(t, err)
		child := exec.CommandContext(within(t, 2*time.Minute), os.Args[0], "-test.run=^TestIMCBehaviours$")
		child.Env = append(os.Environ(), farGuest+"="+prog)
		child.Stderr = os.Stderr
		for _, e := range []interface{ File() (*os.File, error) }{y, acc} {
			f, err := e.File()
			check(t, err)
			defer f.Close()
			child.ExtraFiles = append(child.ExtraFiles, f)
		}
		check(t, y.Close())
		check(t, acc.Close())
		check(t, child.Start())
		for _, f := range child.ExtraFiles {
			check(t, f.Close())
		}
		near(t, x, c)
		check(t, child.Wait())
	})
}

// TestIMCMapping: memory that is unmapped, made read-only or replaced under a call that
// receives into it.
func TestIMCMapping(t *testing.T) {
	prog := behavioursGuest(t)
	for _, w := range imcWays {
		t.Run(w.name, func(t *testing.T) {
			a, b := w.connected(t)
			x, y := w.data(t)
			mine, theirs := imc.NewDataPair()
			run := imcScene(t, prog, "mapping", map[int]imc.Desc{10: a, 14: b, 13: x, 15: y, 16: theirs})
			r := start(t, run)
			for i := range 6 {
				r.waits([]int{13, 10}[i%2])
				check(t, mine.Send(within(t, time.Minute), []byte("x")))
				for r.waiting([]int{13, 10}[i%2]) {
					time.Sleep(time.Millisecond)
				}
			}
			r.end()
			for _, d := range []imc.Desc{a, b, x, y, mine, theirs} {
				check(t, d.Close())
			}
		})
	}
}

// TestIMCFileModes: what a file of the host that the guest was given can be used for is
// what it was opened for, and so for its mappings.
func TestIMCFileModes(t *testing.T) {
	prog := behavioursGuest(t)
	name := filepath.Join(t.TempDir(), "file")
	check(t, os.WriteFile(name, make([]byte, 4096), 0o600))
	descs := map[int]imc.Desc{}
	for fd, mode := range map[int]int{20: unix.O_RDONLY, 21: unix.O_WRONLY, 22: unix.O_RDWR} {
		f, err := os.OpenFile(name, mode, 0)
		check(t, err)
		d, err := imc.NewFile(f)
		check(t, err)
		check(t, f.Close())
		defer d.Close()
		descs[fd] = d
	}
	r := imcScene(t, prog, "modes", descs)
	r.run(t, within(t, time.Minute))
	r.wantOK(t)
}
