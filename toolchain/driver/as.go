package driver

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/halite-run/halite/toolchain"
)

// asOptions is a gas command line, as far as it matters here.
type asOptions struct {
	out      string
	inputs   []string // "-" is standard input
	debug    bool     // line information for the assembly source itself
	depFile  string
	version  bool
	fatal    bool
	llvmArgs []string // options that llvm-mc has as well
}

// asValue are gas options whose value is the next argument.
var asValue = map[string]bool{
	"-o": true, "-I": true, "--defsym": true, "--MD": true, "--debug-prefix-map": true, "-t": true, "--hash-size": true, "--listing-lhs-width": true,
}

func parseAs(args []string) (*asOptions, error) {
	o := &asOptions{out: "a.out"}
	for i := 0; i < len(args); i++ {
		a := args[i]
		value := ""
		if asValue[a] {
			if i++; i >= len(args) {
				return nil, fmt.Errorf("%s needs a value", a)
			}
			value = args[i]
		}
		switch {
		case a == "-o":
			o.out = value
		case strings.HasPrefix(a, "-o") && len(a) > 2:
			o.out = a[2:]
		case a == "-I":
			o.llvmArgs = append(o.llvmArgs, "-I", value)
		case strings.HasPrefix(a, "-I"):
			o.llvmArgs = append(o.llvmArgs, "-I", a[2:])
		case a == "--defsym":
			o.llvmArgs = append(o.llvmArgs, "-defsym", value)
		case strings.HasPrefix(a, "--defsym="):
			o.llvmArgs = append(o.llvmArgs, "-defsym", a[len("--defsym="):])
		case a == "--debug-prefix-map":
			o.llvmArgs = append(o.llvmArgs, "-fdebug-prefix-map="+value)
		case a == "--MD":
			o.depFile = value
		case a == "--32" || a == "--x32":
			return nil, fmt.Errorf("%s: the halite ABI is 64-bit only", a)
		case a == "-g" || a == "--gen-debug" || strings.HasPrefix(a, "--gdwarf"):
			o.debug = true
		case a == "-W" || a == "--no-warn":
			o.llvmArgs = append(o.llvmArgs, "-no-warn")
		case a == "--fatal-warnings":
			o.fatal = true
			o.llvmArgs = append(o.llvmArgs, "-fatal-warnings")
		case a == "--noexecstack":
			o.llvmArgs = append(o.llvmArgs, "-no-exec-stack")
		case a == "--compress-debug-sections":
			o.llvmArgs = append(o.llvmArgs, "-compress-debug-sections=zlib")
		case strings.HasPrefix(a, "--compress-debug-sections="):
			if v := a[len("--compress-debug-sections="):]; v == "zlib" || v == "zstd" || v == "none" {
				o.llvmArgs = append(o.llvmArgs, "-compress-debug-sections="+v)
			}
		case a == "--version" || a == "-v" || a == "-V":
			o.version = true
		case a == "-":
			o.inputs = append(o.inputs, a)
		case strings.HasPrefix(a, "-"):
			// Listings, tuning, sizes of tables, checks: nothing that changes
			// what the object means.
		default:
			o.inputs = append(o.inputs, a)
		}
	}
	if o.inputs == nil {
		o.inputs = []string{"-"}
	}
	return o, nil
}

