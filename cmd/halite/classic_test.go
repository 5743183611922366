package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/halite-run/halite/internal/nexe"
)

// TestRunClassic: the command runs programs of Native Client as it runs others.
func TestRunClassic(t *testing.T) {
	text, err := os.Open("../../libcshim/testdata/classic/hello.hex")
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	var code []byte
	entries := map[string]uint64{}
	inCode := false
	for s := bufio.NewScanner(text); s.Scan(); {
		var name string
		var at uint64
		switch line := s.Text(); {
		case line == "--":
			inCode = true
		case inCode:
			b, err := hex.DecodeString(line)
			if err != nil {
				t.Fatal(err)
			}
			code = append(code, b...)
		default:
			if n, _ := fmt.Sscanf(line, "%s %x", &name, &at); n == 2 {
				entries[name] = at
			}
		}
	}
	rodata := make([]byte, 0x80)
	copy(rodata, "hello, ")
	rodata[7] = '\n'
	copy(rodata[0x10:], "nacl-irt-basic-0.1")
	copy(rodata[0x40:], "nacl-irt-fdio-0.1")

	dir := t.TempDir()
	bin := filepath.Join(dir, "halite")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	file := filepath.Join(dir, "hello_world.nexe")
	write := func(class int, entry string, code []byte) {
		t.Helper()
		p := nexe.Program(class, code, rodata, make([]byte, 0x100))
		p.Entry = entries[entry]
		if err := os.WriteFile(file, p.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) (out string, status int) {
		cmd := exec.Command(bin, args...)
		b, _ := cmd.CombinedOutput()
		return string(b), cmd.ProcessState.ExitCode()
	}
	for _, class := range []int{32, 64} {
		for _, entry := range []string{"newlib", "irt"} {
			write(class, entry, code)
			if out, status := run("run", file, "classic", "world"); out != "hello,classic world\n" || status != 69 {
				t.Errorf("class %d, %s: %q, status %d", class, entry, out, status)
			}
		}
		if out, status := run("verify", "--abi=classic", file); status != 0 || !strings.Contains(out, "safe") {
			t.Errorf("verify: %q, status %d", out, status)
		}
	}
	if out, status := run("run", "--outer", file, "w"); status != 69 && !strings.Contains(out, "Landlock") {
		t.Errorf("--outer: %q, status %d", out, status)
	}
	if out, status := run("run", "--trace", file, "w"); status != 69 || !strings.Contains(out, `irt_query("nacl-irt-fdio-0.1"`) {
		t.Errorf("--trace: %q, status %d", out, status)
	}
	entries["newlib"] = nexe.TextAddr
	write(64, "newlib", []byte{0x0f, 0x05})
	if out, status := run("run", file); status != statusRefused || !strings.Contains(out, "V-INSN-SYSCALL") {
		t.Errorf("unsafe code: %q, status %d", out, status)
	}
	write(64, "newlib", []byte{0x0f, 0x0b})
	if out, status := run("run", file); status != 132 || !strings.Contains(out, "guest fault: SIGILL") {
		t.Errorf("a fault: %q, status %d", out, status)
	}
}
