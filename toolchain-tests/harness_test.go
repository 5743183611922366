// Package toolchaintests builds small C programs twice, for the sandbox with
// halite cc and for the machine with musl-gcc, runs both, and compares what
// they write and how they end. Whatever the toolchain makes must also pass
// halite verify.
//
// A case is a file testdata/NAME.c, or a directory testdata/NAME with a main.c.
// Comments at the head of that file, all before the first line that is none,
// say what is special about it:
//
//	// cc: FLAG...          more flags and inputs for the last command
//	// opt: FLAG...         one build for each of these flags (default -O2)
//	// link: WAY...         dynamic (default), static, static-pie
//	// with: FILE...        further sources of the program
//	// objects: FILE...     sources compiled to $OUT/NAME.o beforehand
//	// archive: A.a O.o...  an archive made of such objects
//	// lib: L.so ARG...     a shared library, built in this order
//	// remove: FILE...      what is deleted from $OUT after building
//	// args: ARG...         arguments of the program
//	// env: NAME=VALUE...   its environment
//	// stdin: "TEXT"        its standard input
//	// native: skip         no reference; then status, stdout and stderr are what the case says
//	// status: N            the exit status in the sandbox, where it must differ
//	// stdout: "TEXT"       the output in the sandbox, likewise
//	// stderr: REGEXP       what standard error in the sandbox must contain, instead of being equal
//	// short                part of go test -short
//
// $OUT is the directory of the build, $SRC that of the sources, $LIBS the
// directory of the libraries as the running program sees it. A double-quoted
// word may hold spaces and Go's escapes.
//
// Builds are kept in $HALITE_CACHE (default ~/.cache/halite) under a key made
// of the tools and the sources, so that only what changed is built again.
package toolchaintests

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/halite-run/halite/toolchain"
)

// timeout bounds each command of a test. It is there to report a hang, so it
// is generous: the machine may be busy with something else.
const timeout = 2 * time.Minute

// haliteCmd is the command under test, and toolchainID names what it makes; TestMain
// sets both.
var haliteCmd, toolchainID string

// slots bounds how many commands run at the same time.
var slots = make(chan struct{}, 2)

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := func() (int, error) {
		tmp, err := os.MkdirTemp("", "halite-tests-")
		if err != nil {
			return 0, err
		}
		defer os.RemoveAll(tmp)
		if haliteCmd = os.Getenv("HALITE"); haliteCmd != "" {
			if toolchainID, err = hashFile(haliteCmd); err != nil {
				return 0, err
			}
		} else {
			toolchainID = toolchain.Fingerprint()
			haliteCmd = filepath.Join(tmp, "halite")
			out, err := exec.Command("go", "build", "-o", haliteCmd, "../cmd/halite").CombinedOutput()
			if err != nil {
				return 0, fmt.Errorf("go build ../cmd/halite: %v\n%s", err, out)
			}
		}
		if out, err := exec.Command(haliteCmd, "sysroot").CombinedOutput(); err != nil {
			return 0, fmt.Errorf("halite sysroot: %v\n%s", err, out)
		}
		forgetOldBuilds()
		return m.Run(), nil
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(code)
}

func cacheDir() string {
	if d := os.Getenv("HALITE_CACHE"); d != "" {
		return filepath.Join(d, "tests")
	}
	d, err := os.UserCacheDir()
	if err != nil {
		d = os.TempDir()
	}
	return filepath.Join(d, "halite", "tests")
}

// forgetOldBuilds removes what no test has used for a day.
func forgetOldBuilds() {
	entries, _ := os.ReadDir(cacheDir())
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > 24*time.Hour {
			os.RemoveAll(filepath.Join(cacheDir(), e.Name()))
		}
	}
}

func hashFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:12]), nil
}

// A tool is one of the two compilers.
type tool struct {
	name string
	cc   []string
	ar   []string
	id   func() string
}

var muslID = sync.OnceValue(func() string {
	out, _ := exec.Command("musl-gcc", "--version").Output()
	libc, _ := hashFile("/usr/lib/x86_64-linux-musl/libc.so")
	return string(out) + libc
})

func native() tool {
	return tool{"native", []string{"musl-gcc"}, []string{"ar"}, muslID}
}

func sandbox() tool {
	return tool{"halite", []string{haliteCmd, "cc"}, []string{haliteCmd, "ar"}, func() string { return toolchainID }}
}

// needMusl skips a test that compares with native programs where there is no compiler for them.
func needMusl(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("musl-gcc"); err != nil {
		t.Skip("musl-gcc is not installed (package musl-tools): nothing to compare with")
	}
}

type testCase struct {
	name, src, main              string
	opt, link, cc, with, objects []string
	archive, remove, args, env   []string
	libs                         [][]string
	stdin                        string
	skipNative, short            bool
	status                       *int
	stdout                       *string
	stderr                       *regexp.Regexp
}

