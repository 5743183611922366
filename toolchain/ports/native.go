package ports

import "github.com/halite-run/halite/toolchain"

// toolPath checks that a native compiler is there.
func toolPath(c Compiler) (string, error) {
	if c == GCC {
		return toolchain.Tool("gcc")
	}
	return toolchain.Tool(string(c))
}
