// Command kernels measures what the sandbox costs: it builds the C kernels (and
// Lua) for the machine with gcc -O2 against musl and for
// the sandbox with halite cc -O2, runs both in turn, and prints the medians side by
// side as a Markdown table.
//
//	cd bench && go run ./cmd/kernels
//	go run ./cmd/kernels -rounds 21 -only 'vm|json' -write ../docs/performance.md
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/halite-run/halite/bench"
	"github.com/halite-run/halite/toolchain/debsrc"
)

var (
	rounds = flag.Int("rounds", 11, "runs of each program on each side; the median counts")
	only   = flag.String("only", "", "a regular expression that chooses programs by name")
	scale  = flag.Float64("scale", 1, "factor for the work of each kernel")
	binary = flag.String("halite", "", "a built halite command (default: built from this repository)")
	output = flag.String("write", "", "a Markdown file whose part between the marks is replaced by the tables")
	luas   = flag.Bool("lua", true, "measure Lua scripts too")
	least  = flag.Bool("least", false, "compare the fastest runs instead of the medians: for a machine that is busy")
	cpu    = flag.Bool("cpu", false, "measure CPU time instead of time: for a machine that is busy")
	flags  = flag.String("flags", "-O2", "optimisation flags for both compilers")
)

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "kernels:", err)
		os.Exit(1)
	}
}

// A subject is one program in two builds.
type subject struct {
	name, about      string
	native, sandbox  []string // command lines
	nativeNS, sandNS []float64
	sum              string
}

func run() error {
	choose, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "halite-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if *binary == "" {
		*binary = filepath.Join(dir, "halite")
		if err := bench.Execute("go", "build", "-o", *binary, "github.com/halite-run/halite/cmd/halite"); err != nil {
			return err
		}
	}
	if *binary, err = filepath.Abs(*binary); err != nil {
		return err
	}
	progress("building the C library for the sandbox, if it is not there")
	if err := bench.Execute(*binary, "sysroot"); err != nil {
		return err
	}
	var report bytes.Buffer
	fmt.Fprintf(&report, "Measured on %s.\n\n", machine())
	kernels, err := buildKernels(dir, choose)
	if err != nil {
		return err
	}
	if err := measure(kernels); err != nil {
		return err
	}
	table(&report, "C kernel", kernels)
	if *luas {
		scripts, err := buildLua(dir, choose)
		if err != nil {
			return err
		}
		if err := measure(scripts); err != nil {
			return err
		}
		fmt.Fprintln(&report)
		table(&report, "Lua script", scripts)
	}
	fmt.Print(report.String())
	if *output != "" {
		return bench.Replace(*output, "kernels", report.String())
	}
	return nil
}

// progress goes to standard error, and only when somebody watches.
func progress(s string) {
	if st, err := os.Stderr.Stat(); err == nil && st.Mode()&os.ModeCharDevice != 0 {
		fmt.Fprintf(os.Stderr, "\r\x1b[K%s", s)
	}
}

// heading returns the comment of a source's first line, and a value from its second.
func heading(text, comment, key string) (about, value string) {
	lines := strings.SplitN(text, "\n", 3)
	about = strings.TrimSpace(strings.TrimPrefix(lines[0], comment))
	if len(lines) > 1 {
		value, _ = strings.CutPrefix(lines[1], comment+" "+key+": ")
	}
	return about, strings.TrimSpace(value)
}

