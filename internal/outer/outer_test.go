package outer

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Enter is for the rest of a process's life, so each scene is a child process.

// scenes are what children try.
var scenes = map[string]func(ro, rw string) error{
	"files": func(ro, rw string) error {
		if _, err := os.ReadFile(filepath.Join(ro, "a")); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(rw, "new"), []byte("x"), 0o600); err != nil {
			return err
		}
		if err := os.Mkdir(filepath.Join(rw, "d"), 0o700); err != nil {
			return err
		}
		if err := unix.Renameat2(unix.AT_FDCWD, filepath.Join(rw, "new"), unix.AT_FDCWD, filepath.Join(rw, "d", "moved"), 0); err != nil {
			return err
		}
		for what, err := range map[string]error{
			"write below a read-only directory": os.WriteFile(filepath.Join(ro, "b"), nil, 0o600),
			"write a read-only file":            os.WriteFile(filepath.Join(ro, "a"), nil, 0o600),
			"read elsewhere":                    second(os.ReadFile("/etc/passwd")),
			"list elsewhere":                    second(os.ReadDir("/")),
			"read this process's memory":        second(os.ReadFile("/proc/self/maps")),
			"write elsewhere":                   os.WriteFile(filepath.Join(os.TempDir(), "halite-outer"), nil, 0o600),
			"a fifo":                            unix.Mkfifo(filepath.Join(rw, "p"), 0o600),
			"a link to elsewhere":               second(os.ReadFile(filepath.Join(rw, "out"))),
		} {
			if !errors.Is(err, os.ErrPermission) {
				return fmt.Errorf("%s: %v", what, err)
			}
		}
		return nil
	},
	"calls": func(ro, rw string) error {
		for what, err := range map[string]error{
			"execute":            exec.Command("/bin/true").Run(),
			"a TCP socket":       second(unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)),
			"a Unix socket":      second(unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)),
			"a netlink socket":   second(unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, 0)),
			"trace":              unix.PtraceAttach(os.Getppid()),
			"signal the parent":  unix.Tgkill(os.Getppid(), os.Getppid(), unix.SIGTERM),
			"kill the parent":    unix.Kill(os.Getppid(), unix.SIGTERM),
			"read other memory":  second(unix.ProcessVMReadv(os.Getppid(), make([]unix.Iovec, 1), nil, 0)),
			"type at a terminal": unix.IoctlSetPointerInt(0, unix.TIOCSTI, 'x'),
			"mount":              unix.Mount("", rw, "tmpfs", 0, ""),
			"a user namespace":   unix.Unshare(unix.CLONE_NEWUSER),
			"bpf":                errno(unix.SYS_BPF),
			"io_uring":           errno(unix.SYS_IO_URING_SETUP),
			"userfaultfd":        errno(unix.SYS_USERFAULTFD),
			"fork":               errno(unix.SYS_FORK),
			"a process by clone": errno(unix.SYS_CLONE),
			"clone3":             errno(unix.SYS_CLONE3),
			"setuid":             errno(unix.SYS_SETUID),
			"prctl":              errno(unix.SYS_PRCTL),
			"a second filter":    errno(unix.SYS_SECCOMP),
		} {
			if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
				return fmt.Errorf("%s: %v", what, err)
			}
		}
		return nil
	},
	"threads": func(ro, rw string) error {
		// What Go needs goes on: threads, the collector, timers, pipes. The wall holds
		// for threads that begin later.
		var wg sync.WaitGroup
		wrong := make(chan error, 50)
		for range 50 {
			wg.Go(func() {
				runtime.LockOSThread() // a thread of its own, which ends with the goroutine
				time.Sleep(time.Millisecond)
				if _, err := os.ReadFile("/etc/passwd"); !errors.Is(err, os.ErrPermission) {
					wrong <- fmt.Errorf("another thread: %v", err)
				}
			})
		}
		wg.Wait()
		runtime.GC()
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		time.AfterFunc(time.Millisecond, func() { w.Close() })
		if n, err := r.Read(make([]byte, 1)); n != 0 || err == nil || err.Error() != "EOF" {
			return fmt.Errorf("read: %v", err)
		}
		select {
		case err := <-wrong:
			return err
		default:
			return nil
		}
	},
	"missing": nil,
}

func second[T any](_ T, err error) error { return err }

func errno(nr uintptr) error {
	if _, _, e := unix.RawSyscall(nr, 0, 0, 0); e != 0 {
		return e
	}
	return nil
}

func TestEnter(t *testing.T) {
	for name := range scenes {
		t.Run(name, func(t *testing.T) {
			ro, rw := t.TempDir(), t.TempDir()
			if err := os.WriteFile(filepath.Join(ro, "a"), []byte("a"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("/etc/passwd", filepath.Join(rw, "out")); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(os.Args[0], "-test.run=^TestChild$")
			cmd.Env = append(os.Environ(), "HALITE_OUTER="+name, "HALITE_RO="+ro, "HALITE_RW="+rw)
			out, err := cmd.CombinedOutput()
			said := strings.TrimSpace(string(out))
			switch {
			case strings.Contains(said, "runtime/cgo"), strings.Contains(said, "no Landlock"):
				t.Skip(said)
			case name == "missing":
				if err == nil || !strings.Contains(said, "no/such/directory") {
					t.Errorf("%v: %s", err, said)
				}
			case err != nil || said != "":
				t.Errorf("%v: %s", err, said)
			}
		})
	}
}

func TestChild(t *testing.T) {
	name := os.Getenv("HALITE_OUTER")
	if name == "" {
		t.Skip("is for TestEnter")
	}
	c := Config{ReadOnly: []string{os.Getenv("HALITE_RO")}, ReadWrite: []string{os.Getenv("HALITE_RW")}}
	if name == "missing" {
		c.ReadOnly = append(c.ReadOnly, "/no/such/directory")
	}
	err := Enter(c)
	if err == nil {
		err = scenes[name](os.Getenv("HALITE_RO"), os.Getenv("HALITE_RW"))
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// TestFilter: the jumps of the program stay within it, and every path ends.
func TestFilter(t *testing.T) {
	p := assemble(1)
	if len(p) > unix.BPF_MAXINSNS {
		t.Errorf("%d instructions", len(p))
	}
	for i, x := range p {
		if x.Code&7 == unix.BPF_JMP && (i+1+int(x.Jt) >= len(p) || i+1+int(x.Jf) >= len(p)) {
			t.Errorf("instruction %d jumps out", i)
		}
	}
	if p[len(p)-1].Code&7 != unix.BPF_RET {
		t.Error("the end is open")
	}
	seen := map[uint32]bool{unix.SYS_CLONE: true, unix.SYS_TGKILL: true, unix.SYS_IOCTL: true}
	for _, nr := range allowed {
		if seen[nr] {
			t.Errorf("system call %d is named twice", nr)
		}
		seen[nr] = true
	}
}
