package debsrc

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMachineEntries(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("sources.list", `
# a comment
deb cdrom:[Debian]/ bookworm main
deb [ arch=amd64 signed-by=/k/one.gpg,/k/two.gpg ] http://archive.example/debian bookworm main contrib # tail
deb-src http://archive.example/debian bookworm main
deb http://other.example/apt stable other
deb http://archive.example/security bookworm-security main
deb http://archive.example/old bullseye main
`)
	write("sources.list.d/third.list", "deb http://third.example bookworm-pgdg main\n")
	write("sources.list.d/debian.sources", `Types: deb
URIs: http://new.example/debian
Suites: bookworm bookworm-updates
Components: main non-free
Architectures: amd64
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: http://node.example
Suites: nodistro
Components: main
`)
	entries, err := machineEntries(dir, "bookworm")
	if err != nil {
		t.Fatal(err)
	}
	want := `Types: deb-src
URIs: http://archive.example/debian
Suites: bookworm
Components: main
Signed-By: /k/one.gpg /k/two.gpg

Types: deb-src
URIs: http://archive.example/security
Suites: bookworm-security
Components: main

Types: deb-src
URIs: http://new.example/debian
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc

Types: deb-src
URIs: http://new.example/debian
Suites: bookworm-updates
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc

`
	if got := formatEntries(entries); got != want {
		t.Errorf("entries:\n%s\nwant:\n%s", got, want)
	}
}

func TestNoEntries(t *testing.T) {
	_, err := machineEntries(t.TempDir(), "bookworm")
	if err == nil || !strings.Contains(err.Error(), `"bookworm" main`) {
		t.Errorf("error %v does not say what was looked for", err)
	}
}
