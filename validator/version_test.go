package validator

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/fstest"
)

// Every file that is compiled into the package is part of its rule version, and
// a change of any of them changes it.
func TestRuleVersion(t *testing.T) {
	files := fstest.MapFS{}
	for _, pattern := range []string{"*.go", "*.s"} {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatal(pattern, names, err)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files[name] = &fstest.MapFile{Data: b}
		}
	}
	now := RuleVersion()
	version := func(compiler string) [32]byte {
		v, err := versionOf(files, compiler)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if version(runtime.Version()) != now {
		t.Fatal("files of the package are not part of its rule version")
	}
	if version("go0.0") == now {
		t.Error("another compiler has the same version")
	}
	for name, f := range files {
		old := f.Data
		f.Data = append([]byte(nil), old...)
		f.Data[len(old)/2] ^= 1
		if version(runtime.Version()) == now {
			t.Errorf("%s may change without a change of the version", name)
		}
		f.Data = old
		delete(files, name)
		if version(runtime.Version()) == now {
			t.Errorf("%s may be missing without a change of the version", name)
		}
		files[name] = f
	}
	files["new.go"] = &fstest.MapFile{}
	if version(runtime.Version()) == now {
		t.Error("an additional file has the same version")
	}
}

func BenchmarkRuleVersion(b *testing.B) {
	for b.Loop() {
		if _, err := versionOf(sources, ""); err != nil {
			b.Fatal(err)
		}
	}
}
