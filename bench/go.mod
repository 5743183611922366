// Benchmarks have a module of their own, so that users of halite never
// download what is only measured against.
module github.com/halite-run/halite/bench

go 1.26.0

require github.com/halite-run/halite v0.0.0

require (
	golang.org/x/arch v0.32.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

tool github.com/halite-run/halite/cmd/halite

replace github.com/halite-run/halite => ../
