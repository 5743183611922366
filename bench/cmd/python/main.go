// Command python measures CPython in the sandbox beside the same sources built by
// musl-gcc, Debian's python3.11, and Pyodide on node where those are there: the
// time to start, and scripts. All run in turn, in one go. Starts are those of a
// process; the sandbox has one more, by halite.Run in this process, which has started
// the interpreter before.
//
//	cd bench && go run ./cmd/python
//	go run ./cmd/python -pyodide node_modules/pyodide -write ../docs/performance.md
package main

import (
	"bytes"
	"context"
	"errors"
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
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/halite-run/halite"
	"github.com/halite-run/halite/bench"
	"github.com/halite-run/halite/toolchain"
)

var (
	rounds  = flag.Int("rounds", 7, "runs of each script with each interpreter, of which the median counts; 0: starts alone")
	starts  = flag.Int("starts", 15, "starts of each interpreter; 0: scripts alone")
	only    = flag.String("only", "", "a regular expression that chooses scripts by name")
	binary  = flag.String("halite", "", "a built halite command (default: built from this repository)")
	output  = flag.String("write", "", "a Markdown file whose part between the marks is replaced by the tables")
	sandDir = flag.String("sandbox", "", "an installed port to be measured (default: built if it is not there)")
	natDir  = flag.String("native", "", "a native build to compare with (default: likewise)")
	pyodide = flag.String("pyodide", "", "directory of the npm package pyodide, to measure it on node")
	debian  = flag.String("debian", "/usr/bin/python3.11", "the machine's interpreter")
)

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "python:", err)
		os.Exit(1)
	}
}

// A side is an interpreter.
type side struct {
	name    string
	command []string       // before the arguments
	scripts string         // where it finds the scripts
	inside  *halite.Config // instead of a command: what is started in this process
	times   map[string][]float64
}

// The first is what the others are compared with.
const baseline = "musl"

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
	if err := os.CopyFS(dir, bench.Python); err != nil {
		return err
	}
	scripts := filepath.Join(dir, "python")
	sand, native := *sandDir, *natDir
	if sand == "" {
		if sand, err = port("python"); err != nil {
			return err
		}
	}
	if native == "" {
		if native, err = port("-native", "musl-gcc", "python"); err != nil {
			return err
		}
	}
	sides := []*side{
		{name: baseline, command: []string{"env", "LD_LIBRARY_PATH=" + native + "/lib", native + "/bin/python3.11"}, scripts: scripts},
		{name: "halite", command: []string{*binary, "run", "--dir", sand + ":/usr:ro", "--dir", scripts + ":/scripts:ro", sand + "/bin/python3.11"}, scripts: "/scripts"},
	}
	if _, err := os.Stat(*debian); err == nil {
		sides = append(sides, &side{name: "Debian", command: []string{*debian}, scripts: scripts})
	}
	if *pyodide != "" {
		runner := filepath.Join(dir, "pyodide.mjs")
		if err := os.WriteFile(runner, []byte(pyodideRunner), 0o644); err != nil {
			return err
		}
		at, err := filepath.Abs(*pyodide)
		if err != nil {
			return err
		}
		sides = append(sides, &side{name: "Pyodide", command: []string{"node", runner, at}, scripts: scripts})
	}
	for _, s := range sides {
		s.times = map[string][]float64{}
	}
	files, err := fs.Glob(bench.Python, "python/*.py")
	if err != nil {
		return err
	}
	var names []string
	for _, f := range files {
		if name := strings.TrimSuffix(path.Base(f), ".py"); choose.MatchString(name) {
			names = append(names, name)
		}
	}
	if *starts > 0 {
		sysroot, err := toolchain.Sysroot()
		if err != nil {
			return err
		}
		all := slices.Insert(slices.Clone(sides), 2, &side{name: "halite, once more in one process", times: map[string][]float64{}, inside: &halite.Config{
			Program: sand + "/bin/python3.11", Libraries: []string{filepath.Join(sysroot, "lib")},
			Mounts: []halite.Mount{{Guest: "/usr", Host: sand, ReadOnly: true}},
			Stderr: os.Stderr,
		}})
		if err := measureStarts(all); err != nil {
			return err
		}
		if err := show("python/starts", reportStarts(all)); err != nil {
			return err
		}
	}
	if *rounds > 0 {
		if err := measureScripts(sides, names); err != nil {
			return err
		}
		return show("python", report(sides, names))
	}
	return nil
}

