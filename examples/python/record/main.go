// Command record plays an interactive session of CPython in the sandbox at a
// pseudo terminal and writes what the user would see: the recording in
// docs/python.md is made by it.
//
//	go run ./examples/python/record -write docs/python.md
//	go run ./examples/python/record -raw session.txt     # with its colours, for `cat`
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/halite-run/halite/internal/pty"
)

var (
	binary = flag.String("halite", "bin/halite", "the halite command")
	raw    = flag.String("raw", "", "a file for the session as the terminal got it")
	write  = flag.String("write", "", "a Markdown file whose part between the marks is replaced")
)

// steps are what the user types, and what must then have appeared.
var steps = []struct{ keys, want string }{
	{"", ">>> "},
	{"import sys, os, ssl, sqlite3, ctypes\r", ">>> "},
	{"sys.version\r", ">>> "},
	{"ssl.OPENSSL_VERSION, sqlite3.sqlite_version\r", ">>> "},
	{"2 ** 100\r", ">>> "},
	{"\x1b[A\x7f\x7f\x7f64\r", ">>> "}, // the line before, edited
	{"db = sqlite3.connect(':memory:')\r", ">>> "},
	{"db.execute(\"select 'hello from ' || sqlite_version()\").fetchone()\r", ">>> "},
	{"libc = ctypes.CDLL('libc.so')\r", ">>> "},
	{"libc.printf(b'%s %d\\n', b'printf says', 42)\r", ">>> "},
	{"print('\\x1b[1;32mcolours\\x1b[0m')\r", ">>> "},
	{"def spin():\r", "... "},
	{"    while True: pass\r", "... "},
	{"\r", ">>> "},
	{"spin()\r", "spin()\r\n"},
	{"\x03", ">>> "}, // Ctrl-C
	{"os.listdir('/')\r", ">>> "},
	{"open('/etc/passwd')\r", ">>> "},
	{"import subprocess, multiprocessing\r", ">>> "},
	{"subprocess.run([sys.executable, '-c', 'print(6 * 7)'])\r", ">>> "},
	{"os.system('echo this is the shell, $0')\r", ">>> "},
	{"os.waitpid(os.fork() or os._exit(7), 0)\r", ">>> "},
	{"multiprocessing.Pool(3).map(abs, [-3, -2, -1])\r", ">>> "},
	{"import socket; socket.socket()\r", ">>> "},
	{"ctypes.string_at(8)\r", "(/usr/bin/python3.11)"},
}

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

func run() error {
	master, slave, err := pty.Open(40, 100)
	if err != nil {
		return err
	}
	defer master.Close()
	path, err := filepath.Abs(*binary)
	if err != nil {
		return err
	}
	cmd := exec.Command(path, "run", "python3.11")
	cmd.Env = append(os.Environ(), "TERM=xterm-256color")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	slave.Close()
	defer cmd.Process.Kill()
	u := pty.NewUser(master)
	for _, s := range steps {
		// A person types, and the line editor redraws.
		for _, k := range keys.FindAllString(s.keys, -1) {
			if err := u.Type(k); err != nil {
				return err
			}
			time.Sleep(2 * time.Millisecond)
		}
		if strings.HasPrefix(s.keys, "spin") {
			time.Sleep(300 * time.Millisecond)
		}
		if _, err := u.Expect(s.want, 20*time.Second); err != nil {
			return err
		}
	}
	_ = cmd.Wait()
	time.Sleep(50 * time.Millisecond)
	seen := u.Seen()
	if *raw != "" {
		if err := os.WriteFile(*raw, []byte("$ halite run python3.11\r\n"+seen), 0o644); err != nil {
			return err
		}
	}
	text := "```\n$ halite run python3.11\n" + plain(seen) + "```\n"
	if *write == "" {
		fmt.Print(text)
		return nil
	}
	old, err := os.ReadFile(*write)
	if err != nil {
		return err
	}
	const begin, end = "<!-- session: written by examples/python/record -->\n", "<!-- /session -->"
	before, rest, ok := strings.Cut(string(old), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("%s: the marks are missing", *write)
	}
	return os.WriteFile(*write, []byte(before+begin+text+end+after), 0o644)
}

// keys splits what is typed into single keys.
var keys = regexp.MustCompile(`(?s)\x1b\[.|.`)

// plain is what a terminal shows of a session: colours left out, the cursor's
// movements within a line carried out.
func plain(s string) string {
	var out strings.Builder
	for _, line := range strings.Split(s, "\n") {
		var cells []rune
		at := 0
		for i := 0; i < len(line); {
			if m := escape.FindStringSubmatch(line[i:]); m != nil {
				n := 1
				fmt.Sscan(m[1], &n)
				switch m[2] {
				case "K":
					cells = cells[:min(at, len(cells))]
				case "C":
					at += n
				case "D":
					at = max(0, at-n)
				case "P":
					if at < len(cells) {
						cells = append(cells[:at], cells[min(len(cells), at+n):]...)
					}
				case "@":
					for range n {
						cells = append(cells[:min(at, len(cells))], append([]rune{' '}, cells[min(at, len(cells)):]...)...)
					}
				case "G":
					at = n - 1
				}
				i += len(m[0])
				continue
			}
			r := []rune(line[i:])[0]
			i += len(string(r))
			switch r {
			case '\r':
				at = 0
			case '\b':
				at = max(0, at-1)
			case '\a':
			default:
				for len(cells) <= at {
					cells = append(cells, ' ')
				}
				cells[at] = r
				at++
			}
		}
		out.WriteString(strings.TrimRight(string(cells), " ") + "\n")
	}
	return strings.TrimRight(out.String(), "\n") + "\n"
}

var escape = regexp.MustCompile(`^\x1b(?:\[\??([0-9;]*)([A-Za-z@]))`)
