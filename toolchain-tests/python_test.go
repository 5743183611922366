package toolchaintests

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/halite-run/halite"
	"github.com/halite-run/halite/imc"
	"github.com/halite-run/halite/internal/pty"
)

// python is the command line of the sandboxed interpreter, without arguments.
func python(t *testing.T, options ...string) []string {
	t.Helper()
	port(t, "python")
	port(t, "dash") // the /bin/sh of os.popen and of subprocess
	return append(append([]string{haliteCmd, "run"}, options...), "python3.11")
}

func run(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	return command(t, ".", nil, stdin, args...)
}

// TestPythonCommand: the ways to start it, and how it ends.
func TestPythonCommand(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("script.py", "import sys, helper\nprint(sys.argv, __name__, __file__, helper.x)\nsys.exit(5)\n")
	write("helper.py", "x = 42\n")
	py := python(t, "--dir", dir+":/job", "--cwd", "/job")
	for _, c := range []struct {
		args   string
		stdin  string
		status int
		stdout string // a regular expression
		stderr string
	}{
		{"-c|print('hello')", "", 0, "^hello\n$", "^$"},
		{"-c|import sys; sys.exit(3)", "", 3, "^$", "^$"},
		{"-c|1/0", "", 1, "^$", "ZeroDivisionError: division by zero"},
		{"-c|import os; os.kill(os.getpid(), 15)", "", 143, "^$", ""},
		{"script.py|a|b c", "", 5, `^\['script.py', 'a', 'b c'\] __main__ /job/script.py 42\n$`, "^$"},
		{"-m|helper", "", 0, "^$", "^$"},
		{"-m|json.tool", `{"b": [1, 2]}`, 0, `"b": \[`, "^$"},
		{"-", "print(6 * 7)\n", 0, "^42\n$", "^$"},
		{"", "print(6 * 7)\n", 0, "^42\n$", "^$"},
		{"-c|import sys; print(sys.stdin.read().upper())", "text\n", 0, "^TEXT\n\n$", "^$"},
		{"-V", "", 0, `^Python 3\.11\.\d+\n$`, "^$"},
		{"-c|import sys; print(sys.flags.isolated, sys.platform, sys.maxsize)", "", 0, `^0 linux 9223372036854775807\n$`, "^$"},
		{"-I|-S|-c|pass", "", 0, "^$", "^$"},
		{"missing.py", "", 2, "^$", "can't open file '/job/missing.py'"},
		{"-c|import subprocess; subprocess.run(['ls'])", "", 1, "^$", "FileNotFoundError: .*'ls'"},
		{"-c|import subprocess, sys; print(subprocess.check_output([sys.executable, '-I', '-S', '-c', 'print(6 * 7)']))", "", 0, `^b'42\\n'\n$`, "^$"},
		{"-c|import os; pid = os.fork(); pid or os._exit(7); print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))", "", 0, "^7\n$", "^$"},
		{"-c|import os\nwhile True: os.fork()", "", 1, "^$", "BlockingIOError: .*Resource temporarily unavailable"}, // a bomb has an end
		{"-c|import multiprocessing as m; print(m.Pool(3).map(abs, [-3, -2, -1]))", "", 0, `^\[3, 2, 1\]\n$`, ""},
		{"-c|import pty; print(pty.spawn(['/usr/bin/python3.11', '-I', '-S', '-c', 'print(6 * 7, open(\"/dev/tty\").isatty())']))", "", 0, "42 True", ""},
		{"-c|import socket; socket.socket()", "", 1, "^$", "PermissionError: .*Permission denied"},
		{"-c|import urllib.request; urllib.request.urlopen('http://localhost/')", "", 1, "^$", "URLError"},
	} {
		args := py
		if c.args != "" {
			args = append(args[:len(args):len(args)], strings.Split(c.args, "|")...)
		}
		r := run(t, c.stdin, args...)
		if r.status != c.status || !regexp.MustCompile(c.stdout).MatchString(r.stdout) || !regexp.MustCompile(c.stderr).MatchString(r.stderr) {
			t.Errorf("%s: status %d, want %d\n%s\n%s", c.args, r.status, c.status, head(r.stdout), head(r.stderr))
		}
	}
	// The byte-code cache is written where that is possible, and used.
	if _, err := os.Stat(filepath.Join(dir, "__pycache__", "helper.cpython-311.pyc")); err != nil {
		t.Error(err)
	}
}

// TestPythonModules: every extension module is a shared object that comes in
// through dlopen and does its work.
func TestPythonModules(t *testing.T) {
	dir := t.TempDir()
	mount, scripts := scripts(t)
	r := run(t, "", append(python(t, "--dir", mount, "--dir", dir+":/job", "--cwd", "/job"), scripts+"/modules.py")...)
	if r.status != 0 || !strings.HasSuffix(r.stdout, "all modules work\n") {
		t.Errorf("status %d\n%s\n%s", r.status, head(r.stdout), r.stderr)
	}
	// What sqlite3 wrote is a file of the host's.
	if data, err := os.ReadFile(filepath.Join(dir, "test.db")); err != nil || !bytes.HasPrefix(data, []byte("SQLite format 3")) {
		t.Error(err)
	}
}