func buildKernels(dir string, choose *regexp.Regexp) ([]*subject, error) {
	if err := os.CopyFS(filepath.Join(dir, "src"), bench.Kernels); err != nil {
		return nil, err
	}
	files, err := fs.Glob(bench.Kernels, "kernels/*.c")
	if err != nil {
		return nil, err
	}
	var list []*subject
	for _, f := range files {
		name := strings.TrimSuffix(path.Base(f), ".c")
		if !choose.MatchString(name) {
			continue
		}
		text, err := bench.Kernels.ReadFile(f)
		if err != nil {
			return nil, err
		}
		about, n := heading(string(text), "//", "rounds")
		work, err := strconv.ParseFloat(n, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: no number of rounds in the second line: %w", f, err)
		}
		progress("building " + name)
		src := filepath.Join(dir, "src", f)
		native, sand := filepath.Join(dir, name+".native"), filepath.Join(dir, name+".halite")
		opt := strings.Fields(*flags)
		if err := bench.Execute("musl-gcc", slices.Concat(opt, []string{"-static", src, "-o", native, "-lm"})...); err != nil {
			return nil, err
		}
		if err := bench.Execute(*binary, slices.Concat([]string{"cc"}, opt, []string{"-static", src, "-o", sand, "-lm"})...); err != nil {
			return nil, err
		}
		args := []string{strconv.Itoa(max(1, int(work**scale)))}
		if *cpu {
			args = append(args, "cpu")
		}
		list = append(list, &subject{name: name, about: about,
			native: slices.Concat([]string{native}, args), sandbox: slices.Concat([]string{*binary, "run", sand}, args)})
	}
	return list, nil
}

// buildLua has the Lua port built for the sandbox and, from the same sources, for the
// machine, and so the lpeg module.
func buildLua(dir string, choose *regexp.Regexp) ([]*subject, error) {
	if err := os.CopyFS(filepath.Join(dir, "src"), bench.Lua); err != nil {
		return nil, err
	}
	files, err := fs.Glob(bench.Lua, "lua/*.lua")
	if err != nil {
		return nil, err
	}
	files = slices.DeleteFunc(files, func(f string) bool { return !choose.MatchString("lua/" + path.Base(f)) })
	if len(files) == 0 {
		return nil, nil
	}
	progress("building Lua, if it is not there")
	port := func(args ...string) (string, error) {
		cmd := exec.Command(*binary, append([]string{"port"}, args...)...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("halite port %s: %w\n%s", strings.Join(args, " "), err, stderr.Bytes())
		}
		return strings.TrimSpace(string(out)), nil
	}
	sandLua, err := port("lua")
	if err != nil {
		return nil, err
	}
	sandLpeg, err := port("lpeg")
	if err != nil {
		return nil, err
	}
	nativeLua, err := port("-native", "musl-gcc", "lua")
	if err != nil {
		return nil, err
	}
	if err := nativeLpeg(dir, nativeLua); err != nil {
		return nil, err
	}
	scripts := filepath.Join(dir, "src", "lua")
	var list []*subject
	for _, f := range files {
		text, err := bench.Lua.ReadFile(f)
		if err != nil {
			return nil, err
		}
		about, _ := heading(string(text), "--", "")
		file := path.Base(f)
		list = append(list, &subject{name: strings.TrimSuffix(file, ".lua"), about: about,
			native: []string{"env", "LUA_CPATH=" + dir + "/?.so", "LD_LIBRARY_PATH=" + filepath.Join(nativeLua, "lib"), filepath.Join(nativeLua, "bin", "lua"), filepath.Join(scripts, file)},
			sandbox: []string{*binary, "run", "--dir", sandLua + ":/usr:ro", "--dir", sandLpeg + ":/opt:ro", "--dir", scripts + ":/scripts:ro",
				"--env", "LUA_CPATH=/opt/lib/lua/5.4/?.so", filepath.Join(sandLua, "bin", "lua"), "/scripts/" + file}})
	}
	return list, nil
}

// nativeLpeg builds the module from the same source package as the port's.
func nativeLpeg(dir, lua string) error {
	ctx := context.Background()
	source, err := debsrc.Fetch(ctx, "lua-lpeg", debsrc.Options{})
	if err != nil {
		return err
	}
	src := filepath.Join(dir, "lpeg")
	if err := source.Extract(ctx, src); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(src, "*.c"))
	if err != nil {
		return err
	}
	return bench.Execute("musl-gcc", slices.Concat(strings.Fields(*flags), []string{"-DNDEBUG", "-fPIC", "-shared", "-I", filepath.Join(lua, "include"), "-o", filepath.Join(dir, "lpeg.so")}, files)...)
}

