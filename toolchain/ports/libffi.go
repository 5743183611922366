package ports

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

//go:embed libffi
var libffiFiles embed.FS

func libffi(c Compiler) *port {
	p := recipe("libffi", "libffi.go", "libffi", c, buildLibffi)
	if c == Sandbox {
		p.files = &libffiFiles
	}
	return p
}

// trampolineCount is how many closures a program can have at a time.
const trampolineCount = 4096

func buildLibffi(j *job) error {
	if j.port.compiler == Sandbox {
		for from, to := range map[string]string{"unix64.S": "src/x86/unix64.S", "win64.S": "src/x86/win64.S", "tramp.c": "src/tramp.c"} {
			text, err := libffiFiles.ReadFile("libffi/" + from)
			if err != nil {
				return err
			}
			if from == "unix64.S" {
				text = append(text, trampolines()...)
			}
			if err := os.WriteFile(filepath.Join(j.src, to), text, 0o644); err != nil {
				return err
			}
		}
		header := fmt.Sprintf("#define TRAMPOLINES %d\n", trampolineCount)
		if err := os.WriteFile(filepath.Join(j.src, "src", "x86", "trampolines.h"), []byte(header), 0o644); err != nil {
			return err
		}
	}
	if err := j.configure(nil, "--disable-static", "--disable-docs", "--disable-multi-os-directory"); err != nil {
		return err
	}
	if err := j.make(); err != nil {
		return err
	}
	return j.stage()
}

// trampolines is the code that closures begin with: each loads the address of
// its own pair of words and goes on at one place.
func trampolines() string {
	var b strings.Builder
	b.WriteString("\n\t.text\n\t.p2align 5\n\t.hidden ffi_halite_parms\n\t.globl ffi_halite_table, trampoline_code_table\n" +
		"\t.hidden ffi_halite_table\n\t.hidden trampoline_code_table\nffi_halite_table:\ntrampoline_code_table:\n")
	for i := range trampolineCount {
		fmt.Fprintf(&b, "\t.p2align 5\n\tleaq ffi_halite_parms+%d(%%rip), %%r10\n\tjmp ffi_halite_trampoline\n", 16*i)
	}
	return b.String()
}
