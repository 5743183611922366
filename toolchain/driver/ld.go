package driver

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/halite-run/halite/toolchain"
)

// ldABI is given after the user's options, so that it holds.
var ldABI = []string{
	// The linkage table: finish completes it (plt.go).
	"-z", "now", "-z", "retpolineplt",
	// Executable segments hold nothing but code, on pages of their own.
	"-z", "separate-code", "--rosegment", "--no-execute-only",
	"-z", "max-page-size=4096", "-z", "common-page-size=4096",
	"-z", "noexecstack",
	"--eh-frame-hdr",
	// As GNU ld does: a section stays whose bounds the program asks for with
	// __start_ and __stop_ symbols.
	"-z", "nostart-stop-gc",
}

// ldValue are linker options whose value is the next argument.
var ldValue = map[string]bool{
	"-o": true, "--output": true, "-L": true, "--library-path": true, "-l": true, "--library": true, "-m": true,
	"-z": true, "-e": true, "--entry": true, "-u": true, "--undefined": true, "-y": true, "--trace-symbol": true,
	"-h": true, "-soname": true, "--soname": true, "-I": true, "-dynamic-linker": true, "--dynamic-linker": true,
	"-f": true, "--auxiliary": true, "-F": true, "--filter": true, "-T": true, "--script": true, "-R": true, "--just-symbols": true,
	"-b": true, "--format": true, "-rpath": true, "--rpath": true, "-rpath-link": true, "--rpath-link": true,
	"-Map": true, "--Map": true, "--defsym": true, "-defsym": true, "--version-script": true, "-version-script": true,
	"--dynamic-list": true, "-dynamic-list": true, "--retain-symbols-file": true, "-retain-symbols-file": true,
	"--wrap": true, "-wrap": true, "--export-dynamic-symbol": true, "--export-dynamic-symbol-list": true,
	"-init": true, "--init": true, "-fini": true, "--fini": true, "-Ttext": true, "-Tdata": true, "-Tbss": true, "--section-start": true,
	"--sort-section": true, "--exclude-libs": true, "-exclude-libs": true, "-plugin": true, "--plugin": true, "-plugin-opt": true, "--plugin-opt": true,
	"--hash-style": true, "-hash-style": true, "--unresolved-symbols": true, "--oformat": true, "-oformat": true,
	"--image-base": true, "--dependency-file": true, "--sysroot": true, "-A": true, "-a": true, "-G": true,
	"--version-exports-section": true, "--symbol-ordering-file": true, "-mllvm": true, "--mllvm": true,
}

// ldDropZ are -z keywords that contradict the ABI.
var ldDropZ = map[string]bool{
	"lazy": true, "execstack": true, "noseparate-code": true, "separate-loadable-segments": true,
	"retpolineplt": true, "ibtplt": true, "force-ibt": true, "shstk": true, "ibt": true, "rodynamic": true,
}

// linkJob is a linker command line after reading.
type linkJob struct {
	args        []string // for ld.lld, without the output
	out         string
	relocatable bool
	shared      bool
	pie         bool
	static      bool
	imageBase   bool // the user placed the image
	informs     bool // --version, --help
}

