package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Median of some values.
func Median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	n := len(s)
	if n%2 == 1 {
		return s[n/2]
	}
	return (s[n/2-1] + s[n/2]) / 2
}

// Spread is half the distance between the quartiles, as a part of the median.
func Spread(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return (s[len(s)*3/4] - s[len(s)/4]) / 2 / Median(v)
}

// Machine says where and of what numbers are.
func Machine() string {
	cpu := "an unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := regexp.MustCompile(`(?m)^model name\s*: (.*)$`).FindSubmatch(text); m != nil {
			cpu = string(m[1])
		}
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	commit, _ := exec.Command("git", "rev-parse", "--short", "HEAD").Output()
	return fmt.Sprintf("%s, %d cores seen, Linux %s, %s, commit %s, %s", cpu, runtime.NumCPU(), bytes.TrimSpace(kernel),
		runtime.Version(), bytes.TrimSpace(commit), time.Now().UTC().Format("2006-01-02"))
}

// GCC is the version of the native compiler.
func GCC() string {
	out, _ := exec.Command("gcc", "-dumpfullversion").Output()
	return string(bytes.TrimSpace(out))
}

// Replace puts a report between the marks of a Markdown file:
// <!-- NAME: written by bench/cmd/NAME --> and <!-- /NAME -->.
func Replace(file, name, report string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	command, _, _ := strings.Cut(name, "/")
	begin, end := fmt.Sprintf("<!-- %s: written by bench/cmd/%s -->\n", name, command), fmt.Sprintf("<!-- /%s -->", name)
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("%s: the marks %q and %q are missing", file, begin, end)
	}
	return os.WriteFile(file, []byte(before+begin+report+end+after), 0o644)
}