func show(name, text string) error {
	fmt.Print(text)
	if *output == "" {
		return nil
	}
	return bench.Replace(*output, name, text)
}

// pyodideRunner runs a script file, or -c code, with Pyodide.
const pyodideRunner = `
import { readFileSync } from "node:fs";
const { loadPyodide } = await import(process.argv[2] + "/pyodide.mjs");
const args = process.argv.slice(3).filter((a) => a !== "-I" && a !== "-S");
const py = await loadPyodide({ stdout: (s) => console.log(s) });
const code = args[0] === "-c" ? args[1] : readFileSync(args[0], "utf8");
if (/\bsqlite3\b/.test(code)) await py.loadPackage("sqlite3");
if (/asyncio.run/.test(code)) throw new Error("asyncio.run does not work in Pyodide");
py.runPython("import time; time.process_time = time.perf_counter"); // it has no CPU time
py.runPython(code);
`

func port(args ...string) (string, error) {
	cmd := exec.Command(*binary, append([]string{"port"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("halite port %s: %w\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return strings.TrimSpace(string(out)), nil
}

// starting are the two ways to start that are measured.
var starting = []struct {
	name string
	args []string
}{{"-I -S -c pass", []string{"-I", "-S", "-c", "pass"}}, {"-c pass", []string{"-c", "pass"}}}

// warm is how many starts come before those that count.
const warm = 3

const cpuTime = ", CPU time"

// start starts the interpreter once and waits for its end.
func (s *side) start(args []string) (took, cpu time.Duration, err error) {
	begin := time.Now()
	if s.inside == nil {
		cmd := exec.Command(s.command[0], append(s.command[1:len(s.command):len(s.command)], args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return 0, 0, fmt.Errorf("%w\n%s", err, out)
		}
		return time.Since(begin), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
	}
	c := *s.inside
	c.Args = args
	before := ownTime()
	status, err := halite.Run(context.Background(), c)
	if err == nil && status != (halite.ExitStatus{}) {
		err = fmt.Errorf("%v", status)
	}
	return time.Since(begin), ownTime() - before, err
}

// ownTime is the CPU time of this process.
func ownTime() time.Duration {
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		panic(err)
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

func measureStarts(sides []*side) error {
	for r := range *starts + warm {
		for _, how := range starting {
			for n := range sides {
				s := sides[(n+r)%len(sides)]
				took, cpu, err := s.start(how.args)
				if err != nil {
					return fmt.Errorf("%s %s: %w", s.name, how.name, err)
				}
				if r >= warm { // the first fill caches
					s.times[how.name] = append(s.times[how.name], float64(took))
					s.times[how.name+cpuTime] = append(s.times[how.name+cpuTime], float64(cpu))
				}
			}
		}
	}
	return nil
}

func measureScripts(sides []*side, names []string) error {
	sums := map[string]string{}
	for r := range *rounds {
		for _, name := range names {
			for n := range sides {
				s := sides[(n+r)%len(sides)]
				if s.name == "Pyodide" && (r > 2 || s.times[name] == nil && r > 0) {
					continue // it is slow, and what it can't do it can't do
				}
				sum, ns, err := once(append(s.command[:len(s.command):len(s.command)], s.scripts+"/"+name+".py"))
				if err != nil && s.name == "Pyodide" {
					fmt.Fprintf(os.Stderr, "%s on Pyodide: %.300s\n", name, err.Error())
					continue
				}
				if err != nil {
					return err
				}
				if sums[name] == "" {
					sums[name] = sum
				}
				if sum != sums[name] {
					return fmt.Errorf("%s: %s computed %s, before it was %s", name, s.name, sum, sums[name])
				}
				s.times[name] = append(s.times[name], ns)
			}
		}
	}
	return nil
}

// once runs a script, which prints a checksum and its seconds of CPU time.
func once(command []string) (sum string, ns float64, err error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	words := strings.Fields(string(out))
	if err != nil {
		return "", 0, fmt.Errorf("%s: %w\n%s%s", strings.Join(command, " "), err, out, stderr.Bytes())
	}
	if len(words) != 2 {
		return "", 0, errors.New("not a checksum and a time: " + string(out))
	}
	ns, err = strconv.ParseFloat(words[1], 64)
	return words[0], ns * 1e9, err
}

func reportStarts(sides []*side) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured on %s; medians of %d interleaved starts.\n\n", bench.Machine(), *starts)
	fmt.Fprintf(&b, "| start, ms |")
	for _, s := range sides {
		fmt.Fprintf(&b, " %s |", s.name)
	}
	fmt.Fprintf(&b, " halite : Debian | once more : Debian |\n|---|%s--:|--:|\n", strings.Repeat("--:|", len(sides)))
	for _, how := range starting {
		for _, what := range []string{how.name, how.name + cpuTime} {
			fmt.Fprintf(&b, "| %s |", what)
			for _, s := range sides {
				fmt.Fprintf(&b, " %.1f |", bench.Median(s.times[what])/1e6)
			}
			fmt.Fprintf(&b, " %s | %s |\n", ratio(sides, 1, "Debian", what), ratio(sides, 2, "Debian", what))
		}
	}
	return b.String()
}

func report(sides []*side, names []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured on %s; medians of %d interleaved runs.\n\n", bench.Machine(), *rounds)
	base := sides[0]
	fmt.Fprintf(&b, "| script | what it does | %s ms |", base.name)
	for _, s := range sides[1:] {
		fmt.Fprintf(&b, " %s |", s.name)
	}
	fmt.Fprintf(&b, " ± |\n|---|---|--:|%s--:|\n", strings.Repeat("--:|", len(sides)-1))
	logs := make([]float64, len(sides))
	counts := make([]int, len(sides))
	for _, name := range names {
		text, _ := bench.Python.ReadFile("python/" + name + ".py")
		about, _, _ := strings.Cut(strings.TrimPrefix(string(text), "# "), "\n")
		n := bench.Median(base.times[name])
		fmt.Fprintf(&b, "| %s | %s | %.1f |", name, about, n/1e6)
		spread := bench.Spread(base.times[name])
		for i, s := range sides[1:] {
			if s.times[name] == nil {
				fmt.Fprintf(&b, " – |")
				continue
			}
			r := bench.Median(s.times[name]) / n
			logs[i+1] += math.Log(r)
			counts[i+1]++
			fmt.Fprintf(&b, " %.3f |", r)
			if s.name != "Pyodide" {
				spread = math.Max(spread, bench.Spread(s.times[name]))
			}
		}
		fmt.Fprintf(&b, " %.1f %% |\n", 100*spread)
	}
	fmt.Fprintf(&b, "| **geometric mean** | | |")
	for i := range sides[1:] {
		fmt.Fprintf(&b, " **%.3f** |", math.Exp(logs[i+1]/math.Max(1, float64(counts[i+1]))))
	}
	fmt.Fprintf(&b, " |\n")
	return b.String()
}

// ratio compares one side with another, if that is there.
func ratio(sides []*side, ours int, name, what string) string {
	i := slices.IndexFunc(sides, func(s *side) bool { return s.name == name })
	if i < 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", bench.Median(sides[ours].times[what])/bench.Median(sides[i].times[what]))
}
