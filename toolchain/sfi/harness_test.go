package sfi

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/halite-run/halite/validator"
)

// need skips a test whose tools are not installed.
func need(t testing.TB, tools ...string) {
	t.Helper()
	for _, n := range tools {
		if _, err := exec.LookPath(n); err != nil {
			t.Skipf("%s is not installed", n)
		}
	}
}

func run(dir, name string, args ...string) ([]byte, error) {
	c := exec.Command(name, args...)
	c.Dir = dir
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		m := errs.String()
		if len(m) > 2000 {
			m = m[:2000] + "..."
		}
		return nil, fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, out.String(), m)
	}
	return out.Bytes(), nil
}

func rewrite(src []byte, o Options) ([]byte, error) {
	var b bytes.Buffer
	err := Rewrite(&b, bytes.NewReader(src), o)
	return b.Bytes(), err
}

// assemble runs llvm-mc on sandboxed assembly.
func assemble(dir, name string, asm []byte) (string, error) {
	s := filepath.Join(dir, name+".out.s")
	if err := os.WriteFile(s, asm, 0o644); err != nil {
		return "", err
	}
	o := filepath.Join(dir, name+".o")
	_, err := run(dir, "llvm-mc-19", "-triple=x86_64-linux-gnu", "-filetype=obj", "-o", o, s)
	return o, err
}

// undefined lists the undefined symbols of an object that are not thread
// local.
func undefined(obj string) ([]string, error) {
	f, err := elf.Open(obj)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	syms, err := f.Symbols()
	if err != nil {
		return nil, nil
	}
	var r []string
	for _, s := range syms {
		if s.Section == elf.SHN_UNDEF && s.Name != "" && s.Name != "_GLOBAL_OFFSET_TABLE_" && elf.ST_TYPE(s.Info) != elf.STT_TLS {
			r = append(r, s.Name)
		}
	}
	return r, nil
}

// link makes a program of the object, with a stub for everything it wants.
func link(dir, obj string, flags ...string) (string, error) {
	und, err := undefined(obj)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("\t.bundle_align_mode 5\n\t.text\n")
	for _, n := range append(und, "_start") {
		fmt.Fprintf(&b, "\t.p2align 5\n\t.weak %s\n\t.type %s, @function\n%s:\n\tret\n", n, n, n)
	}
	stub, err := assemble(dir, "stub", []byte(b.String()))
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, "linked")
	args := append([]string{"-o", out, "-z", "max-page-size=4096", "-z", "separate-code", "--image-base=0x400000"}, flags...)
	_, err = run(dir, "ld.lld-19", append(args, obj, stub)...)
	return out, err
}

// fixPLT does to a linked image what the driver's ld does: the header of the
// linkage table becomes a masked jump, and gaps between sections hold hlt.
func fixPLT(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		return err
	}
	for _, ph := range f.Progs {
		if ph.Type != elf.PT_LOAD || ph.Flags&elf.PF_X == 0 {
			continue
		}
		used := make([]bool, ph.Filesz)
		for _, s := range f.Sections {
			if s.Flags&elf.SHF_EXECINSTR != 0 && s.Offset >= ph.Off && s.Offset+s.FileSize <= ph.Off+ph.Filesz {
				for i := range s.FileSize {
					used[s.Offset-ph.Off+i] = true
				}
			}
		}
		for i, u := range used {
			if !u {
				b[ph.Off+uint64(i)] = 0xf4
			}
		}
	}
	if s := f.Section(".plt"); s != nil && s.Size >= 32 {
		copy(b[s.Offset:], bytes.Repeat([]byte{0xf4}, 32))
		copy(b[s.Offset:], "\x41\x83\xe3\xe0\x4d\x01\xfb\x41\xff\xe3")
	}
	return os.WriteFile(file, b, 0o755)
}

// validate checks every executable segment of a linked file.
func validate(file string) error {
	f, err := elf.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, ph := range f.Progs {
		if ph.Type != elf.PT_LOAD || ph.Flags&elf.PF_X == 0 {
			continue
		}
		text := make([]byte, ph.Filesz)
		if _, err := ph.ReadAt(text, 0); err != nil {
			return err
		}
		addr := ph.Vaddr
		for addr%32 != 0 {
			addr--
			text = append([]byte{0xf4}, text...)
		}
		for len(text)%32 != 0 {
			text = append(text, 0xf4)
		}
		r, err := validator.Validate(text, validator.Options{Offset: uint32(addr)})
		if err != nil {
			return err
		}
		if err := r.Err(); err != nil {
			return err
		}
	}
	return nil
}

// check takes assembly through the whole chain.
func check(dir string, src []byte, o Options, flags ...string) error {
	out, err := rewrite(src, o)
	if err != nil {
		return fmt.Errorf("rewrite: %w", err)
	}
	obj, err := assemble(dir, "t", out)
	if err != nil {
		return err
	}
	bin, err := link(dir, obj, flags...)
	if err != nil {
		return err
	}
	if err := Postlink(bin); err != nil {
		return err
	}
	if err := fixPLT(bin); err != nil {
		return err
	}
	return validate(bin)
}

var gccFlags = []string{"-S", "-o", "-", "-ffixed-r15", "-ffixed-r14", "-ffixed-r11", "-mno-red-zone", "-fno-stack-protector",
	"-fcf-protection=branch", "-gno-variable-location-views", "-mmemcpy-strategy=libcall:-1:noalign", "-mmemset-strategy=libcall:-1:noalign"}

// compile runs gcc up to assembly.
func compile(dir, file string, flags ...string) ([]byte, error) {
	cc := "gcc-12"
	if strings.HasSuffix(file, ".cc") {
		cc = "g++-12"
	}
	return run(dir, cc, append(append(append([]string{}, gccFlags...), flags...), file)...)
}
