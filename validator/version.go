package validator

import (
	"crypto/sha256"
	"embed"
	"encoding/binary"
	"io"
	"io/fs"
	"runtime"
	"sync"
)

// What decides a verdict is code as much as tables, so the version is made of
// the sources that this package was compiled from, all of them: nobody has to
// remember to count it up. That a change of a test counts too does no harm.
//
//go:embed *.go *.s
var sources embed.FS

// RuleVersion identifies the rules that Validate goes by: a hash of the sources
// of this package and of the compiler's version. A verdict that is kept must be
// kept under it.
func RuleVersion() [sha256.Size]byte { return ruleVersion() }

var ruleVersion = sync.OnceValue(func() (sum [sha256.Size]byte) {
	version, err := versionOf(sources, runtime.Version())
	if err != nil { // what is linked into the program can be read
		panic("validator: " + err.Error())
	}
	return version
})

// versionOf hashes the names, lengths and contents of all files of a directory.
func versionOf(files fs.FS, compiler string) (sum [sha256.Size]byte, err error) {
	list, err := fs.ReadDir(files, ".")
	if err != nil {
		return sum, err
	}
	h := sha256.New()
	length := func(n int64) {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(n)))
	}
	field := func(s string) {
		length(int64(len(s)))
		io.WriteString(h, s)
	}
	field(compiler)
	buf := make([]byte, 32<<10) // read in pieces: each new page of memory costs as much as its hash
	for _, e := range list {
		f, err := files.Open(e.Name())
		if err != nil {
			return sum, err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return sum, err
		}
		field(e.Name())
		length(info.Size())
		n, err := io.CopyBuffer(h, f, buf)
		if err != nil {
			return sum, err
		}
		if n != info.Size() {
			return sum, io.ErrUnexpectedEOF
		}
	}
	h.Sum(sum[:0])
	return sum, nil
}
