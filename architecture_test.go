package halite_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/halite-run/halite"

// mayImport is the table of rooms: which of our own packages each one may
// import. A room not listed may import anything. docs/architecture.md says why.
var mayImport = map[string][]string{
	"validator":         {},
	"internal/safemem":  {},
	"internal/lru":      {},
	"internal/cage":     {"internal/safemem"},
	"internal/engine":   {"internal/safemem", "internal/cage"},
	"internal/outer":    {},
	"internal/oracle":   {"validator", "internal/cage", "internal/engine", "internal/safemem"},
	"loader":            {"validator", "internal/cage", "internal/safemem", "internal/lru"},
	"dyncode":           {"validator", "internal/cage"},
	"runtime":           {"validator", "loader", "dyncode", "internal/cage", "internal/engine", "internal/safemem"},
	"ld":                {"loader", "internal/cage", "internal/safemem", "internal/lru"},
	"libcshim":          {"runtime", "ld", "loader", "imc", "internal/cage", "internal/safemem", "internal/engine"},
	"imc":               {},
	"toolchain/sfi":     {},
	"toolchain/driver":  {"toolchain", "loader", "validator"},
	"toolchain/sysroot": {"toolchain", "loader", "validator"},
	"toolchain/ports":   {"toolchain", "loader", "validator"},
	"internal/pty":      {},
}

// TestImports keeps the data flow one way: bytes, loader, validator, cage,
// engine. Tests may reach further than the code they test.
func TestImports(t *testing.T) {
	checked := 0
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == "bench" || strings.HasPrefix(d.Name(), ".") && file != ".") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		dir := path.Dir(filepath.ToSlash(file))
		room, allowed := roomOf(dir)
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range f.Imports {
			imp, _ := strconv.Unquote(spec.Path.Value)
			if imp == "C" {
				t.Errorf("%s: imports C; nothing that ships uses cgo", file)
			}
			if imp == "debug/elf" && (room == "loader" || room == "ld" || room == "runtime" || room == "libcshim") {
				t.Errorf("%s: imports debug/elf, which is not hardened against hostile files", file)
			}
			ours, ok := strings.CutPrefix(imp, module+"/")
			if !ok || room == "" {
				continue
			}
			checked++
			if !within(ours, append([]string{room}, allowed...)) {
				t.Errorf("%s: %s may not import %s", file, room, ours)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if checked == 0 {
		t.Error("no import was checked")
	}
}

// TestDependencies holds that who imports imc does not get a WebSocket with it.
func TestDependencies(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "./imc", "./imc/fileservice").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range strings.Fields(string(out)) {
		first, _, _ := strings.Cut(pkg, "/")
		if strings.Contains(first, ".") && !strings.HasPrefix(pkg, module+"/imc") && !strings.HasPrefix(pkg, "golang.org/x/sys/") || pkg == "net/http" {
			t.Errorf("imc depends on %s", pkg)
		}
	}
}

// TestNoCgo: the command and the packages that programs import link no C, wherever
// they are built: with package net among what they need they would.
func TestNoCgo(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".", "./python", "./imc", "./cmd/halite").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range strings.Fields(string(out)) {
		if p == "net" || p == "os/user" || p == "runtime/cgo" {
			t.Errorf("package %s is linked", p)
		}
	}
}

// TestOneDoor holds that only the loader turns bytes into executable text, and
// that only dyncode has a view of text that changes.
func TestOneDoor(t *testing.T) {
	doors := map[string][]string{
		"NewText":       {"loader", "internal/engine"}, // validated text, the trampolines
		"NewDynamic":    {"dyncode"},
		"CopiedDynamic": {"dyncode"},
	}
	found := map[string]bool{}
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			return err
		}
		for name, rooms := range doors {
			for _, use := range selectors(f, name) {
				if use != "cage."+name {
					continue
				}
				found[name] = true
				if dir := path.Dir(filepath.ToSlash(file)); !slices.Contains(rooms, dir) {
					t.Errorf("%s: calls %s; only %v may", file, use, rooms)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range doors {
		if !found[name] {
			t.Errorf("cage.%s has no caller: the test looks for the wrong name", name)
		}
	}
}

func roomOf(dir string) (room string, allowed []string) {
	for r, a := range mayImport {
		if dir == r || strings.HasPrefix(dir, r+"/") {
			return r, a
		}
	}
	return "", nil
}

func within(pkg string, rooms []string) bool {
	for _, r := range rooms {
		if pkg == r || strings.HasPrefix(pkg, r+"/") {
			return true
		}
	}
	return false
}

// selectors returns every x.name expression of f as "x.name", for one name.
func selectors(f *ast.File, name string) []string {
	var out []string
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == name {
			if x, ok := s.X.(*ast.Ident); ok {
				out = append(out, x.Name+"."+name)
			}
		}
		return true
	})
	return out
}
