package toolchaintests

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The conformance set of the dynamic linker: each file linking/NAME.c is a
// program of several libraries, built and run three times, for the sandbox, for
// glibc and for musl, each with its own dynamic linker. All must write the same
// and end the same way.
//
// The first line says what the program shows. Comments after it:
//
//	// env: NAME=VALUE...     in place of LD_LIBRARY_PATH=$LIBS
//	// skip LINKER: REASON    not built and run there
//	// says: TEXT             part of what halite writes to standard error
//
// The file is cut into parts by lines that begin with //: (order matters):
//
//	//: lib a.so [b.so] [FLAG]   a shared library that needs others
//	//: main [a.so] [FLAG]       the program
//	//: file NAME                a text, for instance a version script
//	//: symlink NEW TARGET
//	//: move OLD NEW
//	//: remove NAME
//	//: out LINKER: REASON       what this linker does differently, in comments
//
// LINKER is halite, glibc or musl. The linkers without an own output must agree,
// and each own output must differ from theirs. Those of a program are collected
// in the table of docs/loading.md.
//
// In the sandbox each program runs a second time, with libraries in its global scope that
// change nothing, but make the linker keep an index of symbols and relocate in parallel.
var linkers = []linker{
	{"halite", func() []string { return []string{haliteCmd, "cc"} }, func() string { return toolchainID }},
	{"glibc", func() []string { return []string{"gcc"} }, gccID},
	{"musl", func() []string { return []string{"musl-gcc"} }, muslID},
}

type linker struct {
	name string
	cc   func() []string
	id   func() string
}

var gccID = sync.OnceValue(func() string {
	out, _ := exec.Command("gcc", "--version").Output()
	libc, _ := exec.Command("gcc", "-print-file-name=libc.so").Output()
	return string(out) + string(libc)
})

type linkCase struct {
	name  string
	text  string
	env   []string
	skip  map[string]string
	says  string
	parts []linkPart
	out   map[string]ownOutput
}

type linkPart struct {
	kind string
	args []string
	text string
}

type ownOutput struct{ reason, text string }

func readLinkCase(name string) (*linkCase, error) {
	b, err := os.ReadFile(filepath.Join("linking", name+".c"))
	if err != nil {
		return nil, err
	}
	c := &linkCase{
		name: name, text: string(b), env: []string{"LD_LIBRARY_PATH=$LIBS"},
		skip: map[string]string{}, out: map[string]ownOutput{},
	}
	known := func(name string) bool {
		return slices.ContainsFunc(linkers, func(x linker) bool { return x.name == name })
	}
	pieces := strings.Split("\n"+c.text, "\n//: ")
	for i, line := range strings.Split(strings.TrimSpace(pieces[0]), "\n") {
		rest, ok := strings.CutPrefix(line, "// ")
		switch {
		case !ok:
			return nil, fmt.Errorf("line %d: only comments may stand before the first part", i+1)
		case i == 0: // what it shows
		case strings.HasPrefix(rest, "env:"):
			c.env = strings.Fields(rest[4:])
		case strings.HasPrefix(rest, "says: "):
			c.says = rest[6:]
		case strings.HasPrefix(rest, "skip "):
			l, reason, _ := strings.Cut(rest[5:], ": ")
			if !known(l) || reason == "" {
				return nil, fmt.Errorf("line %d: skip LINKER: REASON", i+1)
			}
			c.skip[l] = reason
		default:
			return nil, fmt.Errorf("line %d: %q is not known", i+1, line)
		}
	}
	for _, p := range pieces[1:] {
		head, text, _ := strings.Cut(p, "\n")
		kind, args, _ := strings.Cut(head, " ")
		if kind != "out" {
			c.parts = append(c.parts, linkPart{kind, strings.Fields(args), text})
			continue
		}
		l, reason, _ := strings.Cut(args, ": ")
		if !known(l) || reason == "" {
			return nil, fmt.Errorf("%q: out LINKER: REASON", head)
		}
		var out strings.Builder
		for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
			out.WriteString(strings.TrimPrefix(line, "// ") + "\n")
		}
		c.out[l] = ownOutput{reason, out.String()}
	}
	return c, nil
}

