package driver

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/halite-run/halite/toolchain"
)

// abiFlags are given after the user's options, so that they hold.
var abiFlags = []string{
	// r15 is the sandbox base, r14 the data stack pointer, r11 the scratch
	// register of the pass, the linkage table and the trampolines.
	"-ffixed-r11", "-ffixed-r14", "-ffixed-r15",
	// A signal handler's frame goes directly below the stack pointer.
	"-mno-red-zone",
	// endbr64 marks address-taken functions and the return points of setjmp,
	// notrack marks jumps through tables: the pass aligns the one and knows
	// the other.
	"-fcf-protection=branch",
	// The pass follows the frame by its CFI directives.
	"-fasynchronous-unwind-tables", "-fdwarf2-cfi-asm",
	// String instructions have no sandboxed form; the C library's functions
	// are faster than rep anyway at the sizes that matter.
	"-mstringop-strategy=libcall",
	// Calls through the GOT would be indirect; the linkage table is masked.
	"-fplt",
	// llvm-mc does not know location views.
	"-gno-variable-location-views",
	// The registers that only AVX-512 has are not saved across the boundary.
	"-mno-avx512f",
	// Return addresses are out of reach; the protector's canary is a slot of
	// the native thread block.
	"-fno-stack-protector",
	"-masm=att", "-fno-lto", "-fno-split-stack",
	"-mindirect-branch=keep", "-mfunction-return=keep",
}

// compile is gcc with our assembler, linker, headers and libraries.
func compile(args []string) int {
	all, err := expandResponse(args)
	if err != nil {
		return fail("cc", err)
	}
	q, err := scan(all)
	if err != nil {
		return fail("cc", err)
	}
	if q.answer != "" {
		fmt.Println(strings.TrimSuffix(q.answer, "\n"))
		return 0
	}
	gcc, err := toolchain.Tool("gcc-12")
	if err != nil {
		return fail("cc", err)
	}
	tools, err := toolDir()
	if err != nil {
		return fail("cc", err)
	}
	sysroot, err := toolchain.Sysroot()
	if err != nil && !(q.informs && errors.Is(err, toolchain.ErrNoSysroot)) {
		return fail("cc", err)
	}
	if q.printSysroot {
		fmt.Println(sysroot)
		return 0
	}
	out := []string{"-B" + tools + "/"}
	if sysroot != "" {
		out = append(out, "-B"+sysroot+"/lib/", "-L"+sysroot+"/lib")
	}
	if !q.nostdinc {
		// After every directory that the user names, as gcc's own would be.
		out = append(out, "-nostdinc")
		if sysroot != "" {
			out = append(out, "-idirafter", sysroot+"/include")
		}
		if inc, err := gccInclude(gcc); err == nil {
			out = append(out, "-idirafter", inc)
		} else {
			return fail("cc", err)
		}
	}
	out = append(out, "-D__halite__=1")
	if q.debug {
		// Before the user's options, whose level of detail then holds.
		out = append(out, "-gdwarf-4")
	}
	out = append(out, args...)
	if q.dwarf5 {
		out = append(out, "-gdwarf-4")
	}
	out = append(out, abiFlags...)
	return fail("cc", replace(gcc, out))
}

func preprocess(args []string) int {
	return compile(append([]string{"-E"}, args...))
}

// query is what the driver must know about a command line.
type query struct {
	nostdinc     bool
	informs      bool // asks gcc about itself; needs no sysroot
	printSysroot bool
	// Line tables are made by llvm-mc from gcc's directives. In DWARF 5 both
	// would write strings to one section, each numbering them from its
	// beginning; version 4 keeps them apart.
	debug, dwarf5 bool
	answer        string // the whole answer to an option that is answered here
}

// refused are options that can't be honoured, with the reason.
var refused = map[string]string{
	"-m32":            "the halite ABI is 64-bit only",
	"-mx32":           "the halite ABI is LP64 only",
	"-m16":            "the halite ABI is 64-bit only",
	"-miamcu":         "the halite ABI is 64-bit only",
	"-mcmodel=large":  "a domain is 4 GiB: use the default code model",
	"-mcmodel=kernel": "a domain is 4 GiB: use the default code model",
	"-mabi=ms":        "the calling convention is System V's",
	"-pg":             "there is no profiling runtime in a domain",
	"-p":              "there is no profiling runtime in a domain",
	"--coverage":      "there is no coverage runtime in a domain",
	"-coverage":       "there is no coverage runtime in a domain",
	"-fprofile-arcs":  "there is no coverage runtime in a domain",
	"-ftest-coverage": "there is no coverage runtime in a domain",
	"-fopenmp":        "there is no OpenMP runtime in a domain",
	"-fgnu-tm":        "there is no transactional memory in a domain",
}

// takesValue are gcc's options whose value is the next argument.
var takesValue = map[string]bool{
	"-o": true, "-x": true, "-D": true, "-U": true, "-I": true, "-L": true, "-l": true, "-B": true,
	"-include": true, "-imacros": true, "-iprefix": true, "-iwithprefix": true, "-iwithprefixbefore": true,
	"-isystem": true, "-iquote": true, "-idirafter": true, "-isysroot": true, "-imultilib": true,
	"-MF": true, "-MT": true, "-MQ": true, "-T": true, "-u": true, "-e": true, "-z": true,
	"-Xlinker": true, "-Xassembler": true, "-Xpreprocessor": true, "-A": true,
	"-aux-info": true, "-dumpbase": true, "-dumpbase-ext": true, "-dumpdir": true, "-wrapper": true,
	"--param": true, "-specs": true, "-arch": true,
}

// languages that -x may name.
var languages = map[string]bool{
	"c": true, "c-header": true, "cpp-output": true, "assembler": true, "assembler-with-cpp": true, "none": true,
}