func readCases(t *testing.T) []*testCase {
	t.Helper()
	entries, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	var cases []*testCase
	for _, e := range entries {
		c := &testCase{opt: []string{"-O2"}, link: []string{"dynamic"}}
		switch name := e.Name(); {
		case e.IsDir():
			c.name, c.src, c.main = name, filepath.Join("testdata", name), "main.c"
		case strings.HasSuffix(name, ".c"):
			c.name, c.src, c.main = strings.TrimSuffix(name, ".c"), "testdata", name
		default:
			continue
		}
		if err := c.readHead(); err != nil {
			t.Fatalf("%s: %v", filepath.Join(c.src, c.main), err)
		}
		cases = append(cases, c)
	}
	return cases
}

func (c *testCase) readHead() error {
	text, err := os.ReadFile(filepath.Join(c.src, c.main))
	if err != nil {
		return err
	}
	for n, line := range strings.Split(string(text), "\n") {
		comment, ok := strings.CutPrefix(line, "// ")
		if !ok {
			return nil
		}
		if n == 0 {
			continue // what the case shows
		}
		key, value, _ := strings.Cut(comment, ":")
		words, err := splitWords(value)
		if err != nil {
			return fmt.Errorf("line %d: %v", n+1, err)
		}
		if (key == "stdin" || key == "stdout") && len(words) != 1 {
			return fmt.Errorf("line %d: one quoted word is wanted", n+1)
		}
		switch key {
		case "cc":
			c.cc = words
		case "opt":
			c.opt = words
		case "link":
			c.link = words
		case "with":
			c.with = words
		case "objects":
			c.objects = words
		case "archive":
			c.archive = words
		case "lib":
			c.libs = append(c.libs, words)
		case "remove":
			c.remove = words
		case "args":
			c.args = words
		case "env":
			c.env = words
		case "stdin":
			c.stdin = words[0]
		case "native":
			c.skipNative = true
		case "status":
			status, err := strconv.Atoi(strings.TrimSpace(value))
			if err != nil {
				return err
			}
			c.status = &status
		case "stdout":
			c.stdout = &words[0]
		case "stderr":
			if c.stderr, err = regexp.Compile(strings.TrimSpace(value)); err != nil {
				return err
			}
		case "short":
			c.short = true
		default:
			return fmt.Errorf("line %d: unknown word %q", n+1, key)
		}
	}
	return nil
}

// splitWords splits at spaces; "..." is one word, with Go's escapes.
func splitWords(s string) ([]string, error) {
	var words []string
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		if s[0] != '"' {
			end := strings.IndexByte(s, ' ')
			if end < 0 {
				end = len(s)
			}
			words = append(words, s[:end])
			s = s[end:]
			continue
		}
		quoted, err := strconv.QuotedPrefix(s)
		if err != nil {
			return nil, fmt.Errorf("%s: %v", s, err)
		}
		word, _ := strconv.Unquote(quoted)
		words = append(words, word)
		s = s[len(quoted):]
	}
	return words, nil
}

// key identifies a build: the tool, the flags and every source that may take part.
func (c *testCase) key(tl tool, opt, link string) string {
	h := sha256.New()
	fmt.Fprintln(h, tl.name, tl.id(), opt, link)
	var files []string
	for _, pattern := range []string{filepath.Join(c.src, c.main), "testdata/*.h"} {
		m, _ := filepath.Glob(pattern)
		files = append(files, m...)
	}
	if c.src != "testdata" {
		filepath.WalkDir(c.src, func(p string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				files = append(files, p)
			}
			return err
		})
	}
	sort.Strings(files)
	for _, f := range files {
		id, err := hashFile(f)
		fmt.Fprintln(h, f, id, err)
	}
	return fmt.Sprintf("%s-%s-%x", c.name, tl.name, h.Sum(nil)[:10])
}

