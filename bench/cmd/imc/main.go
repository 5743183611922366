// Command imc measures messages and calls of package imc against what Go programs use
// otherwise: channels, a raw socket pair, net/rpc, gRPC. Both sides of each line run
// in turn, in one go; the medians are printed as a Markdown table.
//
//	cd bench && go run ./cmd/imc
//	go run ./cmd/imc -cpu -rounds 21 -write ../docs/performance.md
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halite-run/halite/bench"
)

var (
	rounds = flag.Int("rounds", 11, "runs of each contestant; the median counts")
	only   = flag.String("only", "", "a regular expression that chooses lines by name")
	batch  = flag.Duration("batch", 50*time.Millisecond, "how long one run is, about")
	cpu    = flag.Bool("cpu", false, "measure CPU time of all processes that take part instead of time: for a machine that is busy")
	output = flag.String("write", "", "a Markdown file whose part between the marks is replaced by the table")
	child  = flag.String("child", "", "be the other process of a contestant (used by the command itself)")
)

// A contestant does one operation many times. run is called from one goroutine.
type contestant struct {
	name  string
	run   func(n int) error
	pid   int // of the other process, 0 if there is none
	close func()
	ns    []float64
}

// A line of the table: ours and the others.
type line struct {
	name   string
	target string
	start  []func() (*contestant, error) // ours first
}

func main() {
	flag.Parse()
	err := error(nil)
	if *child != "" {
		err = children[*child](os.NewFile(3, "inherited"))
	} else {
		err = run()
	}
	if err != nil && err != io.EOF {
		fmt.Fprintln(os.Stderr, "imc:", err)
		os.Exit(1)
	}
}

func run() error {
	choose, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	what := "time"
	if *cpu {
		what = "CPU time of both sides"
	}
	var w strings.Builder
	fmt.Fprintf(&w, "Measured on %s; medians (%s) of %d interleaved runs.\n\n", bench.Machine(), what, *rounds)
	fmt.Fprintf(&w, "| what | imc ns | ± | against | ns | imc is | target |\n|---|---:|---:|---|---:|---:|---|\n")
	for _, l := range lines {
		if !choose.MatchString(l.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s\n", l.name)
		list, err := measure(l)
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		ours := bench.Median(list[0].ns)
		for i, c := range list[1:] {
			name, mine, spread, target := "", "", "", ""
			if i == 0 {
				name, mine, target = l.name, fmt.Sprintf("%.0f", ours), l.target
				spread = fmt.Sprintf("%.1f %%", 100*bench.Spread(list[0].ns))
			}
			ns := bench.Median(c.ns)
			fmt.Fprintf(&w, "| %s | %s | %s | %s | %.0f | %.2f | %s |\n", name, mine, spread, c.name, ns, ours/ns, target)
		}
	}
	fmt.Print(w.String())
	if *output != "" {
		return bench.Replace(*output, "imc", w.String())
	}
	return nil
}

func measure(l line) ([]*contestant, error) {
	var list []*contestant
	defer func() {
		for _, c := range list {
			c.close()
		}
	}()
	var counts []int
	for _, start := range l.start {
		c, err := start()
		if err != nil {
			return nil, err
		}
		list = append(list, c)
		// Warm up, and find how many operations make a batch.
		n := 1
		for {
			begin := time.Now()
			if err := c.run(n); err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			took := time.Since(begin)
			if took > *batch/2 || n > 1<<24 {
				n = max(1, int(float64(n)*float64(*batch)/float64(max(took, 1))))
				break
			}
			n *= 2
		}
		counts = append(counts, n)
	}
	for range *rounds {
		for i, c := range list {
			begin := c.now()
			if err := c.run(counts[i]); err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			c.ns = append(c.ns, float64(c.now()-begin)/float64(counts[i]))
		}
	}
	return list, nil
}

// now is a time that grows as the contestant takes it.
func (c *contestant) now() int64 {
	if !*cpu {
		return time.Now().UnixNano()
	}
	t := clock(unix.CLOCK_PROCESS_CPUTIME_ID)
	if c.pid != 0 {
		t += clock(int32(^c.pid<<3 | 2)) // the CPU clock of another process
	}
	return t
}

func clock(id int32) int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(id, &ts); err != nil {
		panic(err)
	}
	return ts.Nano()
}

// spawn starts this command as the other process of a contestant, which takes f over.
func spawn(name string, f *os.File) (*exec.Cmd, error) {
	cmd := exec.Command("/proc/self/exe", "-child", name)
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{f}
	err := cmd.Start()
	_ = f.Close()
	return cmd, err
}

// socketPair makes a pair of the kernel's.
func socketPair(kind int) (a, b *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "pair"), os.NewFile(uintptr(fds[1]), "pair"), nil
}
