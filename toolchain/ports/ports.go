// Package ports builds the programs.
package ports

// Main is `halite port`.
func Main(args []string) int { return 1 }
