// Package pty opens pseudo terminals and plays the user at one: for tests of
// interactive programs and for recordings of them.
package pty

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Open makes a pseudo terminal of a size. The program gets slave.
func Open(rows, cols uint16) (master, slave *os.File, err error) {
	master, err = os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			master.Close()
		}
	}()
	fd := int(master.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, nil, err
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, err
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols}); err != nil {
		return nil, nil, err
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	return master, slave, err
}

// A User reads what appears at a terminal and types.
type User struct {
	master *os.File

	mu   sync.Mutex
	seen bytes.Buffer
	at   int // what Expect has passed
	end  bool
}

// NewUser begins to read from the master of a terminal.
func NewUser(master *os.File) *User {
	u := &User{master: master}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			u.mu.Lock()
			u.seen.Write(buf[:n])
			u.end = err != nil
			u.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return u
}

// Type writes keys.
func (u *User) Type(keys string) error {
	_, err := u.master.WriteString(keys)
	return err
}

// Expect waits until text has appeared behind what was expected before, and
// returns what came up to its end.
func (u *User) Expect(text string, timeout time.Duration) (string, error) {
	deadline := time.Now().Add(timeout)
	for {
		u.mu.Lock()
		rest := u.seen.Bytes()[u.at:]
		n := bytes.Index(rest, []byte(text))
		var got string
		if n >= 0 {
			n += len(text)
			got = string(rest[:n])
			u.at += n
		}
		end := u.end
		u.mu.Unlock()
		switch {
		case n >= 0:
			return got, nil
		case end || time.Now().After(deadline):
			return "", fmt.Errorf("%q did not appear; what did since the last: %q", text, rest)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// Seen is all that has appeared.
func (u *User) Seen() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.seen.String()
}
