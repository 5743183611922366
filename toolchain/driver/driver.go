// Package driver is the C compiler of the sandbox and its companions. It
// behaves as gcc does, because it is gcc: the driver hands every option on to
// gcc 12 and adds those that the halite ABI needs, and gcc finds our
// assembler and linker in a directory given with -B.
//
//	gcc-12 -S      compiles C to assembly (cc1; registers r11, r14 and r15 reserved)
//	as             this program: the assembly pass (toolchain/sfi), then llvm-mc-19
//	collect2, ld   this program: ld.lld-19 with the options of the ABI, then the
//	               procedure linkage table is rewritten (plt.go)
//
// What an option means is gcc's own documentation, with these exceptions:
//   - -S gives gcc's assembly before the pass, so that assembling it again
//     goes the same way as a compile in one step;
//   - -flto is accepted and has no effect: the linker does not know gcc's
//     intermediate code;
//   - options that ask for another machine model (-m32, -mx32, -mcmodel=large)
//     and languages other than C and assembly are refused;
//   - libraries and headers come from the sysroot and from the directories
//     that the user names, never from the machine's own directories.
//
// Invariant: nothing here is trusted with safety. The pass, the assembler,
// the linker and the rewriting of the linkage table may all be wrong; the
// validator decides whether their output may run.
//
// Not promised: that an object made elsewhere links. The linker does not
// look inside objects; the validator finds foreign code.
package driver

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"syscall"

	"github.com/halite-run/halite/toolchain"
)

// prefixes are the cross-tool prefixes that configure scripts and makefiles
// use; each tool is known under all of them.
var prefixes = []string{toolchain.Triple + "-", "x86_64-nacl-", "x86_64-halite-", "halite-"}

// personalities are the programs that this binary can be.
var personalities = map[string]func(args []string) int{
	"cc":         compile,
	"gcc":        compile,
	"cpp":        preprocess,
	"as":         assemble,
	"ld":         link,
	"c++":        noCxx,
	"g++":        noCxx,
	"ar":         llvm("ar"),
	"gcc-ar":     llvm("ar"),
	"ranlib":     llvm("ranlib"),
	"gcc-ranlib": llvm("ranlib"),
	"nm":         llvm("nm"),
	"gcc-nm":     llvm("nm"),
	"strip":      llvm("strip"),
	"objcopy":    llvm("objcopy"),
	"objdump":    llvm("objdump"),
	"readelf":    llvm("readelf"),
	"size":       llvm("size"),
	"strings":    llvm("strings"),
	"addr2line":  llvm("addr2line"),
}

// helpers are the names under which gcc looks for its assembler and linker in
// the -B directory. collect2 tries collect-ld first; -fuse-ld=x asks for ld.x.
var helpers = map[string]func(args []string) int{
	"as":         assemble,
	"ld":         link,
	"collect-ld": link,
	"ld.lld":     link,
	"ld.bfd":     link,
	"ld.gold":    link,
}

// MultiCall runs the tool that argv[0] names, when it names one: a prefixed
// one (x86_64-nacl-gcc) or what gcc calls by way of the -B directory (as, ld).
func MultiCall(argv []string) (handled bool, code int) {
	if len(argv) == 0 {
		return false, 0
	}
	base := filepath.Base(argv[0])
	if run, ok := helpers[base]; ok {
		return true, run(argv[1:])
	}
	for _, prefix := range prefixes {
		if tool, ok := strings.CutPrefix(base, prefix); ok {
			if run, ok := personalities[tool]; ok {
				return true, run(argv[1:])
			}
		}
	}
	return false, 0
}

// Tool runs a companion by its plain name: "as", "ar", "strip" and so on.
func Tool(name string, args []string) (handled bool, code int) {
	run, ok := personalities[name]
	if !ok {
		return false, 0
	}
	return true, run(args)
}

// ToolNames lists what Tool knows, sorted.
func ToolNames() []string {
	names := make([]string, 0, len(personalities))
	for name := range personalities {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Main is `halite cc`.
func Main(args []string) int {
	if len(args) > 0 {
		if args[0] == "--install-names" {
			if len(args) != 2 {
				return fail("cc", fmt.Errorf("usage: halite cc --install-names DIR"))
			}
			n, err := InstallNames(args[1])
			if err != nil {
				return fail("cc", err)
			}
			fmt.Printf("%d names in %s\n", n, args[1])
			return 0
		}
		if args[0] == "--help" && len(args) == 1 {
			fmt.Print(usage)
			return 0
		}
	}
	return compile(args)
}

const usage = `usage: halite cc [gcc option or file]...

Compiles and links C for the sandbox. Every gcc option works as in gcc 12.

  halite cc -O2 -o hello hello.c              a dynamic program
  halite cc -O2 -static -o hello hello.c      a static one
  halite cc -shared -fPIC -o libx.so x.c      a shared object
  CC="halite cc" ./configure --host=` + toolchain.Triple + `

  halite cc --install-names DIR   makes links named x86_64-nacl-gcc, -ar, -ld, ...
                                  (also ` + toolchain.Triple + `-gcc, ...) in DIR
  halite cc --help=common         gcc's own list of options
`

// InstallNames makes a symbolic link to this program for each prefixed tool
// name and returns how many there are.
func InstallNames(dir string) (int, error) {
	exe, err := os.Executable()
	if err != nil {
		return 0, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, err
	}
	count := 0
	for _, prefix := range prefixes {
		for tool := range personalities {
			if err := relink(exe, filepath.Join(dir, prefix+tool)); err != nil {
				return count, err
			}
			count++
		}
	}
	return count, nil
}

// relink makes path a symbolic link to target, replacing an older link but
// nothing else.
func relink(target, path string) error {
	if st, err := os.Lstat(path); err == nil {
		if st.Mode()&os.ModeSymlink == 0 {
			return fmt.Errorf("%s exists and is not a symbolic link", path)
		}
		if old, err := os.Readlink(path); err == nil && old == target {
			return nil
		}
	}
	tmp := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.Symlink(target, tmp); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		os.Remove(tmp)
		return err
	}
	return nil
}

// fail reports an error the way gcc and ld do and returns the exit status.
func fail(tool string, err error) int {
	fmt.Fprintf(os.Stderr, "halite %s: error: %v\n", tool, err)
	return 1
}

// llvm returns the personality of a program that needs no change.
func llvm(name string) func([]string) int {
	return func(args []string) int {
		path, err := toolchain.Tool("llvm-" + name + "-19")
		if err != nil {
			return fail(name, err)
		}
		return fail(name, replace(path, args))
	}
}

func noCxx([]string) int {
	return fail("c++", fmt.Errorf("there is no C++ library for the sandbox; C and assembly only"))
}

// replace becomes another program; it returns only when that fails.
func replace(path string, args []string) error {
	err := syscall.Exec(path, append([]string{path}, args...), os.Environ())
	return fmt.Errorf("%s: %w", path, err)
}

// status turns what exec.Cmd.Run returned into an exit status; a program that
// could not be started or died by a signal is an error.
func status(err error) (int, error) {
	if err == nil {
		return 0, nil
	}
	if ee, ok := err.(*exec.ExitError); ok && ee.ExitCode() >= 0 {
		return ee.ExitCode(), nil
	}
	return 1, err
}
