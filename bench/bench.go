// Package bench holds the programs that the benchmarks build and run: C kernels,
// Lua and Python scripts. cmd/kernels and cmd/python measure them natively and in the
// sandbox, side by side in one run.
package bench

import "embed"

// Kernels has one C program per file. The second line of each says how many
// rounds make about a tenth of a second; the program takes the number of rounds as
// its argument and prints a checksum and the nanoseconds that they took.
//
//go:embed kernels
var Kernels embed.FS

// Lua has one script per file; each prints a checksum and the seconds of CPU time
// that its work took.
//
//go:embed lua
var Lua embed.FS

// Python has one script per file; each prints a checksum and the seconds of CPU
// time that its work took.
//
//go:embed python
var Python embed.FS
