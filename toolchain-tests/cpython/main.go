// Command cpython runs CPython's own test suite in the sandbox and, with the
// same sources built by musl-gcc, natively, and compares the results test by
// test.
//
//	go run ./toolchain-tests/cpython                      # everything: an hour of processor time
//	go run ./toolchain-tests/cpython -only 'json|re$'     # some modules
//	go run ./toolchain-tests/cpython -write docs/python.md
//
// A test counts when it passes natively. Of these, what does not pass in the
// sandbox is listed, with the reason that reasons.txt gives; a difference
// without one makes the command fail.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/halite-run/halite/toolchain/driver"
	"github.com/halite-run/halite/toolchain/ports"
)

var (
	only    = flag.String("only", "", "a regular expression that chooses modules by name")
	binary  = flag.String("halite", "", "a built halite command (default: built from this repository)")
	sandDir = flag.String("sandbox", "", "an installed port to be tested (default: built if it is not there)")
	natDir  = flag.String("native", "", "a native build to compare with (default: likewise)")
	jobs    = flag.Int("jobs", 2, "modules at a time")
	timeout = flag.Duration("timeout", 10*time.Minute, "for each module on each side")
	output  = flag.String("write", "", "a Markdown file whose part between the marks is replaced by the result")
	verbose = flag.Bool("v", false, "print what failing modules print")
	keep    = flag.String("keep", "", "a directory for the results and the output of every module; native results that are there are used again")
	again   = flag.String("again", "", "with -keep: use the sandbox's results that are there too, but for modules that this regular expression matches")
)

// zones are the machine's time zones, which the native run sees too.
const zones = "/usr/share/zoneinfo"

// reasons says why tests that pass natively don't in the sandbox.
//
//go:embed reasons.txt
var reasonsText string

func main() {
	if handled, code := driver.MultiCall(os.Args); handled {
		os.Exit(code)
	}
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "cpython:", err)
		os.Exit(1)
	}
}

// A side is one build of CPython.
type side struct {
	name    string
	command func(work string) []string // the interpreter, to which arguments are added
	results string                     // of the guest, the directory "work"
}

// outcome of one module on one side.
type outcome struct {
	tests map[string]string // "pass", "fail", "skip" by name
	why   map[string]string // of those that fail: what was printed
	note  string            // "" or what went wrong with the whole module
	log   string
}

func run() error {
	choose, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	reasons, err := parseReasons(reasonsText)
	if err != nil {
		return err
	}
	dir := *keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "halite-cpython-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	} else if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if *binary == "" {
		*binary = filepath.Join(dir, "halite")
		if out, err := exec.Command("go", "build", "-o", *binary, "github.com/halite-run/halite/cmd/halite").CombinedOutput(); err != nil {
			return fmt.Errorf("go build: %w\n%s", err, out)
		}
	}
	ctx := context.Background()
	sand, native := *sandDir, *natDir
	if sand == "" {
		if sand, err = ports.Python(ctx, ports.Options{Log: os.Stderr}); err != nil {
			return err
		}
	}
	if _, err := ports.Dash(ctx, ports.Options{Log: os.Stderr}); err != nil { // /bin/sh of the sandbox
		return err
	}
	if native == "" {
		if native, err = ports.NativePython(ctx, ports.Options{Log: os.Stderr}); err != nil {
			return err
		}
	}
	etc, err := etcFiles(dir)
	if err != nil {
		return err
	}
	sides := []side{
		{"native", func(work string) []string {
			return []string{"env", "-i", "PATH=/bin:/usr/bin", "HOME=/tmp", "LD_LIBRARY_PATH=" + native + "/lib", "TMPDIR=" + work + "/tmp", native + "/bin/python3.11"}
		}, ""},
		{"sandbox", func(work string) []string {
			args := []string{*binary, "run", "--net", "any", "--max-processes", "256", "--dir", sand + ":/usr:ro", "--dir", etc + ":/etc:ro", "--dir", work + ":/job", "--cwd", "/job",
				"--env", "PATH=/bin:/usr/bin", "--env", "HOME=/tmp", "--env", "TMPDIR=/job/tmp"}
			if _, err := os.Stat(zones); err == nil {
				args = append(args, "--dir", zones+":"+zones+":ro")
			}
			return append(args, sand+"/bin/python3.11")
		}, "/job"},
	}
	modules, err := moduleNames(filepath.Join(sand, "lib", "python3.11", "test"))
	if err != nil {
		return err
	}
	modules = slices.DeleteFunc(modules, func(m string) bool { return !choose.MatchString(m) })
	all := map[string]map[string]*outcome{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, *jobs)
	for n, m := range modules {
		slots <- struct{}{}
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer func() { <-slots }()
			both := map[string]*outcome{}
			for _, s := range sides {
				both[s.name] = s.run(dir, m)
			}
			mu.Lock()
			all[m] = both
			pass, lost := compare(both["native"], both["sandbox"])
			fmt.Fprintf(os.Stderr, "%d/%d %-28s %4d pass natively, %d of them not in the sandbox %s\n", n+1, len(modules), m, pass, len(lost), both["sandbox"].note)
			if *verbose && len(lost) > 0 {
				os.Stderr.WriteString(both["sandbox"].log)
			}
			mu.Unlock()
		}()
	}
	wg.Wait()
	text, unexplained := report(modules, all, reasons)
	fmt.Print(text)
	if *output != "" {
		if err := replace(*output, text); err != nil {
			return err
		}
	}
	if unexplained > 0 {
		return fmt.Errorf("%d tests fail in the sandbox only, and reasons.txt does not say why", unexplained)
	}
	return nil
}

