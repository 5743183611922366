package libcshim

import (
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openPTY makes a pseudo terminal.
func openPTY(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no pseudo terminals:", err)
	}
	t.Cleanup(func() { master.Close() })
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	check(t, err)
	check(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo terminals:", err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

// TestTerminal: a terminal is one for the guest too, and is left as it was.
func TestTerminal(t *testing.T) {
	_, slave := openPTY(t)
	check(t, unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 11, Col: 22}))
	before, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	check(t, err)
	r := scene(t, scenes(t), "T")
	r.cfg.Stdin = slave
	r.run(t, within(t, 20*time.Second))
	want := `isatty(0) = 1
tcgetattr(0, &t) = 0
(t.c_lflag & ECHO) != 0 = 1
tcsetattr(0, TCSANOW, &t) = 0
tcgetattr(0, &t) = 0
(t.c_lflag & ECHO) != 0 = 0
ioctl(0, TIOCGWINSZ, &w) = 0
w.ws_row = 11
w.ws_col = 22
ioctl(0, TIOCSTI, "x") = -1 Not a tty
isatty(tty) = 1
strcmp(ttyname(0), "/dev/tty") = 0
`
	if got := r.stdout.String(); got != want {
		t.Errorf("%s\n%v %v", differences(got, want), r.status, r.err)
	}
	after, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	check(t, err)
	if *after != *before {
		t.Errorf("the terminal was left as %+v", after)
	}
}

// TestTerminalInput: a guest that waits for a terminal gets what is typed, and a
// deadline ends the wait.
func TestTerminalInput(t *testing.T) {
	prog := scenes(t)
	master, slave := openPTY(t)
	r := scene(t, prog, "r")
	r.cfg.Stdin = slave
	time.AfterFunc(20*time.Millisecond, func() { master.WriteString("typed\n") })
	r.run(t, within(t, 20*time.Second))
	if got := r.stdout.String(); got != "6\n" {
		t.Errorf("%q", got)
	}
	r = scene(t, prog, "r")
	r.cfg.Stdin = slave
	r.run(t, within(t, 50*time.Millisecond))
	if r.status.Signal != int(unix.SIGKILL) {
		t.Errorf("%v, %v", r.status, r.err)
	}
}