// assemble is the assembler that gcc calls: the pass, then llvm-mc.
func assemble(args []string) int {
	args, err := expandResponse(args)
	if err != nil {
		return fail("as", err)
	}
	o, err := parseAs(args)
	if err != nil {
		return fail("as", err)
	}
	mc, err := toolchain.Tool("llvm-mc-19")
	if err != nil {
		return fail("as", err)
	}
	if o.version {
		fmt.Println("halite as: the assembly pass of the halite ABI over llvm-mc (accepts the options of GNU as)")
		if len(args) == 1 && args[0] != "-v" {
			return 0
		}
	}
	inputs, err := readInputs(o.inputs)
	if err != nil {
		return fail("as", err)
	}
	code, err := o.run(mc, inputs)
	if err != nil {
		// The pass reports file:line: message, the form that editors and
		// gcc's users know; it needs no prefix.
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if code == 0 && o.depFile != "" {
		if err := writeDeps(o.depFile, o.out, o.inputs); err != nil {
			return fail("as", err)
		}
	}
	return code
}

// input is an assembly file in memory. The pass needs two looks at a function
// anyway, and the largest files are some megabytes.
type input struct {
	name string
	text []byte
}

func readInputs(names []string) ([]input, error) {
	var all []input
	for _, name := range names {
		if name == "-" {
			text, err := io.ReadAll(os.Stdin)
			if err != nil {
				return nil, fmt.Errorf("standard input: %w", err)
			}
			all = append(all, input{"<stdin>", text})
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		all = append(all, input{name, text})
	}
	return all, nil
}

// run pipes the rewritten assembly into llvm-mc and puts the object in place
// when both are content.
func (o *asOptions) run(mc string, inputs []input) (int, error) {
	out, commit, discard := temporary(o.out)
	defer discard()
	args := append([]string{"-triple=x86_64-unknown-linux-gnu", "-filetype=obj", "-dwarf-version=4", "-o", out}, mcArgs...)
	args = append(args, o.llvmArgs...)
	// Line information of the assembly source itself follows line markers.
	lines := o.debug && !haveLines(inputs)
	if lines {
		args = append(args, "-g")
	}
	cmd := exec.Command(mc, args...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return 1, err
	}
	var messages bytes.Buffer
	cmd.Stderr = &messages
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	passErr := rewriteAll(stdin, inputs, lines)
	if passErr != nil && !errors.Is(passErr, errBrokenPipe) {
		cmd.Process.Kill()
		cmd.Wait()
		return 1, passErr
	}
	if err := stdin.Close(); err != nil && passErr == nil {
		passErr = err
	}
	code, err := status(cmd.Wait())
	if err != nil {
		return 1, fmt.Errorf("llvm-mc: %w\n%s", err, messages.Bytes())
	}
	if messages.Len() > 0 {
		os.Stderr.Write(relocate(messages.Bytes(), inputs))
	}
	if code != 0 {
		return code, nil
	}
	if passErr != nil {
		return 1, passErr
	}
	return 0, commit()
}

// temporary returns the name to write an output under, so that a failed run
// leaves no half-written file. A device or a pipe is written directly.
func temporary(out string) (name string, commit func() error, discard func()) {
	if st, err := os.Stat(out); err == nil && !st.Mode().IsRegular() {
		return out, func() error { return nil }, func() {}
	}
	name = filepath.Join(filepath.Dir(out), fmt.Sprintf(".%s.%d", filepath.Base(out), os.Getpid()))
	done := false
	return name, func() error {
			done = true
			if err := os.Rename(name, out); err != nil {
				os.Remove(name)
				return err
			}
			return nil
		}, func() {
			if !done {
				os.Remove(name)
			}
		}
}

// errBrokenPipe: llvm-mc stopped reading. It has said why.
var errBrokenPipe = errors.New("llvm-mc stopped reading")

type pipeWriter struct{ w io.Writer }

func (p pipeWriter) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	if err != nil {
		return n, fmt.Errorf("%w (%v)", errBrokenPipe, err)
	}
	return n, nil
}

// rewriteAll runs the pass over the inputs, one after the other: several
// files on gas's command line are one source.
func rewriteAll(w io.Writer, inputs []input, markers bool) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: internal error in the assembly pass: %v", inputs[0].name, p)
		}
	}()
	b := bufio.NewWriterSize(pipeWriter{w}, 64<<10)
	for _, in := range inputs {
		if err := rewrite(b, bytes.NewReader(in.text), in.name, markers); err != nil {
			return err
		}
	}
	return b.Flush()
}

// haveLines says that the source carries line information of its own, as
// compiled C does; the assembler then must not make another.
func haveLines(inputs []input) bool {
	for _, in := range inputs {
		if bytes.Contains(in.text, []byte("\t.loc ")) || bytes.Contains(in.text, []byte("\n.loc ")) {
			return true
		}
		// "file 1" numbers a file for .loc; "file name" only names a symbol.
		for rest := in.text; ; {
			i := bytes.Index(rest, []byte(".file "))
			if i < 0 {
				break
			}
			rest = bytes.TrimLeft(rest[i+len(".file "):], " \t")
			if len(rest) > 0 && rest[0] >= '0' && rest[0] <= '9' {
				return true
			}
		}
	}
	return false
}

var mcMessage = regexp.MustCompile(`(?m)^<stdin>:(\d+):\d+: `)

// relocate turns positions in llvm-mc's messages, which are lines of the
// rewritten text, into positions in the source. It runs the pass once more
// with line markers, since messages are rare.
func relocate(messages []byte, inputs []input) []byte {
	if !mcMessage.Match(messages) {
		return messages
	}
	var marked bytes.Buffer
	if err := rewriteAll(&marked, inputs, true); err != nil {
		return messages
	}
	at := positions(marked.Bytes())
	if at == nil {
		return messages
	}
	return mcMessage.ReplaceAllFunc(messages, func(m []byte) []byte {
		n, err := strconv.Atoi(string(mcMessage.FindSubmatch(m)[1]))
		if err != nil || n < 1 || n > len(at) || at[n-1] == "" {
			return m
		}
		return []byte(at[n-1] + ": ")
	})
}

// positions returns the source position of each line of the rewritten text,
// from the text with markers (# line "file"), which are not counted.
func positions(marked []byte) []string {
	var at []string
	current, any := "", false
	for line := range bytes.Lines(marked) {
		if n, file, ok := lineMarker(line); ok {
			current, any = fmt.Sprintf("%s:%d", file, n), true
			continue
		}
		at = append(at, current)
	}
	if !any {
		return nil
	}
	return at
}

func lineMarker(line []byte) (n int, file string, ok bool) {
	rest, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("# "))
	if !ok {
		return 0, "", false
	}
	number, name, ok := bytes.Cut(rest, []byte(" "))
	n, err := strconv.Atoi(string(number))
	if !ok || err != nil {
		return 0, "", false
	}
	file, err = strconv.Unquote(string(bytes.TrimSpace(name)))
	return n, file, err == nil
}

// writeDeps writes the make rule that gas --MD does.
func writeDeps(file, out string, inputs []string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:", out)
	for _, in := range inputs {
		if in != "-" {
			fmt.Fprintf(&b, " %s", in)
		}
	}
	b.WriteByte('\n')
	return os.WriteFile(file, []byte(b.String()), 0o666)
}

// output runs a program and returns what it printed, trimmed.
func output(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).Output()
	return strings.TrimSpace(string(out)), err
}
