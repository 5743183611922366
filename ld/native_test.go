package ld

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/halite-run/halite/internal/cage"
)

// The tests of this file link shared objects that the machine's own compiler
// made, and compare what they come to with what the machine's own dynamic linker
// makes of them. Their code is not sandboxed, so it is left out (withoutText):
// constructors are not run but named.
//
// Everything that a library defines for a test is a variable
//
//	const char *who = "a";
//
// and a script of commands says what to look at. The driver below runs the same
// script natively.

const driver = `
#ifdef GUEST
void note(const char *s) {}
void _start(void) {}
void *__tls_get_addr(void *p) { return p; }
#else
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifndef RTLD_DEEPBIND
#define RTLD_DEEPBIND 8
#endif
extern void *dlvsym(void *, const char *, const char *);
static int done;
void note(const char *s) { if (!done) printf("%s\n", s); }
extern const char **table[] __attribute__((weak));
int main(int argc, char **argv) {
	void *h[16]; int n = 0;
	for (int i = 1; i < argc; i++) {
		char *w[8]; int k = 0;
		for (char *t = strtok(strdup(argv[i]), ":"); t; t = strtok(0, ":")) w[k++] = t;
		if (!strcmp(w[0], "open")) {
			int f = 0;
			for (int j = 2; j < k; j++) {
				if (!strcmp(w[j], "now")) f |= RTLD_NOW;
				if (!strcmp(w[j], "global")) f |= RTLD_GLOBAL;
				if (!strcmp(w[j], "deep")) f |= RTLD_DEEPBIND;
				if (!strcmp(w[j], "noload")) f |= RTLD_NOLOAD;
				if (!strcmp(w[j], "nodelete")) f |= RTLD_NODELETE;
			}
			void *p = dlopen(!strcmp(w[1], "main") ? 0 : w[1], f);
			int same = -1;
			for (int j = 0; j < n; j++) if (h[j] == p) same = j;
			printf("open %s %s", w[1], p ? "ok" : "failed");
			if (p && same >= 0) printf(" same as %d", same);
			printf("\n");
			h[n++] = p;
		} else if (!strcmp(w[0], "sym")) {
			void *p = !strcmp(w[1], "default") ? RTLD_DEFAULT : h[atoi(w[1])];
			const char **v = k > 3 ? dlvsym(p, w[2], w[3]) : dlsym(p, w[2]);
			printf("%s = %s\n", argv[i] + 4, v ? *v : "none");
		} else if (!strcmp(w[0], "via")) { // a variable that points to a variable
			const char ***v = dlsym(!strcmp(w[1], "default") ? RTLD_DEFAULT : h[atoi(w[1])], w[2]);
			printf("%s -> %s\n", argv[i] + 4, v ? *v ? **v : "null" : "none");
		} else if (!strcmp(w[0], "close")) {
			dlclose(h[atoi(w[1])]);
			h[atoi(w[1])] = &n; printf("closed %s\n", w[1]);
		}
	}
	printf("exit\n");
	fflush(stdout);
	return 0;
}
#endif
`

// note1 is what libraries of the tests begin with.
const prelude = `
void note(const char *);
#define INIT(n) __attribute__((constructor)) void init_##n(void) { note("init_" #n); }
#define FINI(n) __attribute__((destructor)) void fini_##n(void) { note("fini_" #n); }
`

// source is one file to build, in order. Arguments after the name are for gcc.
type source struct {
	name string
	text string
	args []string
}

