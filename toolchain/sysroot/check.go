package sysroot

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/halite-run/halite/loader"
)

// check validates what was built: the shared libraries, and the static ones
// by linking all of their members into one program.
func (b *build) check() error {
	main := filepath.Join(b.tmp, "all.c")
	if err := os.WriteFile(main, []byte("int main(void) { return 0; }\n"), 0o644); err != nil {
		return err
	}
	all := filepath.Join(b.tmp, "all")
	err := b.exec(b.cc(), "-static", "-o", all, main, "-Wl,--whole-archive", "-lc", "-lgcc", "-lnacl", "-latomic", "-Wl,--no-whole-archive")
	if err != nil {
		return err
	}
	for _, file := range []string{filepath.Join(b.lib(), "libc.so"), filepath.Join(b.lib(), "libnacl.so"), all} {
		if err := verify(file); err != nil {
			return fmt.Errorf("the validator refuses %w", err)
		}
	}
	return nil
}

func verify(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	report, err := loader.Verify(filepath.Base(path), f, st.Size(), loader.VerifyOptions{})
	if err != nil {
		return err
	}
	return report.Err()
}
