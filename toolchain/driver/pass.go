package driver

import (
	"io"

	"github.com/halite-run/halite/toolchain/sfi"
)

// mcArgs are further options for llvm-mc; the pass needs none.
var mcArgs []string

// rewrite runs the assembly pass; markers asks for line markers in its output.
func rewrite(w io.Writer, r io.Reader, name string, markers bool) error {
	return sfi.Rewrite(w, r, sfi.Options{Name: name, LineMarkers: markers})
}