func gcc(t testing.TB, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("gcc", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("gcc %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// compilerDir is a directory to build in.
func compilerDir(t testing.TB) string {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("no gcc on this machine")
	}
	return t.TempDir()
}

// build makes the libraries and, for each of guest and native, the program.
func build(t testing.TB, list []source, mainText string, mainArgs []string) (dir string) {
	t.Helper()
	dir = compilerDir(t)
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write("vers.map", "V1 { global: who; only; local: *; };\nV2 { global: who; } V1;\n")
	common := []string{"-O1", "-fPIC", "-fno-stack-protector", "-fcf-protection=none", "-L."}
	for _, s := range list {
		write(s.name+".c", prelude+s.text)
		args := append(append([]string{}, common...), "-shared", "-nostdlib", "-o", s.name+".so", s.name+".c", "-Wl,-soname,"+s.name+".so")
		gcc(t, dir, append(args, s.args...)...)
	}
	write("main.c", driver+mainText)
	for _, kind := range []string{"guest", "native"} {
		args := append([]string{}, common...)
		if kind == "guest" {
			args = append(args, "-DGUEST", "-nostdlib", "-nostartfiles")
		}
		args = append(args, "-o", kind, "main.c", "-rdynamic", "-Wl,-z,now", "-Wl,-rpath-link,.", "-Wl,--no-as-needed")
		args = append(args, mainArgs...)
		if kind == "native" {
			args = append(args, "-ldl")
		}
		gcc(t, dir, args...)
	}
	return dir
}

// native runs a script with the machine's dynamic linker.
func native(t testing.TB, dir string, script []string, env ...string) []string {
	t.Helper()
	cmd := exec.Command("./native", script...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "LD_LIBRARY_PATH=."), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("native run: %v\n%s", err, out)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func newCage(t testing.TB) *cage.Cage {
	t.Helper()
	code := make([]byte, cage.TrampolineEnd-cage.TrampolineStart)
	for i := range code {
		code[i] = 0xf4
	}
	text, err := cage.NewText("trampolines", code, cage.TrampolineStart)
	if err != nil {
		t.Fatal(err)
	}
	c, err := cage.New(cage.Config{Trampolines: text})
	text.Release()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// openIn is a name space that is one directory of the host.
func openIn(dir string) func(string) (File, int64, error) {
	return func(name string) (File, int64, error) {
		f, err := os.Open(filepath.Join(dir, filepath.Join("/", name)))
		if err != nil {
			return nil, 0, err
		}
		st, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, 0, err
		}
		return f, st.Size(), nil
	}
}

func testLinker(t testing.TB, dir string) *Linker {
	l := New(Config{Cage: newCage(t), Open: openIn(dir), LibraryPath: []string{"/"}, Trace: func(s string) {
		if testing.Verbose() {
			t.Log(s)
		}
	}})
	l.withoutText = true
	return l
}

func loadGuest(t testing.TB, l *Linker, name string) (*Program, error) {
	t.Helper()
	f, size, err := l.cfg.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return l.LoadProgram(name, f, size)
}

var thread1 = Thread{ID: 1}

// guest runs a script with our linker.
type guest struct {
	t   testing.TB
	l   *Linker
	h   []uint32
	out []string
}

func (g *guest) say(format string, args ...any) { g.out = append(g.out, fmt.Sprintf(format, args...)) }

func (g *guest) named(addr uint32) string {
	_, symbol, delta, ok := g.l.Symbolize(addr)
	if !ok || delta != 0 {
		return fmt.Sprintf("%#x", addr)
	}
	return symbol
}

func (g *guest) inits(handle uint32) {
	for {
		addr, err := g.l.NextInit(thread1, handle)
		if err != nil {
			g.t.Fatal(err)
		}
		if addr == 0 {
			return
		}
		if n := g.named(addr); strings.HasPrefix(n, "init_") {
			g.say("%s", n)
		}
	}
}

func (g *guest) finis(token uint32) {
	for {
		addr := g.l.NextFini(token)
		if addr == 0 {
			return
		}
		if n := g.named(addr); strings.HasPrefix(n, "fini_") {
			g.say("%s", n)
		}
	}
}

func (g *guest) str(addr uint32) string {
	p, err := g.l.mem.Load64(addr)
	if err != nil {
		g.t.Fatalf("pointer at %#x: %v", addr, err)
	}
	if p == 0 {
		return "null"
	}
	s, err := g.l.mem.ReadString(uint32(p), 100)
	if err != nil {
		g.t.Fatalf("string at %#x: %v", p, err)
	}
	return s
}

func (g *guest) run(script []string) {
	for _, line := range script {
		w := strings.Split(line, ":")
		handle := func() uint32 {
			if w[1] == "default" {
				return HandleDefault
			}
			var i int
			fmt.Sscan(w[1], &i)
			return g.h[i]
		}
		switch w[0] {
		case "open":
			flags := 0
			for _, f := range w[2:] {
				flags |= map[string]int{"now": RTLDNow, "global": RTLDGlobal, "deep": RTLDDeepBind, "noload": RTLDNoLoad, "nodelete": RTLDNoDelete}[f]
			}
			name := w[1]
			if name == "main" {
				name = ""
			}
			h, err := g.l.Open(thread1, name, flags, 0)
			if err == nil {
				g.inits(h)
			} else if testing.Verbose() {
				g.t.Log(err)
			}
			same := ""
			for i, old := range g.h {
				if err == nil && old == h {
					same = fmt.Sprintf(" same as %d", i)
				}
			}
			g.say("open %s %s%s", w[1], map[bool]string{true: "ok", false: "failed"}[err == nil], same)
			g.h = append(g.h, h)
		case "sym", "via":
			version := ""
			if len(w) > 3 {
				version = w[3]
			}
			a, err := g.l.Sym(handle(), w[2], version, 0)
			rest := strings.Join(w[1:], ":")
			switch {
			case w[0] == "sym" && err != nil:
				g.say("%s = none", rest)
			case w[0] == "sym":
				g.say("%s = %s", rest, g.str(a.Addr))
			case err != nil:
				g.say("%s -> none", rest)
			default:
				p, _ := g.l.mem.Load64(a.Addr)
				if p == 0 {
					g.say("%s -> null", rest)
				} else {
					g.say("%s -> %s", rest, g.str(uint32(p)))
				}
			}
		case "close":
			token, err := g.l.Close(handle())
			if err != nil {
				g.t.Fatal(err)
			}
			if token != 0 {
				g.finis(token)
				if err := g.l.Unload(token); err != nil {
					g.t.Fatal(err)
				}
			}
			var i int
			fmt.Sscan(w[1], &i)
			g.h[i] = HandleNext
			g.say("closed %s", w[1])
		}
	}
	g.say("exit")
	g.finis(0)
}

// compare runs a script both ways.
func compare(t *testing.T, list []source, mainText string, mainArgs []string, script []string) []string {
	t.Helper()
	dir := build(t, list, mainText, mainArgs)
	l := testLinker(t, dir)
	if _, err := loadGuest(t, l, "/guest"); err != nil {
		t.Fatal(err)
	}
	g := &guest{t: t, l: l}
	g.inits(0)
	g.run(script)
	want := native(t, dir, script)
	if got, want := strings.Join(g.out, "\n"), strings.Join(want, "\n"); got != want {
		t.Errorf("here:\n%s\nnatively:\n%s", got, want)
	}
	return g.out
}

func who(name string) string { return fmt.Sprintf("const char *who = %q;\n", name) }

const refWho = "extern const char *who; const char **REF = &who;\n"

func ref(name string) string { return strings.ReplaceAll(refWho, "REF", name) }

// testCase is a program with its libraries and a script of what to look at.
type testCase struct {
	name   string
	libs   []source
	main   string
	args   []string
	script []string
}

var bindingCases = []testCase{
	{
		name:   "first library wins",
		libs:   []source{{"a", who("a") + ref("ref_a"), nil}, {"b", who("b") + ref("ref_b"), nil}},
		args:   []string{"-l:a.so", "-l:b.so"},
		script: []string{"sym:default:who", "via:default:ref_a", "via:default:ref_b"},
	},
	{
		name:   "the program wins",
		libs:   []source{{"a", who("a") + ref("ref_a"), nil}},
		main:   who("main"),
		args:   []string{"-l:a.so"},
		script: []string{"sym:default:who", "via:default:ref_a"},
	},
	{
		name: "a weak definition is as good as a strong one",
		libs: []source{{"a", `__attribute__((weak)) const char *who = "weak a";` + ref("ref_a"), nil},
			{"b", who("b") + ref("ref_b"), nil}},
		args:   []string{"-l:a.so", "-l:b.so"},
		script: []string{"via:default:ref_a", "via:default:ref_b"},
	},
	{
		name:   "weak and undefined",
		libs:   []source{{"a", `extern const char *nobody __attribute__((weak)); const char **ref_a = &nobody;`, nil}},
		args:   []string{"-l:a.so"},
		script: []string{"via:default:ref_a", "sym:default:nobody"},
	},
	{
		name: "protected",
		libs: []source{{"a", who("a"), nil},
			{"b", `__attribute__((visibility("protected"))) const char *who = "b"; const char **ref_b = &who;`, nil}},
		args:   []string{"-l:a.so", "-l:b.so"},
		script: []string{"sym:default:who", "via:default:ref_b"},
	},
	{
		name:   "hidden",
		libs:   []source{{"a", `__attribute__((visibility("hidden"))) const char *who = "a";` + ref("ref_a"), nil}, {"b", who("b"), nil}},
		args:   []string{"-l:a.so", "-l:b.so"},
		script: []string{"sym:default:who", "via:default:ref_a"},
	},
	{
		name:   "symbolic",
		libs:   []source{{"a", who("a"), nil}, {"b", who("b") + ref("ref_b"), []string{"-Wl,-Bsymbolic"}}},
		args:   []string{"-l:a.so", "-l:b.so"},
		script: []string{"via:default:ref_b"},
	},
	{
		name: "breadth first",
		libs: []source{{"deep", who("deep"), nil}, {"a", "int a;", []string{"-Wl,--no-as-needed", "-l:deep.so"}},
			{"b", who("b"), nil}},
		args:   []string{"-l:a.so", "-l:b.so"},
		script: []string{"sym:default:who"},
	},
	{
		name:   "System V hash",
		libs:   []source{{"a", who("a") + ref("ref_a"), []string{"-Wl,--hash-style=sysv"}}, {"b", who("b") + ref("ref_b"), []string{"-Wl,--hash-style=sysv"}}},
		args:   []string{"-l:a.so", "-l:b.so"},
		script: []string{"sym:default:who", "via:default:ref_b", "sym:default:nobody"},
	},
	{
		name:   "copy relocation",
		libs:   []source{{"a", who("a") + ref("ref_a") + "const char *filler = \"filler\";", nil}},
		main:   `extern const char *who; const char *get(void) { return who; }`,
		args:   []string{"-fno-pie", "-no-pie", "-fno-pic", "-l:a.so"},
		script: []string{"sym:default:who", "via:default:ref_a", "sym:default:filler"},
	},
	{
		name: "relative relocations packed",
		libs: []source{{"a", `static const char *s[100] = {[0] = "s0", [63] = "s63", [64] = "s64", [99] = "s99"};
				const char **p0 = &s[0], **p63 = &s[63], **p64 = &s[64], **p99 = &s[99];`, []string{"-Wl,-z,pack-relative-relocs"}}},
		args:   []string{"-l:a.so"},
		script: []string{"via:default:p0", "via:default:p63", "via:default:p64", "via:default:p99"},
	},
	{
		name: "versions",
		libs: []source{
			{"vers", `const char *who1 = "one", *who2 = "two", *only = "only";
					__asm__(".symver who1, who@V1"); __asm__(".symver who2, who@@V2");`, []string{"-Wl,--version-script=vers.map"}},
			{"old", ref("ref_old") + `__asm__(".symver who, who@V1");`, []string{"-l:vers.so"}},
			{"new", ref("ref_new"), []string{"-l:vers.so"}},
		},
		args: []string{"-l:old.so", "-l:new.so"},
		script: []string{"via:default:ref_old", "via:default:ref_new", "sym:default:who", "sym:default:who:V1",
			"sym:default:who:V2", "sym:default:who:V3", "sym:default:only", "sym:default:only:V1"},
	},
	{
		name: "dlopen is local",
		libs: []source{{"dep", who("dep"), nil}, {"a", ref("ref_a"), []string{"-l:dep.so"}}},
		script: []string{"open:a.so:now", "sym:default:who", "sym:0:who", "via:0:ref_a", "open:a.so:now",
			"open:dep.so:now", "sym:2:who", "sym:2:ref_a"},
	},
	{
		name: "dlopen global",
		libs: []source{{"dep", who("dep"), nil}, {"a", ref("ref_a"), nil}},
		script: []string{"open:a.so:now", "open:dep.so:now:global", "sym:default:who", "open:a.so:now", "via:2:ref_a",
			"open:main:now", "sym:3:who"},
	},
	{
		name:   "promoted to global",
		libs:   []source{{"dep", who("dep"), nil}},
		script: []string{"open:dep.so:now", "sym:default:who", "open:dep.so:now:noload:global", "sym:default:who"},
	},
	{
		name:   "the global scope comes before the local one",
		libs:   []source{{"a", who("a") + ref("ref_a"), nil}},
		main:   who("main"),
		script: []string{"open:a.so:now", "via:0:ref_a", "sym:0:who"},
	},
	{
		name:   "deep binding",
		libs:   []source{{"a", who("a") + ref("ref_a"), nil}},
		main:   who("main"),
		script: []string{"open:a.so:now:deep", "via:0:ref_a"},
	},
	{
		name:   "no such library",
		libs:   []source{{"a", who("a"), nil}},
		script: []string{"open:nothing.so:now", "open:a.so:now:noload", "open:a.so:now", "open:a.so:now:noload", "open:./a.so:now"},
	},
	{
		name:   "undefined symbol fails the load",
		libs:   []source{{"bad", `extern int missing; int *p = &missing;` + "INIT(bad)", nil}, {"good", "INIT(good)" + who("good"), nil}},
		script: []string{"open:bad.so:now", "open:good.so:now", "sym:1:who", "open:bad.so:now"},
	},
}

func TestBinding(t *testing.T) {
	for _, c := range bindingCases {
		t.Run(c.name, func(t *testing.T) {
			compare(t, c.libs, c.main, c.args, c.script)
		})
	}
}

func need(names ...string) []string {
	args := []string{"-Wl,--no-as-needed"}
	for _, n := range names {
		args = append(args, "-l:"+n+".so")
	}
	return args
}

// lib is a library that tells when it is initialised and finalised.
func lib(name string, deps ...string) source {
	return source{name, fmt.Sprintf("INIT(%s) FINI(%s) int v_%s;", name, name, name), need(deps...)}
}

var orderCases = []testCase{
	{"chain", []source{lib("c"), lib("b", "c"), lib("a", "b")}, "", need("a"), nil},
	{"diamond", []source{lib("d"), lib("b", "d"), lib("c", "d", "b"), lib("a", "c")}, "", need("a"), nil},
	{"dlopen", []source{lib("c"), lib("b", "c"), lib("a", "b")}, "", nil, []string{"open:a.so:now", "open:b.so:now", "open:c.so:now"}},
	{"dlclose", []source{lib("c"), lib("b", "c"), lib("a", "b")}, "", nil,
		[]string{"open:a.so:now", "open:c.so:now", "close:0", "close:1", "open:b.so:now", "close:2"}},
	{"dlclose keeps what is needed", []source{lib("c"), lib("b", "c"), lib("a", "b")}, "", need("b"),
		[]string{"open:a.so:now", "close:0", "open:a.so:now:nodelete", "close:1"}},
	{"references count", []source{lib("a")}, "", nil,
		[]string{"open:a.so:now", "open:a.so:now", "close:0", "close:1", "open:a.so:now"}},
	{"bound libraries stay", []source{{"d", who("d") + "INIT(d) FINI(d)", nil}, {"a", ref("ref_a") + "INIT(a) FINI(a)", nil}}, "", nil,
		[]string{"open:d.so:now:global", "open:a.so:now", "close:0", "via:1:ref_a", "close:1"}},
}

func TestOrder(t *testing.T) {
	for _, c := range orderCases {
		t.Run(c.name, func(t *testing.T) { compare(t, c.libs, c.main, c.args, c.script) })
	}
}

// TestSiblingOrder pins the one place where linkers differ: musl's order, not
// glibc's, for libraries that do not depend on each other.
func TestSiblingOrder(t *testing.T) {
	dir := build(t, []source{{"a", "INIT(a) FINI(a)", nil}, {"b", "INIT(b) FINI(b)", nil}}, "", []string{"-l:a.so", "-l:b.so"})
	l := testLinker(t, dir)
	if _, err := loadGuest(t, l, "/guest"); err != nil {
		t.Fatal(err)
	}
	g := &guest{t: t, l: l}
	g.inits(0)
	g.run(nil)
	if got := strings.Join(g.out, " "); got != "init_a init_b exit fini_b fini_a" {
		t.Error(got)
	}
}

// TestCycle: two libraries that need each other.
func TestCycle(t *testing.T) {
	dir := build(t, []source{{"a", "int a;", nil}, {"b", "INIT(b) FINI(b)", []string{"-Wl,--no-as-needed", "-l:a.so"}},
		{"a", "INIT(a) FINI(a)", []string{"-Wl,--no-as-needed", "-l:b.so"}}}, "", []string{"-l:a.so"})
	l := testLinker(t, dir)
	if _, err := loadGuest(t, l, "/guest"); err != nil {
		t.Fatal(err)
	}
	g := &guest{t: t, l: l}
	g.inits(0)
	g.run(nil)
	if got := strings.Join(g.out, " "); got != "init_b init_a exit fini_a fini_b" {
		t.Error(got)
	}
}

func TestTLS(t *testing.T) {
	dir := build(t, []source{
		{"a", "__thread int ta = 7; __thread char tb __attribute__((aligned(64))) = 1; int *geta(void) { return &ta; }", nil},
		{"b", "__thread long tc[3]; extern __thread int ta; long *getc(void) { return tc + ta; }", []string{"-l:a.so"}},
		{"dyn", "__thread int td = 9; int *getd(void) { return &td; }", nil},
		{"iea", `extern __thread int ta __attribute__((tls_model("initial-exec"))); int *getea(void) { return &ta; }`, nil},
	}, "__thread int tm = 5; int *getm(void) { return &tm; }", []string{"-l:a.so", "-l:b.so"})
	l := testLinker(t, dir)
	if _, err := loadGuest(t, l, "/guest"); err != nil {
		t.Fatal(err)
	}
	var m [3]TLSModule
	for i := range m {
		var ok bool
		if m[i], ok = l.TLSModule(i + 1); !ok {
			t.Fatalf("no module %d", i+1)
		}
		if m[i].ID != i+1 || m[i].Offset == 0 || (m[i].Offset+m[i].Image)%m[i].Align != 0 {
			t.Errorf("module %d: %+v", i+1, m[i])
		}
		if i > 0 && m[i].Offset < m[i-1].Offset+m[i].MemSize {
			t.Errorf("modules %d and %d overlap: %+v", i, i+1, m)
		}
	}
	if _, ok := l.TLSModule(4); ok {
		t.Error("a fourth module")
	}
	if v, _ := l.mem.Load32(m[0].Image); v != 5 {
		t.Errorf("the program's image begins with %d", v)
	}
	h, err := l.Open(thread1, "dyn.so", RTLDNow, 0)
	if err != nil {
		t.Fatal(err)
	}
	d, ok := l.TLSModule(4)
	if !ok || d.Offset != 0 {
		t.Errorf("module of dyn.so: %+v", d)
	}
	s, err := l.Sym(h, "td", "", 0)
	if err != nil || s.TLSModule != 4 || s.TLSOffset != 0 || s.Addr != 0 {
		t.Errorf("td: %+v %v", s, err)
	}
	// Its GOT has the module and the offset.
	o := l.handles[h]
	found := false
	for i := range o.dyn.Rela.Len() {
		if r := o.dyn.Rela.At(i); r.Type == relDTPMod64 {
			v, _ := l.mem.Load64(uint32(r.Offset) + o.bias)
			found = v == 4
		}
	}
	if !found {
		t.Error("DTPMOD64 of dyn.so is not 4")
	}
	h, err = l.Open(thread1, "iea.so", RTLDNow, 0)
	if err != nil {
		t.Fatal(err)
	}
	o = l.handles[h]
	for i := range o.dyn.Rela.Len() {
		if r := o.dyn.Rela.At(i); r.Type == relTPOff64 {
			v, _ := l.mem.Load64(uint32(r.Offset) + o.bias)
			a, _ := l.Sym(HandleDefault, "ta", "", 0)
			if want := uint64(a.TLSOffset) - uint64(m[a.TLSModule-1].Offset); v != want {
				t.Errorf("TPOFF64 is %#x, want %#x", v, want)
			}
		}
	}
}