// parseLd reads a GNU ld command line, most often the one that collect2 made,
// and takes out what belongs to the machine: its library directories, its
// dynamic linker, gcc's plug-in.
func parseLd(args []string, host func(dir string) bool) (*linkJob, error) {
	j := &linkJob{out: "a.out"}
	keep := func(a ...string) { j.args = append(j.args, a...) }
	for i := 0; i < len(args); i++ {
		a := args[i]
		name, value, joined := a, "", false
		if strings.HasPrefix(a, "-") && !ldValue[a] {
			if n, v, ok := strings.Cut(a, "="); ok && ldValue[n] {
				name, value, joined = n, v, true
			}
		}
		if ldValue[a] {
			if i++; i >= len(args) {
				return nil, fmt.Errorf("%s needs a value", a)
			}
			value = args[i]
		}
		both := func() {
			if joined {
				keep(a)
			} else {
				keep(name, value)
			}
		}
		switch {
		case name == "-o" || name == "--output":
			j.out = value
		case strings.HasPrefix(a, "-o") && !strings.HasPrefix(a, "-oformat") && len(a) > 2:
			j.out = a[2:]
		case name == "-plugin" || name == "--plugin" || name == "-plugin-opt" || name == "--plugin-opt" ||
			strings.HasPrefix(a, "-plugin-opt=") || strings.HasPrefix(a, "--plugin-opt="):
		case name == "-dynamic-linker" || name == "--dynamic-linker" || name == "-I" || strings.HasPrefix(a, "-I"):
		case a == "-no-dynamic-linker":
			keep("--no-dynamic-linker")
		case name == "--sysroot":
		case name == "-m":
			if value != "elf_x86_64" {
				return nil, fmt.Errorf("-m %s: the halite ABI is elf_x86_64 only", value)
			}
		case name == "-L" || name == "--library-path":
			if !host(value) {
				keep("-L", value)
			}
		case strings.HasPrefix(a, "-L"):
			if !host(a[2:]) {
				keep(a)
			}
		case name == "-z":
			if !ldDropZ[value] {
				both()
			}
		case strings.HasPrefix(a, "-z") && len(a) > 2:
			if !ldDropZ[a[2:]] {
				keep(a)
			}
		case a == "-N" || a == "--omagic" || a == "-n" || a == "--nmagic" || a == "--no-rosegment" || a == "--execute-only":
			return nil, fmt.Errorf("%s: code and data must lie in segments of their own", a)
		case a == "-r" || a == "--relocatable" || a == "-i":
			j.relocatable = true
			keep("-r")
		case a == "-shared" || a == "--shared" || a == "-Bshareable":
			j.shared = true
			keep("-shared")
		case a == "-pie" || a == "--pie" || a == "-pic-executable" || a == "--pic-executable":
			j.pie = true
		case a == "-no-pie" || a == "--no-pie" || a == "-no-pic-executable" || a == "--no-pic-executable":
			j.pie = false
		case a == "-static" || a == "--static" || a == "-Bstatic" || a == "-dn" || a == "-non_shared":
			if a == "-static" || a == "--static" {
				j.static = true
			}
			keep("-Bstatic")
		case name == "--image-base" || name == "-Ttext" || name == "-T" || name == "--script":
			j.imageBase = true
			both()
		case strings.HasPrefix(a, "-T") && a != "-T":
			j.imageBase = true
			keep(a)
		case a == "--version" || a == "-v" || a == "-V" || a == "--help":
			j.informs = j.informs || a != "-v"
			keep(a)
		case ldValue[name]:
			both()
		case strings.HasPrefix(a, "-"):
			keep(a)
		default:
			if host(filepath.Dir(a)) {
				return nil, fmt.Errorf("%s is the machine's own, not built for the sandbox; "+
					"the sysroot has no %s: perhaps an option (-pg, -fopenmp) asks for what a domain has not", a, filepath.Base(a))
			}
			keep(a)
		}
	}
	return j, nil
}

// hostDirs tells directories of the machine's own libraries, where gcc would
// look by default. They are the same for every gcc of Debian.
func hostDirs() func(dir string) bool {
	dirs := []string{"/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib", "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu",
		"/usr/local/lib/x86_64-linux-gnu", "/usr/x86_64-linux-gnu/lib", "/usr/lib/musl/lib", "/usr/lib/x86_64-linux-musl"}
	return func(dir string) bool {
		if !filepath.IsAbs(dir) {
			return false
		}
		dir = filepath.Clean(dir)
		return slices.Contains(dirs, dir) || strings.HasPrefix(dir, "/usr/lib/gcc/") || strings.HasPrefix(dir, "/usr/lib/x86_64-linux-gnu/")
	}
}

// link is the linker that gcc calls.
func link(args []string) int {
	args, err := expandResponse(args)
	if err != nil {
		return fail("ld", err)
	}
	j, err := parseLd(args, hostDirs())
	if err != nil {
		return fail("ld", err)
	}
	lld, err := toolchain.Tool("ld.lld-19")
	if err != nil {
		return fail("ld", err)
	}
	if j.informs {
		return fail("ld", replace(lld, append([]string{"-flavor", "gnu"}, j.args...)))
	}
	code, err := j.run(lld)
	if err != nil {
		return fail("ld", err)
	}
	return code
}