// build returns the directory with the program and its libraries.
func (c *linkCase) build(t *testing.T, l linker) string {
	t.Helper()
	h := sha256.New()
	common, err := os.ReadFile("linking/linking.h")
	if err != nil {
		t.Fatal(err)
	}
	source, _, _ := strings.Cut(c.text, "\n//: out ")
	fmt.Fprintln(h, "1", l.name, l.id(), source, string(common))
	dir := filepath.Join(cacheDir(), fmt.Sprintf("ld-%s-%s-%x", c.name, l.name, h.Sum(nil)[:10]))
	if _, err := os.Stat(filepath.Join(dir, "done")); err == nil {
		now := time.Now()
		os.Chtimes(dir, now, now)
		return dir
	}
	header, err := filepath.Abs("linking/linking.h")
	if err != nil {
		t.Fatal(err)
	}
	os.RemoveAll(dir)
	fail := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatalf("%s: %v", l.name, err)
		}
	}
	at := func(name string) string {
		p := filepath.Join(dir, name)
		fail(os.MkdirAll(filepath.Dir(p), 0o755))
		return p
	}
	for i, p := range c.parts {
		switch p.kind {
		case "lib", "main":
			out, args := at("prog"), p.args
			cmd := append(l.cc(), "-O1", "-fPIC", "-fno-stack-protector", "-D_GNU_SOURCE", "-include", header)
			if p.kind == "lib" {
				out, args = at(p.args[0]), p.args[1:]
				cmd = append(cmd, "-shared", "-Wl,-z,undefs", "-Wl,-soname,"+filepath.Base(out))
			}
			src := at(fmt.Sprintf("part%d.c", i))
			fail(os.WriteFile(src, []byte(p.text), 0o644))
			cmd = append(cmd, "-o", out, src, "-Wl,-z,now", "-Wl,--no-as-needed", "-Wl,-rpath-link,"+dir)
			for _, a := range args {
				if strings.HasSuffix(a, ".so") && a[0] != '-' {
					cmd = append(cmd, "-L"+filepath.Dir(at(a)), "-l:"+filepath.Base(a))
				} else {
					cmd = append(cmd, strings.ReplaceAll(a, "$OUT", dir))
				}
			}
			if r := command(t, dir, nil, "", cmd...); r.status != 0 {
				t.Fatalf("%s: part %d: %s\n%s%s", l.name, i, strings.Join(cmd, " "), r.stdout, r.stderr)
			}
		case "file":
			fail(os.WriteFile(at(p.args[0]), []byte(p.text), 0o644))
		case "symlink":
			fail(os.Symlink(p.args[1], at(p.args[0])))
		case "move":
			fail(os.Rename(at(p.args[0]), at(p.args[1])))
		case "remove":
			fail(os.Remove(at(p.args[0])))
		default:
			t.Fatalf("part %d: %q is not known", i, p.kind)
		}
	}
	fail(os.WriteFile(at("done"), nil, 0o644))
	return dir
}

// run returns what the program wrote and how it ended.
func (c *linkCase) run(t *testing.T, l linker, dir string, preload ...string) (out, stderr string) {
	t.Helper()
	libs, prog := dir, filepath.Join(dir, "prog")
	if l.name == "halite" {
		libs = guestLibs
	}
	var env []string
	for _, e := range c.env {
		env = append(env, strings.ReplaceAll(e, "$LIBS", libs))
	}
	var r result
	if len(preload) > 0 {
		more := strings.Join(preload, ":")
		if i := slices.IndexFunc(env, func(e string) bool { return strings.HasPrefix(e, "LD_PRELOAD=") }); i >= 0 {
			env[i] += ":" + more
		} else {
			env = append(env, "LD_PRELOAD="+more)
		}
	}
	if l.name == "halite" {
		args := []string{haliteCmd, "run", "--dir", dir + ":" + libs + ":ro", "--dir", filepath.Dir(dir) + ":/builds:ro", "--cwd", libs}
		for _, e := range env {
			args = append(args, "--env", e)
		}
		r = command(t, dir, nil, "", append(args, prog)...)
	} else {
		r = command(t, dir, env, "", prog)
	}
	switch {
	case r.stdout == "" && r.stderr != "" && (r.status == 1 || r.status == 125 || r.status == 127):
		// glibc ends with 1 or 127 when it cannot load, musl with 127, halite with 125.
		r.stdout = "not started\n"
	case r.status != 0:
		r.stdout += fmt.Sprintf("status %d\n", r.status)
	}
	return r.stdout, r.stderr
}