// etcFiles makes the /etc that the suite expects on any system.
func etcFiles(dir string) (string, error) {
	etc := filepath.Join(dir, "etc")
	if err := os.MkdirAll(etc, 0o755); err != nil {
		return "", err
	}
	files := map[string]string{
		"passwd": "root:x:0:0:root:/root:/bin/sh\nhalite:x:1000:1000:halite:/tmp:/bin/sh\n",
		"group":  "root:x:0:\nhalite:x:1000:\nnogroup:x:65534:\n",
		"hosts":  "127.0.0.1 localhost halite\n::1 localhost ip6-localhost\n",
	}
	for _, name := range []string{"services", "protocols", "mime.types"} {
		if text, err := os.ReadFile("/etc/" + name); err == nil {
			files[name] = string(text)
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(etc, name), []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	return etc, nil
}

// moduleNames lists the test modules of the suite.
func moduleNames(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		name, isPy := strings.CutSuffix(e.Name(), ".py")
		if strings.HasPrefix(name, "test_") && (isPy || e.IsDir()) {
			names = append(names, name)
		}
	}
	return names, nil
}

// run runs one module.
func (s side) run(dir, module string) *outcome {
	work := filepath.Join(dir, s.name, module)
	result := filepath.Join(work, "result.xml")
	old := *keep != "" && s.name == "native"
	if *keep != "" && s.name == "sandbox" && *again != "" {
		match, err := regexp.MatchString(*again, module)
		old = err == nil && !match
	}
	if log, err := os.ReadFile(filepath.Join(work, "log")); old && err == nil {
		o := &outcome{log: string(log), tests: fromLog(string(log))}
		if data, err := os.ReadFile(result); err == nil {
			_ = o.read(data)
		}
		return o
	}
	os.RemoveAll(work)
	if err := os.MkdirAll(filepath.Join(work, "tmp"), 0o755); err != nil {
		return &outcome{note: err.Error()}
	}
	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	defer cancel()
	at := s.results
	if at == "" {
		at = work
	}
	args := append(s.command(work), "-m", "test", "--junit-xml", at+"/result.xml", "--timeout", fmt.Sprint(int(timeout.Seconds())-10), "-v", module)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = work
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	err := cmd.Run()
	_ = os.WriteFile(filepath.Join(work, "log"), log.Bytes(), 0o644)
	o := &outcome{log: log.String()}
	data, rerr := os.ReadFile(result)
	if rerr == nil {
		rerr = o.read(data)
	}
	switch {
	case ctx.Err() != nil:
		o.note = fmt.Sprintf("did not end within %v", *timeout)
	case rerr != nil && err != nil:
		o.note = "no results: " + lastLine(log.String())
		if strings.Contains(log.String(), "skipped") {
			o.note = "skipped: " + skipReason(log.String(), module)
		}
	}
	if len(o.tests) == 0 {
		// What the module printed before it was stopped counts.
		o.tests = fromLog(log.String())
	}
	return o
}

// message is what a test left when it did not pass.
type message struct {
	Short string `xml:"message,attr"`
	Text  string `xml:",chardata"`
}

// read takes the tests from a JUnit file.
func (o *outcome) read(data []byte) error {
	var doc struct {
		Suites []struct {
			Cases []struct {
				Name    string   `xml:"name,attr"`
				Status  string   `xml:"status,attr"`
				Skipped *message `xml:"skipped"`
				Failure *message `xml:"failure"`
				Error   *message `xml:"error"`
				Output  string   `xml:"system-out"`
				Errors  string   `xml:"system-err"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	// Tests print what XML does not allow.
	d := xml.NewDecoder(bytes.NewReader(data))
	d.Strict = false
	if err := d.Decode(&doc); err != nil {
		return err
	}
	o.tests, o.why = map[string]string{}, map[string]string{}
	for _, s := range doc.Suites {
		for _, c := range s.Cases {
			if c.Name == "" {
				continue // printed by a test: the suite's own tests print such files
			}
			result := "pass"
			switch {
			case c.Failure != nil || c.Error != nil:
				result = "fail"
			case c.Skipped != nil:
				result = "skip"
			}
			if old := o.tests[c.Name]; old != "fail" {
				o.tests[c.Name] = result
			}
			for _, m := range []*message{c.Skipped, c.Failure, c.Error} {
				if m != nil {
					o.why[c.Name] += m.Short + "\n" + m.Text + "\n" + c.Output + c.Errors
				}
			}
		}
	}
	if len(o.tests) == 0 {
		return errors.New("no test")
	}
	return nil
}

var logLine = regexp.MustCompile(`(?m)^(test\w+) \(([\w.]+)\)(?:\n[^\n]*)? \.\.\. (ok|FAIL|ERROR|skipped|expected failure)`)

func fromLog(log string) map[string]string {
	tests := map[string]string{}
	for _, m := range logLine.FindAllStringSubmatch(log, -1) {
		result := map[string]string{"ok": "pass", "skipped": "skip", "expected failure": "pass"}[m[3]]
		if result == "" {
			result = "fail"
		}
		name := m[2]
		if !strings.HasSuffix(name, "."+m[1]) {
			name += "." + m[1]
		}
		tests[name] = result
	}
	return tests
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

func skipReason(log, module string) string {
	for _, l := range strings.Split(log, "\n") {
		if rest, ok := strings.CutPrefix(l, module+" skipped -- "); ok {
			return rest
		}
	}
	return lastLine(log)
}

// compare counts the tests that pass natively and lists those that then don't in the sandbox.
func compare(native, sand *outcome) (pass int, lost []string) {
	for name, r := range native.tests {
		if r != "pass" {
			continue
		}
		pass++
		if sand.tests[name] != "pass" {
			lost = append(lost, name)
		}
	}
	sort.Strings(lost)
	return pass, lost
}

// A reason explains differences in tests that a pattern matches.
type reason struct {
	output  bool // the pattern is for what the test printed
	pattern *regexp.Regexp
	text    string
}

// parseReasons reads lines "PATTERN => TEXT", where the pattern is matched with the whole of MODULE or
// MODULE/TEST, and "output PATTERN => TEXT", where it is searched in what the test printed.
func parseReasons(text string) ([]*reason, error) {
	var list []*reason
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		pattern, why, ok := strings.Cut(line, " => ")
		pattern, output := strings.CutPrefix(pattern, "output ")
		if !output {
			pattern = "^(?:" + pattern + ")$"
		}
		re, err := regexp.Compile(pattern)
		if !ok || err != nil {
			return nil, fmt.Errorf("reasons.txt:%d: want PATTERN => TEXT (%v)", n+1, err)
		}
		list = append(list, &reason{output: output, pattern: re, text: why})
	}
	return list, nil
}

func explain(reasons []*reason, module, test, printed string) string {
	for _, r := range reasons {
		if r.output && r.pattern.MatchString(printed) || !r.output && (r.pattern.MatchString(module) || r.pattern.MatchString(module+"/"+test)) {
			return r.text
		}
	}
	return ""
}

// report is the result as Markdown.
func report(modules []string, all map[string]map[string]*outcome, reasons []*reason) (string, int) {
	var table strings.Builder
	total, lostTotal, unexplained, whole, clean, none := 0, 0, 0, 0, 0, 0
	sums := map[string]int{}
	for _, m := range modules {
		pass, lost := compare(all[m]["native"], all[m]["sandbox"])
		total += pass
		lostTotal += len(lost)
		switch {
		case pass == 0:
			none++
			continue
		case len(lost) == 0:
			clean++
			continue
		case len(lost) == pass:
			whole++
		}
		byReason := map[string][]string{}
		var order []string
		for _, t := range lost {
			printed := all[m]["sandbox"].why[t]
			if printed == "" && len(lost) == pass {
				printed = all[m]["sandbox"].log // the module did not get so far
			}
			why := explain(reasons, m, t, printed)
			if why == "" {
				unexplained++
				why = "**unexplained**"
			}
			if byReason[why] == nil {
				order = append(order, why)
			}
			byReason[why] = append(byReason[why], shortName(m, t))
			sums[why]++
		}
		for _, why := range order {
			names := byReason[why]
			if len(names) > 6 && why != "**unexplained**" {
				names = append(names[:6:6], fmt.Sprintf("… %d more", len(byReason[why])-6))
			}
			fmt.Fprintf(&table, "| %s | %d of %d | %s | %s |\n", m, len(byReason[why]), pass, why, strings.Join(names, ", "))
		}
	}
	var b strings.Builder
	if total == 0 {
		return "Nothing passes natively.\n", 0
	}
	fmt.Fprintf(&b, "%d of the %d tests that pass natively pass in the sandbox too: **%.2f %%** (%s).\n", total-lostTotal, total, 100*float64(total-lostTotal)/float64(total), time.Now().UTC().Format("2006-01-02"))
	fmt.Fprintf(&b, "Of %d modules, %d have the same result, %d pass nothing here, %d pass nothing natively either (other systems, resources that the suite wants to be asked for).\n\n", len(modules), clean, whole, none)
	var causes []string
	for why := range sums {
		causes = append(causes, why)
	}
	sort.Slice(causes, func(i, j int) bool { return sums[causes[i]] > sums[causes[j]] })
	if len(causes) > 0 {
		b.WriteString("| why | tests |\n|---|--:|\n")
		for _, why := range causes {
			fmt.Fprintf(&b, "| %s | %d |\n", why, sums[why])
		}
		b.WriteString("\n")
	}
	if table.Len() > 0 {
		b.WriteString("| module | tests that pass natively and not here | why | which |\n|---|--:|---|---|\n" + table.String())
	}
	return b.String(), unexplained
}

// shortName leaves out what the module says already.
func shortName(module, test string) string {
	test = strings.TrimPrefix(test, "test.")
	return "`" + strings.TrimPrefix(test, module+".") + "`"
}

const (
	markBegin = "<!-- test suite: written by toolchain-tests/cpython -->\n"
	markEnd   = "<!-- /test suite -->"
)

// replace puts the report between the marks of a Markdown file.
func replace(file, report string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(text), markBegin)
	_, after, ok2 := strings.Cut(rest, markEnd)
	if !ok || !ok2 {
		return fmt.Errorf("%s: the marks %q and %q are missing", file, markBegin, markEnd)
	}
	return os.WriteFile(file, []byte(before+markBegin+report+markEnd+after), 0o644)
}
