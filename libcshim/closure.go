package libcshim

import (
	"fmt"

	"github.com/halite-run/halite/ld"
	"github.com/halite-run/halite/libcshim/namespace"
)

// CloseOver finds what a program or library in a namespace needs, as a process
// with this library path would, without loading or running anything.
func CloseOver(ns *namespace.Namespace, program string, libraryPath []string) (*ld.Closure, error) {
	f, err := openGuest(ns, "/", program)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", program, err)
	}
	defer f.Close()
	return ld.CloseOver(ld.Config{
		Open: func(path string) (ld.File, int64, error) {
			f, err := openGuest(ns, "/", path)
			if err != nil {
				return nil, 0, err
			}
			return f, f.st.Size, nil
		},
		LibraryPath: libraryPath,
	}, program, f, f.st.Size)
}