// build returns the directory that holds the program as prog and its libraries.
func (c *testCase) build(t *testing.T, tl tool, opt, link string) string {
	t.Helper()
	out := filepath.Join(cacheDir(), c.key(tl, opt, link))
	if _, err := os.Stat(filepath.Join(out, "done")); err == nil {
		now := time.Now()
		os.Chtimes(out, now, now)
		return out
	}
	os.RemoveAll(out)
	if err := os.MkdirAll(out, 0o755); err != nil {
		t.Fatal(err)
	}
	src, err := filepath.Abs(c.src)
	if err != nil {
		t.Fatal(err)
	}
	expand := strings.NewReplacer("$OUT", out, "$SRC", src)
	do := func(args ...string) {
		t.Helper()
		for i := range args {
			args[i] = expand.Replace(args[i])
		}
		r := command(t, src, nil, "", args...)
		if r.status != 0 {
			t.Fatalf("%s\nstatus %d\n%s%s", strings.Join(args, " "), r.status, r.stdout, r.stderr)
		}
	}
	compile := func(args ...string) {
		t.Helper()
		do(append(append([]string{}, tl.cc...), args...)...)
	}
	for _, o := range c.objects {
		compile(opt, "-c", o, "-o", filepath.Join(out, strings.TrimSuffix(o, filepath.Ext(o))+".o"))
	}
	if len(c.archive) > 0 {
		args := append(append([]string{}, tl.ar...), "rcs", filepath.Join(out, c.archive[0]))
		for _, o := range c.archive[1:] {
			args = append(args, filepath.Join(out, o))
		}
		do(args...)
	}
	for _, l := range c.libs {
		args := []string{opt, "-shared", "-fPIC", "-o", filepath.Join(out, l[0]), "-Wl,-soname," + l[0], "-L" + out}
		compile(append(args, l[1:]...)...)
	}
	testdata, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{opt, "-I" + testdata, c.main}
	args = append(args, c.with...)
	args = append(args, "-L"+out)
	args = append(args, c.cc...)
	switch {
	case link == "static", link == "static-pie" && tl.name == "native":
		// musl-gcc knows no static-pie; the program means the same.
		args = append(args, "-static")
	case link == "static-pie":
		args = append(args, "-static-pie")
	}
	compile(append(args, "-lm", "-o", filepath.Join(out, "prog"))...)
	for _, f := range c.remove {
		os.Remove(filepath.Join(out, f))
	}
	if err := os.WriteFile(filepath.Join(out, "done"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return out
}

// verify checks everything that was built, also when it comes from the cache: the
// validator may have changed since.
func (c *testCase) verify(t *testing.T, out string) {
	t.Helper()
	args := []string{haliteCmd, "verify", "-q", filepath.Join(out, "prog")}
	for _, l := range c.libs {
		if file := filepath.Join(out, l[0]); !slices.Contains(c.remove, l[0]) {
			args = append(args, file)
		}
	}
	if r := command(t, ".", nil, "", args...); r.status != 0 {
		t.Fatalf("halite verify: status %d\n%s%s", r.status, r.stdout, r.stderr)
	}
}

type result struct {
	stdout, stderr string
	status         int // 128 + the signal for a program that died by one, as shells and halite run have it
}

// command runs a program in dir with exactly the environment env; nil stands for our own.
func command(t *testing.T, dir string, env []string, stdin string, args ...string) result {
	t.Helper()
	slots <- struct{}{}
	defer func() { <-slots }()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Env = dir, env
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	r := result{stdout: stdout.String(), stderr: stderr.String()}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		t.Fatalf("%s\nstill running after %v\nstdout: %s\nstderr: %s", strings.Join(args, " "), timeout, head(r.stdout), head(r.stderr))
	case errors.As(err, &exit):
		r.status = exit.ExitCode()
		if w, ok := exit.Sys().(syscall.WaitStatus); ok && w.Signaled() {
			r.status = 128 + int(w.Signal())
		}
	case err != nil:
		t.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
	return r
}

// guestLibs is where a case's libraries stand in the program's name space.
const guestLibs = "/app"

func (c *testCase) environment(libs string) []string {
	env := []string{}
	for _, e := range c.env {
		env = append(env, strings.ReplaceAll(e, "$LIBS", libs))
	}
	return env
}

func (c *testCase) runNative(t *testing.T, out string) result {
	t.Helper()
	return command(t, t.TempDir(), c.environment(out), c.stdin, append([]string{filepath.Join(out, "prog")}, c.args...)...)
}

func (c *testCase) runSandbox(t *testing.T, out string) result {
	t.Helper()
	work := t.TempDir()
	args := []string{haliteCmd, "run", "--dir", out + ":" + guestLibs + ":ro", "--dir", work + ":/work", "--cwd", "/work"}
	for _, e := range c.environment(guestLibs) {
		args = append(args, "--env", e)
	}
	args = append(args, filepath.Join(out, "prog"))
	return command(t, work, nil, c.stdin, append(args, c.args...)...)
}

func head(s string) string {
	if len(s) > 4000 {
		return s[:4000] + "..."
	}
	return s
}

// difference shows the first line in which two texts differ.
func difference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := 0; i < len(g) || i < len(w); i++ {
		switch {
		case i >= len(g):
			return fmt.Sprintf("line %d is missing: %q", i+1, w[i])
		case i >= len(w):
			return fmt.Sprintf("line %d is too much: %q", i+1, g[i])
		case g[i] != w[i]:
			return fmt.Sprintf("line %d: %q, natively %q", i+1, head(g[i]), head(w[i]))
		}
	}
	return "no difference"
}
