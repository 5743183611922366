package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// What is linked: so many libraries of so many functions. Each but the first has a
// table of pointers to functions of all the others, relocations by name in all.
const (
	libraries   = 50
	functions   = 1000
	relocations = 70_000
)

// A tool builds for one of the linkers.
type tool struct {
	name string
	cc   []string
	dir  string // where its files are
}

// source is that of library i.
func source(i int) string {
	var s strings.Builder
	for j := range functions {
		fmt.Fprintf(&s, "int l%d_function_number_%d(void) { return %d; }\n", i, j, j)
	}
	if i > 0 {
		n := relocations / (libraries - 1)
		if i == 1 {
			n += relocations % (libraries - 1)
		}
		var table strings.Builder
		for k := range n {
			// Spread over all libraries but this one and over their functions.
			lib := (i + 1 + k*7%(libraries-1)) % libraries
			f := fmt.Sprintf("l%d_function_number_%d", lib, (k*31+i)%functions)
			fmt.Fprintf(&s, "int %s(void);\n", f)
			fmt.Fprintf(&table, "%s,", f)
		}
		fmt.Fprintf(&s, "int (*l%d_table[])(void) = {%s};\n", i, table.String())
	}
	return s.String()
}

// small is a library with 1,000 relocations by name, all to one other.
func small() (a, b string) {
	var s, table strings.Builder
	for j := range functions {
		fmt.Fprintf(&s, "int l1_function_number_%d(void) { return %d; }\n", j, j)
	}
	var t strings.Builder
	for j := range functions {
		fmt.Fprintf(&t, "int l1_function_number_%d(void);\n", j)
		fmt.Fprintf(&table, "l1_function_number_%d,", j)
	}
	fmt.Fprintf(&t, "int (*small_table[])(void) = {%s};\n", table.String())
	return s.String(), t.String()
}

func build(dir string, tools []*tool) error {
	files := map[string]string{"main.c": "int main(void) { return 0; }\n"}
	for i := range libraries {
		files[fmt.Sprintf("l%d.c", i)] = source(i)
	}
	files["base.c"], files["small.c"] = small()
	files["open.c"] = open
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			return err
		}
	}
	for _, t := range tools {
		t.dir = filepath.Join(dir, t.name)
		if err := t.build(dir); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return nil
}

func (t *tool) build(src string) error {
	if err := os.Mkdir(t.dir, 0o777); err != nil {
		return err
	}
	shared := func(name string, more ...string) error {
		return t.run(append([]string{"-O0", "-fPIC", "-shared", "-o", "lib" + name + ".so", filepath.Join(src, name+".c"), "-Wl,-soname,lib" + name + ".so", "-Wl,-z,now"}, more...)...)
	}
	var wg sync.WaitGroup
	errs := make([]error, libraries)
	free := make(chan bool, 2)
	needed := []string{"-L.", "-Wl,--no-as-needed"}
	for i := range libraries {
		needed = append(needed, fmt.Sprintf("-ll%d", i))
		wg.Go(func() {
			free <- true
			errs[i] = shared(fmt.Sprintf("l%d", i))
			<-free
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	if err := t.run(append([]string{"-o", "main", filepath.Join(src, "main.c"), "-Wl,-z,now", "-Wl,-rpath,$ORIGIN"}, needed...)...); err != nil {
		return err
	}
	if err := shared("base"); err != nil {
		return err
	}
	if err := shared("small", "-L.", "-Wl,--no-as-needed", "-lbase"); err != nil {
		return err
	}
	if err := shared("open", "-L.", "-Wl,--no-as-needed", "-lbase"); err != nil {
		return err
	}
	return t.run("-DPROGRAM", "-O2", "-o", "open", filepath.Join(src, "open.c"), "-Wl,-rpath,$ORIGIN", "-L.", "-Wl,--no-as-needed", "-lbase", "-ldl")
}

func (t *tool) run(args ...string) error {
	cmd := exec.Command(t.cc[0], append(t.cc[1:], args...)...)
	cmd.Dir = t.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
	}
	return nil
}