func (j *linkJob) run(lld string) (int, error) {
	// lld goes by argv[0] or -flavor; the versioned name is neither's.
	args := append([]string{"-flavor", "gnu", "-m", "elf_x86_64"}, j.args...)
	out, commit, discard := temporary(j.out)
	defer discard()
	if !j.relocatable {
		if j.pie && !j.shared {
			args = append(args, "-pie")
		}
		args = append(args, ldABI...)
		switch {
		case j.shared:
		case !j.static:
			args = append(args, "--dynamic-linker="+toolchain.Interpreter)
		}
		if !j.shared && !j.pie && !j.imageBase {
			args = append(args, "--image-base=0x400000")
		}
		note, remove, err := noteObject()
		if err != nil {
			return 1, err
		}
		defer remove()
		args = append(args, note)
	}
	args = append(args, "-o", out)
	cmd := exec.Command(lld, args...)
	cmd.Stdout = os.Stdout
	var messages bytes.Buffer
	cmd.Stderr = &messages
	code, err := status(cmd.Run())
	// Messages name the file that the user asked for.
	os.Stderr.Write(bytes.ReplaceAll(messages.Bytes(), []byte(out), []byte(j.out)))
	if err != nil {
		return 1, fmt.Errorf("%s: %w", lld, err)
	}
	if code != 0 {
		return code, nil
	}
	if st, err := os.Stat(out); err != nil || !st.Mode().IsRegular() {
		return 0, nil // to a device, or no output was asked for
	}
	if !j.relocatable {
		if err := finish(out); err != nil {
			return 1, fmt.Errorf("%s: %w", j.out, err)
		}
	}
	if out == j.out {
		return 0, nil
	}
	return 0, commit()
}

// noteObject returns the path of an object file that holds the ABI note, for
// this link alone: a file in a shared place could be someone else's.
func noteObject() (path string, remove func(), err error) {
	f, err := os.CreateTemp("", "halite-note-*.o")
	if err != nil {
		return "", nil, err
	}
	remove = func() { os.Remove(f.Name()) }
	_, err = f.Write(noteELF())
	if err = errors.Join(err, f.Close()); err != nil {
		remove()
		return "", nil, err
	}
	return f.Name(), remove, nil
}

// noteELF is a relocatable object with one section:
//
//	.note.halite: name "halite", type 1, desc { u32 ABI version = 1, u32 flags = 0 }
func noteELF() []byte {
	le := binary.LittleEndian
	note := le.AppendUint32(nil, 7) // with the NUL
	note = le.AppendUint32(note, 8)
	note = le.AppendUint32(note, 1)
	note = append(note, "halite\x00\x00"...)
	note = le.AppendUint32(note, 1)
	note = le.AppendUint32(note, 0)
	names := "\x00.note.halite\x00.note.GNU-stack\x00.shstrtab\x00"
	b := make([]byte, 64)
	copy(b, "\x7fELF\x02\x01\x01")
	le.PutUint16(b[16:], 1)  // ET_REL
	le.PutUint16(b[18:], 62) // EM_X86_64
	le.PutUint32(b[20:], 1)
	noteOff := len(b)
	b = append(b, note...)
	namesOff := len(b)
	b = append(b, names...)
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	shoff := len(b)
	header := func(name string, typ uint32, flags, off, size, align uint64) {
		var h [64]byte
		if name != "" {
			le.PutUint32(h[0:], uint32(strings.Index(names, name)))
		}
		le.PutUint32(h[4:], typ)
		le.PutUint64(h[8:], flags)
		le.PutUint64(h[24:], off)
		le.PutUint64(h[32:], size)
		le.PutUint64(h[48:], align)
		b = append(b, h[:]...)
	}
	const shtProgbits, shtStrtab, shtNote, shfAlloc = 1, 3, 7, 2
	header("", 0, 0, 0, 0, 0)
	header(".note.halite", shtNote, shfAlloc, uint64(noteOff), uint64(len(note)), 4)
	header(".note.GNU-stack", shtProgbits, 0, uint64(namesOff), 0, 1)
	header(".shstrtab", shtStrtab, 0, uint64(namesOff), uint64(len(names)), 1)
	le.PutUint64(b[40:], uint64(shoff))
	le.PutUint16(b[52:], 64)
	le.PutUint16(b[58:], 64)
	le.PutUint16(b[60:], 4)
	le.PutUint16(b[62:], 3)
	return b
}