// paddings builds libraries that nobody needs, and returns their names for the guest.
func paddings(t *testing.T) (names []string) {
	t.Helper()
	c := &linkCase{name: "padding", text: "int padding_value;\nint *padding_table[300] = { [0 ... 299] = &padding_value };\n"}
	for i := range 10 {
		c.parts = append(c.parts, linkPart{"lib", []string{fmt.Sprintf("padding%d.so", i)}, c.text})
	}
	dir := c.build(t, linkers[0])
	for _, p := range c.parts {
		names = append(names, "/builds/"+filepath.Base(dir)+"/"+p.args[0])
	}
	return names
}

// rows are the program's lines in docs/loading.md, "" without differences.
func (c *linkCase) rows() []string {
	var rows []string
	for _, l := range linkers {
		if reason, ok := c.skip[l.name]; ok {
			rows = append(rows, fmt.Sprintf("| `%s` | %s, not run | %s |", c.name, l.name, reason))
		}
		if o, ok := c.out[l.name]; ok {
			rows = append(rows, fmt.Sprintf("| `%s` | %s | %s |", c.name, l.name, o.reason))
		}
	}
	return rows
}

func linkCases(t *testing.T) []*linkCase {
	t.Helper()
	files, err := filepath.Glob("linking/*.c")
	if err != nil {
		t.Fatal(err)
	}
	var cases []*linkCase
	for _, f := range files {
		c, err := readLinkCase(strings.TrimSuffix(filepath.Base(f), ".c"))
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		cases = append(cases, c)
	}
	return cases
}

// TestLinking compares the three dynamic linkers.
func TestLinking(t *testing.T) {
	needMusl(t)
	if testing.Short() {
		t.Skip("builds several hundred small libraries; not with -short")
	}
	cases := linkCases(t)
	if len(cases) < 60 {
		t.Errorf("%d programs", len(cases))
	}
	padding := paddings(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			common, who := "", ""
			own := map[string]string{}
			for _, l := range linkers {
				if _, ok := c.skip[l.name]; ok {
					continue
				}
				out, stderr := c.run(t, l, c.build(t, l))
				if l.name == "halite" && !strings.Contains(stderr, c.says) {
					t.Errorf("standard error does not contain %q:\n%s", c.says, head(stderr))
				}
				if l.name == "halite" {
					if again, stderr := c.run(t, l, c.build(t, l), padding...); again != out {
						t.Errorf("with many libraries: %s\n%s%s", difference(again, out), head(again), head(stderr))
					}
				}
				o, differs := c.out[l.name]
				switch {
				case differs:
					own[l.name] = out
					if out != o.text {
						t.Errorf("%s: %s\n%sstandard error:\n%s", l.name, difference(out, o.text), head(out), head(stderr))
					}
				case who == "":
					common, who = out, l.name
				case out != common:
					t.Errorf("%s and %s differ\n%s:\n%s%s:\n%sstandard error of the latter:\n%s", who, l.name, who, head(common), l.name, head(out), head(stderr))
				}
				if testing.Verbose() {
					t.Logf("%s:\n%s%s", l.name, head(out), head(stderr))
				}
			}
			for l, out := range own {
				if who != "" && out == common {
					t.Errorf("%s does what %s does: nothing to explain", l, who)
				}
			}
		})
	}
}

// TestLinkingDocumented holds the table of docs/loading.md against the programs.
func TestLinkingDocumented(t *testing.T) {
	doc, err := os.ReadFile("../docs/loading.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(doc), "| program | linker | what it does, and why |\n|---|---|---|\n")
	if !ok {
		t.Fatal("no table of programs in docs/loading.md")
	}
	table, _, _ := strings.Cut(rest, "\n\n")
	var want []string
	for _, c := range linkCases(t) {
		want = append(want, c.rows()...)
	}
	if got := strings.TrimSpace(table); got != strings.Join(want, "\n") {
		t.Errorf("docs/loading.md: %s\nthe programs say:\n%s", difference(got, strings.Join(want, "\n")), strings.Join(want, "\n"))
	}
}