// foreignSuffix are sources of other languages, by gcc's own list.
var foreignSuffix = map[string]string{
	".cc": "C++", ".cp": "C++", ".cxx": "C++", ".cpp": "C++", ".CPP": "C++", ".c++": "C++", ".C": "C++", ".ii": "C++",
	".m": "Objective-C", ".mm": "Objective-C++", ".M": "Objective-C++", ".f": "Fortran", ".f90": "Fortran", ".F": "Fortran",
	".F90": "Fortran", ".adb": "Ada", ".ads": "Ada", ".d": "D", ".go": "Go",
}

func scan(args []string) (query, error) {
	var q query
	language := "none"
	setLanguage := func(l string) error {
		if !languages[l] {
			return fmt.Errorf("-x %s: only C and assembly can be compiled for the sandbox", l)
		}
		language = l
		return nil
	}
	for i := 0; i < len(args); i++ {
		a := args[i]
		if why, bad := refused[a]; bad {
			return q, fmt.Errorf("%s: %s", a, why)
		}
		switch {
		case a == "-x":
			if i++; i < len(args) {
				if err := setLanguage(args[i]); err != nil {
					return q, err
				}
			}
		case strings.HasPrefix(a, "-x"):
			if err := setLanguage(a[2:]); err != nil {
				return q, err
			}
		case takesValue[a]:
			i++
		case a == "-nostdinc":
			q.nostdinc = true
		case strings.HasPrefix(a, "-g") && !strings.HasPrefix(a, "-gno-"):
			q.debug = q.debug || a != "-g0"
			q.dwarf5 = q.dwarf5 || a == "-gdwarf" || strings.HasPrefix(a, "-gdwarf-") && a != "-gdwarf-4" && a != "-gdwarf-3" && a != "-gdwarf-2"
		case a == "-dumpmachine":
			q.answer = toolchain.Triple
		case a == "-print-multiarch" || a == "--print-multiarch":
			q.answer = "\n" // libraries lie in one directory
		case a == "-print-sysroot" || a == "--print-sysroot":
			q.printSysroot, q.informs = true, true
		case a == "--version" || a == "-v" || a == "--help" || strings.HasPrefix(a, "--help=") || a == "--target-help" ||
			strings.HasPrefix(a, "-dump") || strings.HasPrefix(a, "-print-") || strings.HasPrefix(a, "--print-"):
			q.informs = true
		case strings.HasPrefix(a, "-fsanitize=") && a != "-fsanitize=undefined":
			return q, fmt.Errorf("%s: there is no sanitizer runtime in a domain", a)
		case a == "-fsanitize=undefined":
			return q, fmt.Errorf("%s: there is no sanitizer runtime in a domain; add nothing, or -fsanitize-undefined-trap-on-error with a native compiler", a)
		case strings.HasPrefix(a, "-") || language != "none":
		default:
			if l, foreign := foreignSuffix[filepath.Ext(a)]; foreign {
				return q, fmt.Errorf("%s: %s sources can't be compiled for the sandbox; C and assembly only", a, l)
			}
		}
	}
	return q, nil
}

// expandResponse returns the arguments with @file replaced by the file's
// contents, the way gcc does it: a file that can't be read stays literal. It
// is used to look at options; gcc itself gets the arguments as they are.
func expandResponse(args []string) ([]string, error) {
	return expand(args, 0)
}

func expand(args []string, depth int) ([]string, error) {
	var out []string
	for _, a := range args {
		name, ok := strings.CutPrefix(a, "@")
		if !ok {
			out = append(out, a)
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			out = append(out, a)
			continue
		}
		if depth > 100 {
			return nil, fmt.Errorf("%s: response files nest too deeply", a)
		}
		inner, err := expand(splitWords(string(data)), depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, inner...)
	}
	return out, nil
}

// splitWords splits a response file: white space separates, quotes of both
// kinds and backslashes protect.
func splitWords(s string) []string {
	var words []string
	var word strings.Builder
	inWord := false
	var quote byte
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s):
			i++
			word.WriteByte(s[i])
			inWord = true
		case quote != 0:
			if c == quote {
				quote = 0
			} else {
				word.WriteByte(c)
			}
		case c == '\'' || c == '"':
			quote = c
			inWord = true
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f':
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words
}

// toolDir returns the directory for gcc's -B: links to this binary under the
// names of gcc's helpers. It is made once for each place the binary is at.
func toolDir() (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", err
	}
	cache, err := toolchain.Cache()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(exe))
	dir := filepath.Join(cache, "tools", hex.EncodeToString(sum[:])[:16])
	if target, err := os.Readlink(filepath.Join(dir, "ld")); err == nil && target == exe {
		return dir, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	// ld is what the check above looks at: it comes last.
	names := []string{}
	for name := range helpers {
		if name != "ld" {
			names = append(names, name)
		}
	}
	for _, name := range append(names, "ld") {
		if err := relink(exe, filepath.Join(dir, name)); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// gccInclude returns gcc's own header directory (stddef.h, emmintrin.h). Its
// place is known on Debian; another gcc is asked, which costs a few
// milliseconds.
func gccInclude(gcc string) (string, error) {
	const debian = "/usr/lib/gcc/x86_64-linux-gnu/12/include"
	if gcc == "/usr/bin/gcc-12" {
		if _, err := os.Stat(debian + "/stddef.h"); err == nil {
			return debian, nil
		}
	}
	dir, err := output(gcc, "-print-file-name=include")
	if err != nil {
		return "", err
	}
	if !filepath.IsAbs(dir) {
		return "", fmt.Errorf("%s: its header directory can't be found: %w", gcc, fs.ErrNotExist)
	}
	return dir, nil
}
