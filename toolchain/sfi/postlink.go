package sfi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
)

// What the linker writes over the pair "lea x@tlsgd; call __tls_get_addr" when
// it links a program: general dynamic becomes local exec or initial exec,
// local dynamic becomes local exec. All begin by loading the thread pointer
// with 64 bits from %fs:0.
var (
	nativeTP  = []byte{0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0}    // mov %fs:0, %rax
	sandboxTP = []byte{0x64, 0x40, 0x8b, 0x04, 0x25, 0x10, 0, 0, 0} // {rex} mov %fs:0x10, %eax
	nop3      = []byte{0x0f, 0x1f, 0x00}
)

// TLSSection is the name of the section in which the pass records the general
// and local dynamic sequences: one address a sequence, before
// its first byte and the padding in front of that. It is not loaded and may be stripped after Postlink.
const TLSSection = ".halite.tls"

var errNotELF = errors.New("not a 64-bit little-endian ELF file")

// Postlink repairs in the linked file what the linker wrote over TLS
// sequences. It changes no length, and nothing where the linker left the
// sequence alone (in shared libraries).
func Postlink(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	n, err := PatchTLS(b)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if n == 0 {
		return nil
	}
	st, err := os.Stat(file)
	if err != nil {
		return err
	}
	return os.WriteFile(file, b, st.Mode().Perm())
}

// PatchTLS is Postlink for an image in memory. It returns the number of
// sequences changed.
func PatchTLS(b []byte) (int, error) {
	if len(b) < 64 || string(b[:6]) != "\x7fELF\x02\x01" {
		return 0, errNotELF
	}
	le := binary.LittleEndian
	type sh struct{ name, addr, off, size, flags uint64 }
	shoff, shnum, shstr := le.Uint64(b[0x28:]), uint64(le.Uint16(b[0x3c:])), uint64(le.Uint16(b[0x3e:]))
	if shoff == 0 || shnum == 0 {
		return 0, nil
	}
	if shoff > uint64(len(b)) || shnum*64 > uint64(len(b))-shoff || shstr >= shnum {
		return 0, errors.New("section headers lie outside the file")
	}
	head := func(i uint64) (s sh) {
		h := b[shoff+64*i:]
		s = sh{name: uint64(le.Uint32(h)), flags: le.Uint64(h[8:]), addr: le.Uint64(h[16:]), off: le.Uint64(h[24:]), size: le.Uint64(h[32:])}
		if le.Uint32(h[4:]) == 8 { // SHT_NOBITS
			s.size = 0
		}
		return s
	}
	bytesOf := func(s sh) []byte {
		if s.off > uint64(len(b)) || s.size > uint64(len(b))-s.off {
			return nil
		}
		return b[s.off : s.off+s.size]
	}
	names := bytesOf(head(shstr))
	var list []byte
	var text []sh
	for i := range shnum {
		s := head(i)
		if s.name < uint64(len(names)) && bytes.HasPrefix(names[s.name:], []byte(TLSSection+"\x00")) {
			list = bytesOf(s)
		}
		if s.flags&4 != 0 { // SHF_EXECINSTR
			text = append(text, s)
		}
	}
	done := 0
	for ; len(list) >= 8; list = list[8:] {
		a := le.Uint64(list)
		for _, s := range text {
			if a < s.addr || a-s.addr >= s.size {
				continue
			}
			t := bytesOf(s)
			if t == nil {
				continue
			}
			// The label may stand before padding, which is shorter than a
			// bundle.
			t = t[a-s.addr:]
			t = t[:min(len(t), 32+len(nop3)+len(nativeTP))]
			k := bytes.Index(t, nativeTP)
			if k < 0 {
				continue // the linker left the call alone
			}
			copy(t[k:], sandboxTP)
			if k >= 3 && t[k-1] == 0x66 && t[k-2] == 0x66 && t[k-3] == 0x66 {
				copy(t[k-3:], nop3)
			}
			done++
		}
	}
	return done, nil
}
