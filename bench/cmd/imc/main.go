// Command imc measures messages and calls of package imc against what Go programs use
// otherwise: channels, a raw socket pair, net/rpc, gRPC. Both sides of each line run
// in turn, in one go; the medians are printed as a Markdown table.
//
//	cd bench && go run ./cmd/imc
//	go run ./cmd/imc -rounds 21 -write ../docs/performance.md
package main

import (
	"io"

	"github.com/halite-run/halite/bench"
)

func main() {
	bench.Main("imc", children, func(r *bench.Race, w io.Writer) error {
		r.Ours = "imc"
		return r.Run(w, lines)
	})
}
