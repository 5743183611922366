package bench

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Contestant does one operation many times. Run is called from one goroutine.
type Contestant struct {
	Name  string
	Run   func(n int) error
	PID   int // of the other process that takes part, 0 if there is none
	Least int // operations of a run, if a run costs something itself
	Close func()
	ns    []float64
}

// A Line of a table: ours and the others.
type Line struct {
	Name   string
	Target string
	Start  []func() (*Contestant, error) // ours first
	Anew   bool                          // each run has new contestants: where two processes are is chance
}

// A Race runs the contestants of each line in turn.
type Race struct {
	Ours   string         // the first column's name
	Rounds int            // the median counts
	Batch  time.Duration  // how long one run is, about
	CPU    bool           // measure CPU time of all processes that take part instead of time
	Choose *regexp.Regexp // lines by name
}

// Main is the main function of a command that runs a race: it reads the flags, has run
// write the report, prints that and puts it into a Markdown file between the marks of
// the name. Started by Spawn it is one of the children instead.
func Main(name string, children map[string]func(f *os.File) error, run func(r *Race, w io.Writer) error) {
	r := &Race{}
	flag.IntVar(&r.Rounds, "rounds", 11, "runs of each contestant; the median counts")
	flag.DurationVar(&r.Batch, "batch", 50*time.Millisecond, "how long one run is, about")
	flag.BoolVar(&r.CPU, "cpu", false, "measure CPU time of all processes that take part instead of time: for a machine that is busy")
	only := flag.String("only", "", "a regular expression that chooses lines by name")
	output := flag.String("write", "", "a Markdown file whose part between the marks is replaced by the table")
	child := flag.String("child", "", "be the other process of a contestant (used by the command itself)")
	flag.Parse()
	var err error
	if *child != "" {
		err = children[*child](os.NewFile(3, "inherited"))
	} else if r.Choose, err = regexp.Compile(*only); err == nil {
		var w strings.Builder
		if err = run(r, &w); err == nil {
			fmt.Print(w.String())
			if *output != "" {
				err = Replace(*output, name, w.String())
			}
		}
	}
	if err != nil && err != io.EOF {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// Run measures the lines and writes them as a Markdown table.
func (r *Race) Run(w io.Writer, lines []Line) error {
	what := "time"
	if r.CPU {
		what = "CPU time of both sides"
	}
	fmt.Fprintf(w, "Measured on %s; medians (%s) of %d interleaved runs.\n\n", Machine(), what, r.Rounds)
	fmt.Fprintf(w, "| what | %s ns | ± | against | ns | %[1]s is | target |\n|---|---:|---:|---|---:|---:|---|\n", r.Ours)
	for _, l := range lines {
		if !r.Choose.MatchString(l.Name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s\n", l.Name)
		list, err := r.measure(l)
		if err != nil {
			return fmt.Errorf("%s: %w", l.Name, err)
		}
		ours := Median(list[0].ns)
		for i, c := range list[1:] {
			name, mine, spread, target := "", "", "", ""
			if i == 0 {
				name, mine, target = l.Name, fmt.Sprintf("%.0f", ours), l.Target
				spread = fmt.Sprintf("%.1f %%", 100*Spread(list[0].ns))
			}
			ns := Median(c.ns)
			fmt.Fprintf(w, "| %s | %s | %s | %s | %.0f | %.2f | %s |\n", name, mine, spread, c.Name, ns, ours/ns, target)
		}
	}
	return nil
}

func (r *Race) measure(l Line) ([]*Contestant, error) {
	list := make([]*Contestant, len(l.Start))
	defer func() {
		for _, c := range list {
			if c != nil {
				c.Close()
			}
		}
	}()
	counts := make([]int, len(list))
	for round := range r.Rounds {
		for i, c := range list {
			if c == nil || l.Anew {
				next, err := l.Start[i]()
				if err != nil {
					return nil, err
				}
				if c != nil {
					c.Close()
					next.ns = c.ns
				}
				c, list[i] = next, next
				n, err := r.warmUp(c)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", c.Name, err)
				}
				if round == 0 {
					counts[i] = n
				}
			}
			begin := r.now(c)
			if err := c.Run(counts[i]); err != nil {
				return nil, fmt.Errorf("%s: %w", c.Name, err)
			}
			c.ns = append(c.ns, float64(r.now(c)-begin)/float64(counts[i]))
		}
	}
	return list, nil
}

// warmUp finds how many operations make a batch.
func (r *Race) warmUp(c *Contestant) (int, error) {
	for n := 1; ; n *= 2 {
		begin := time.Now()
		if err := c.Run(n); err != nil {
			return 0, err
		}
		if took := time.Since(begin); took > r.Batch/2 || n > 1<<24 {
			n = max(1, int(float64(n)*float64(r.Batch)/float64(max(took, 1))))
			return max(n, c.Least), nil
		}
	}
}

// now is a time that grows as the contestant takes it.
func (r *Race) now(c *Contestant) int64 {
	if !r.CPU {
		return time.Now().UnixNano()
	}
	t := clock(unix.CLOCK_PROCESS_CPUTIME_ID)
	var children unix.Rusage // that have ended
	if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &children); err != nil {
		panic(err)
	}
	t += children.Utime.Nano() + children.Stime.Nano()
	if c.PID != 0 {
		t += clock(int32(^c.PID<<3 | 2)) // the CPU clock of another process
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

// Spawn starts the running command anew with -child NAME as the other process of a
// contestant, which takes f over as descriptor 3.
func Spawn(name string, f *os.File) (*exec.Cmd, error) {
	cmd := exec.Command("/proc/self/exe", "-child", name)
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{f}
	err := cmd.Start()
	_ = f.Close()
	return cmd, err
}

// Piped is a contestant: a program that reads lines of what to do and how often, and
// answers each with one that ok accepts.
func Piped(name, what string, cmd *exec.Cmd, ok func(answer string, n int) bool) (*Contestant, error) {
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewReader(out)
	return &Contestant{Name: name, PID: cmd.Process.Pid, Close: func() { in.Close(); _ = cmd.Wait() }, Run: func(n int) error {
		if _, err := fmt.Fprintln(in, what, n); err != nil {
			return err
		}
		line, err := lines.ReadString('\n')
		if line = strings.TrimSpace(line); err == nil && !ok(line, n) {
			err = fmt.Errorf("%s, %d times: the answer is %q", what, n, line)
		}
		return err
	}}, nil
}

// SocketPair makes a pair of the kernel's.
func SocketPair(kind int) (a, b *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "pair"), os.NewFile(uintptr(fds[1]), "pair"), nil
}

// Ping is a contestant: round trips of size bytes over a raw socket pair of a kind to
// another process, which is the child that Echo is for.
func Ping(name, child string, kind, size int) (*Contestant, error) {
	a, b, err := SocketPair(kind)
	if err != nil {
		return nil, err
	}
	cmd, err := Spawn(child, b)
	if err != nil {
		return nil, err
	}
	fd := int(a.Fd())
	data, buf := make([]byte, size), make([]byte, size)
	return &Contestant{Name: name, PID: cmd.Process.Pid, Close: func() { a.Close(); _ = cmd.Wait() }, Run: func(n int) error {
		for range n {
			if _, err := unix.Write(fd, data); err != nil {
				return err
			}
			got, err := unix.Read(fd, buf)
			if err != nil {
				return err
			}
			if got != size {
				return fmt.Errorf("%d bytes came back, not %d", got, size)
			}
		}
		return nil
	}}, nil
}

// Echo sends back what comes, up to 64 KiB at a time.
func Echo(f *os.File) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.Read(int(f.Fd()), buf)
		if err != nil || n == 0 {
			return err
		}
		if _, err := unix.Write(int(f.Fd()), buf[:n]); err != nil {
			return err
		}
	}
}

// Execute runs a command that has nothing to say unless it fails.
func Execute(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