// TestPythonNacl: the module nacl within one program, against an object of the host's,
// and invoked by the host.
func TestPythonNacl(t *testing.T) {
	mount, scripts := scripts(t)
	r := run(t, "", append(python(t, "--dir", mount), scripts+"/nacl_module.py")...)
	if r.status != 0 || r.stdout != "nacl works\n" {
		t.Fatalf("status %d\n%s\n%s", r.status, head(r.stdout), r.stderr)
	}
	acc, address := imc.NewEndpoints()
	defer address.Close()
	served := make(chan error, 1)
	go func() {
		served <- imc.Serve(t.Context(), acc, func(_ context.Context, data []byte, descs []imc.Desc) ([]byte, []imc.Desc, error) {
			return bytes.ToUpper(data), nil, nil
		})
	}()
	var out bytes.Buffer
	p, err := halite.New(halite.Config{
		GuestProgram: "/usr/bin/python3.11", Mounts: []halite.Mount{{Guest: "/usr", Host: port(t, "python"), ReadOnly: true}},
		Args: []string{"-c", `import nacl
answer = b"ready"
while True:
    question, descs, flags = nacl.return_and_wait(answer)
    if question == b"end":
        break
    answer = nacl.call(10, question)[0] + b" %d %d" % (len(descs), flags)
print("done")`},
		Descriptors: map[int]imc.Desc{10: address}, Invocable: true, Stdout: &out, Stderr: os.Stderr,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	first, _, err := p.Start(t.Context())
	if err != nil || string(first) != "ready" {
		t.Fatalf("%q, %v", first, err)
	}
	for _, question := range []string{"hello", strings.Repeat("long ", 10000), ""} {
		answer, _, err := p.Invoke(t.Context(), []byte(question))
		if want := strings.ToUpper(question) + " 0 0"; err != nil || string(answer) != want {
			t.Fatalf("%q, %v", head(string(answer)), err)
		}
	}
	var exit *halite.ExitError
	if _, _, err := p.Invoke(t.Context(), []byte("end")); !errors.As(err, &exit) || exit.Ending.Code != 0 || out.String() != "done\n" {
		t.Errorf("%v, %q", err, out.String())
	}
	p.Close()
	address.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// TestPythonExtensionRefused: an extension module built by the machine's own
// compiler does not get in.
func TestPythonExtensionRefused(t *testing.T) {
	py := python(t)
	dir := t.TempDir()
	src := filepath.Join(dir, "evil.c")
	if err := os.WriteFile(src, []byte("void *PyInit_evil(void) { __asm__(\"syscall\"); return 0; }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-shared", "-fPIC", "-o", filepath.Join(dir, "evil.so"), src).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	args := append(py[:len(py)-1:len(py)-1], "--dir", dir+":/job", "--cwd", "/job", "python3.11", "-c", "import evil")
	r := run(t, "", args...)
	if r.status != 1 || !strings.Contains(r.stderr, "ImportError: /job/evil.so") || !strings.Contains(r.stderr, "V-") {
		t.Errorf("status %d\n%s", r.status, r.stderr)
	}
}

// TestPythonZip: the standard library can be a zip file.
func TestPythonZip(t *testing.T) {
	home := port(t, "python")
	dir := t.TempDir()
	lib := filepath.Join(dir, "lib")
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	root := filepath.Join(home, "lib", "python3.11")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		switch {
		case d.IsDir() && (rel == "test" || rel == "lib-dynload" || d.Name() == "__pycache__" || strings.HasPrefix(rel, "config-")):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(rel, ".py"):
			return nil
		}
		w, err := z.Create(rel)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(lib, "python3.11"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(lib, "python311.zip"), buf.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	r := run(t, "", haliteCmd, "run", "--dir", lib+":/usr/lib:ro", "--dir", home+"/bin:/usr/bin:ro", "--dir", home+"/lib:/usr/local/lib:ro",
		"--dir", home+"/lib/python3.11/lib-dynload:/usr/lib/python3.11/lib-dynload:ro",
		filepath.Join(home, "bin", "python3.11"), "-c", "import json, os, zlib; print(json.__file__, zlib.crc32(b'x'))")
	if r.status != 0 || r.stdout != "/usr/lib/python311.zip/json/__init__.py 2363233923\n" {
		t.Errorf("status %d\n%s\n%s", r.status, head(r.stdout), head(r.stderr))
	}
}

// TestPythonPip installs a wheel from a directory with pip, from its wheel.
func TestPythonPip(t *testing.T) {
	wheels, err := filepath.Glob("/usr/share/python-wheels/pip-*.whl")
	if err != nil || len(wheels) == 0 {
		t.Skip("no pip wheel; apt-get install python3-pip-whl")
	}
	dir := t.TempDir()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for name, text := range map[string]string{
		"hello/__init__.py":                 "def greet():\n    return 'hello from a wheel'\n",
		"hello/__main__.py":                 "import hello\nprint(hello.greet())\n",
		"hello-1.0.dist-info/METADATA":      "Metadata-Version: 2.1\nName: hello\nVersion: 1.0\n",
		"hello-1.0.dist-info/WHEEL":         "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		"hello-1.0.dist-info/RECORD":        "hello/__init__.py,,\nhello/__main__.py,,\nhello-1.0.dist-info/METADATA,,\nhello-1.0.dist-info/WHEEL,,\nhello-1.0.dist-info/RECORD,,\n",
		"hello-1.0.dist-info/top_level.txt": "hello\n",
	} {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{"wheels", "local"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "wheels", "hello-1.0-py3-none-any.whl"), buf.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	py := python(t, "--dir", dir+"/wheels:/wheels:ro", "--dir", dir+"/local:/usr/local", "--dir", "/usr/share/python-wheels:/pip:ro")
	r := run(t, "", append(py, "/pip/"+filepath.Base(wheels[0])+"/pip", "install", "--break-system-packages", "--no-index", "--find-links", "/wheels", "hello")...)
	if r.status != 0 || !strings.Contains(r.stdout, "Successfully installed hello-1.0") {
		t.Fatalf("status %d\n%s\n%s", r.status, head(r.stdout), head(r.stderr))
	}
	if r := run(t, "", append(py, "-m", "hello")...); r.stdout != "hello from a wheel\n" {
		t.Errorf("status %d\n%s\n%s", r.status, head(r.stdout), head(r.stderr))
	}
}

// TestPythonTerminal plays a user at a terminal: line editing, history, completion,
// colours, Ctrl-C in a loop and at the prompt, Ctrl-D.
func TestPythonTerminal(t *testing.T) {
	py := python(t)
	master, slave, err := pty.Open(24, 80)
	if err != nil {
		t.Skip("no pseudo terminals:", err)
	}
	defer master.Close()
	cmd := exec.Command(py[0], py[1:]...)
	cmd.Env = append(os.Environ(), "TERM=xterm-256color")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	u := pty.NewUser(master)
	defer cmd.Process.Kill()
	for _, step := range []struct{ keys, want string }{
		{"", ">>> "},
		{"6 * 7\r", "\r\n42\r\n>>> "},
		// Left, left, backspace: 12x4 becomes 124... the cursor moves.
		{"print(1x3)\x1b[D\x1b[D\x7f2\r", "\r\n123\r\n>>> "},
		// Up brings the line before back.
		{"\x1b[A\r", "\r\n123\r\n>>> "},
		{"import zlib\r", ">>> "},
		{"import readline, rlcompleter; readline.parse_and_bind('bind ^I rl_complete')\r", ">>> "},
		{"zlib.adle\tb'abc')\r", "\r\n38600999\r\n"},
		{"", ">>> "},
		{"print('\\x1b[31mred\\x1b[0m')\r", "\x1b[31mred\x1b[0m\r\n>>> "},
		{"import os; os.get_terminal_size()\r", "os.terminal_size(columns=80, lines=24)\r\n>>> "},
		{"def f():\r", "... "},
		{"    while True: pass\r", "... "},
		{"\r", ">>> "},
		{"print('start'); f()\r", "start\r\n"},
		{"\x03", "KeyboardInterrupt\r\n>>> "},
		{"half a line\x03", "KeyboardInterrupt\r\n>>> "},
		{"import time; print('sleep'); time.sleep(100)\r", "sleep\r\n"},
		{"\x03", "KeyboardInterrupt\r\n>>> "},
		{"1 + 1\r", "\r\n2\r\n>>> "},
		{"\x04", ""},
	} {
		if err := u.Type(step.keys); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(step.want, "\r\n") {
			time.Sleep(50 * time.Millisecond) // the loop is to be under way
		}
		if _, err := u.Expect(step.want, 20*time.Second); err != nil {
			t.Fatalf("after %q: %v\n%s", step.keys, err, u.Seen())
		}
	}
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("Ctrl-D did not end it")
	}
}

// TestPythonSuite runs a part of CPython's own test suite; make python-tests
// runs all of it and compares with a native build.
func TestPythonSuite(t *testing.T) {
	modules := strings.Fields("test_abc test_array test_base64 test_binascii test_bisect test_bool test_bytes test_colorsys " +
		"test_contextlib test_copy test_csv test_ctypes test_dataclasses test_enum test_fnmatch test_functools test_heapq " +
		"test_json test_math test_openpty test_pickle test_popen test_pty test_queue test_sqlite3 test_struct test_wait3 test_wait4 test_zlib")
	// But for those that start gcc or ld.
	args := []string{"-m", "test", "-i", "*FindLibraryLinux*"}
	r := run(t, "", append(python(t, "--cwd", "/tmp"), append(args, modules...)...)...)
	if r.status != 0 || !strings.Contains(r.stdout, fmt.Sprintf("All %d tests OK", len(modules))) {
		t.Errorf("status %d\n%s\n%s", r.status, tail(r.stdout), tail(r.stderr))
	}
}

func tail(s string) string {
	if len(s) > 6000 {
		s = "…" + s[len(s)-6000:]
	}
	return s
}
