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
	"regexp"
	"strings"
	"time"

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
	var w strings.Builder
	race := bench.Race{Ours: "imc", Rounds: *rounds, Batch: *batch, CPU: *cpu, Choose: choose}
	if err := race.Run(&w, lines); err != nil {
		return err
	}
	fmt.Print(w.String())
	if *output != "" {
		return bench.Replace(*output, "imc", w.String())
	}
	return nil
}