// measure runs both builds in turn, so that whatever disturbs the machine for a
// while disturbs both.
func measure(list []*subject) error {
	for r := range *rounds {
		for _, s := range list {
			progress(fmt.Sprintf("round %d of %d: %s", r+1, *rounds, s.name))
			sides := []struct {
				command []string
				ns      *[]float64
			}{{s.native, &s.nativeNS}, {s.sandbox, &s.sandNS}}
			if r%2 == 1 {
				slices.Reverse(sides)
			}
			for _, side := range sides {
				sum, ns, err := once(side.command)
				if err != nil {
					return err
				}
				if s.sum == "" {
					s.sum = sum
				}
				if sum != s.sum {
					return fmt.Errorf("%s: checksum %s, before it was %s: %s", s.name, sum, s.sum, strings.Join(side.command, " "))
				}
				*side.ns = append(*side.ns, ns)
			}
		}
	}
	progress("")
	return nil
}

// once runs a program that prints a checksum and a time: whole nanoseconds, or
// seconds with a point.
func once(command []string) (sum string, ns float64, err error) {
	cmd := exec.Command(command[0], command[1:]...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	start := time.Now()
	out, err := cmd.Output()
	if err != nil {
		return "", 0, fmt.Errorf("%s: %w after %v\n%s%s", strings.Join(command, " "), err, time.Since(start), out, stderr.Bytes())
	}
	words := strings.Fields(string(out))
	if len(words) != 2 {
		return "", 0, fmt.Errorf("%s: printed %q, not a checksum and a time", strings.Join(command, " "), out)
	}
	ns, err = strconv.ParseFloat(words[1], 64)
	if strings.Contains(words[1], ".") || ns < 1000 {
		ns *= 1e9
	}
	return words[0], ns, err
}

// typical is what counts of several runs.
func typical(v []float64) float64 {
	if *least {
		return slices.Min(v)
	}
	return bench.Median(v)
}

// library are the kernels that measure the C library's string functions rather than
// compiled code; ours are faster than musl's.
var library = []string{"memory", "strings", "quicksort", "nfa"}

func table(w *bytes.Buffer, title string, list []*subject) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(w, "| %s | what it does | native ms | sandbox ms | ratio | ± |\n|---|---|---:|---:|---:|---:|\n", title)
	sort.Slice(list, func(i, j int) bool { return list[i].name < list[j].name })
	logs, own, owns := 0.0, 0.0, 0
	for _, s := range list {
		n, h := typical(s.nativeNS), typical(s.sandNS)
		logs += math.Log(h / n)
		if title != "C kernel" || !slices.Contains(library, s.name) {
			own += math.Log(h / n)
			owns++
		}
		fmt.Fprintf(w, "| %s | %s | %.2f | %.2f | %.3f | %.1f %% |\n", s.name, strings.TrimSuffix(s.about, "."), n/1e6, h/1e6, h/n, 100*max(bench.Spread(s.nativeNS), bench.Spread(s.sandNS)))
	}
	fmt.Fprintf(w, "| **geometric mean** | | | | **%.3f** | |\n", math.Exp(logs/float64(len(list))))
	if owns > 0 && owns < len(list) {
		fmt.Fprintf(w, "| geometric mean without %s | | | | %.3f | |\n", strings.Join(library, ", "), math.Exp(own/float64(owns)))
	}
}

// machine says where and of what the numbers are.
func machine() string {
	which := "medians"
	if *cpu {
		which += " (CPU time)"
	}
	if *least {
		which = strings.Replace(which, "medians", "the fastest", 1)
	}
	return fmt.Sprintf("%s, gcc %s %s; %s of %d interleaved runs", bench.Machine(), bench.GCC(), *flags, which, *rounds)
}
