package validator

import (
	"crypto/sha256"
	"embed"
	"encoding/binary"
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
	field := func(b []byte) {
		var n [8]byte
		binary.LittleEndian.PutUint64(n[:], uint64(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	field([]byte(compiler))
	for _, f := range list {
		b, err := fs.ReadFile(files, f.Name())
		if err != nil {
			return sum, err
		}
		field([]byte(f.Name()))
		field(b)
	}
	h.Sum(sum[:0])
	return sum, nil
}
