package toolchaintests

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// port builds a port, or finds it in the cache, and returns where it is.
func port(t *testing.T, args ...string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds a large program")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, haliteCmd, append([]string{"port"}, args...)...)
	var messages strings.Builder
	cmd.Stderr = &messages
	out, err := cmd.Output()
	if err != nil {
		if strings.Contains(messages.String(), "apt-get install") || strings.Contains(messages.String(), "is this machine offline") {
			t.Skip(messages.String())
		}
		t.Fatalf("halite port %s: %v\n%s", strings.Join(args, " "), err, messages.String())
	}
	return strings.TrimSpace(string(out))
}

// scripts is where the scripts of these tests lie, as the guest sees it.
func scripts(t *testing.T) (mount, dir string) {
	t.Helper()
	host, err := filepath.Abs("ports")
	if err != nil {
		t.Fatal(err)
	}
	return host + ":/scripts:ro", "/scripts"
}

// TestLua runs one script in the native interpreter and in the sandboxed one.
func TestLua(t *testing.T) {
	lua := port(t, "lua")
	native := port(t, "-native", "gcc", "lua")
	mount, dir := scripts(t)
	want := command(t, "ports", nil, "", filepath.Join(native, "bin", "lua"), "features.lua")
	got := command(t, ".", nil, "", haliteCmd, "run", "--dir", lua+":/usr:ro", "--dir", mount, filepath.Join(lua, "bin", "lua"), dir+"/features.lua")
	if want.status != 0 {
		t.Fatalf("native: %d\n%s", want.status, want.stderr)
	}
	// Messages name the script by its path.
	if out := strings.ReplaceAll(got.stdout, dir+"/", ""); got.status != 0 || out != want.stdout {
		t.Errorf("status %d, %s\n%s", got.status, difference(out, want.stdout), head(got.stderr))
	}
}

// TestLpeg runs lpeg's own tests in the sandbox: a C module that comes in
// through dlopen.
func TestLpeg(t *testing.T) {
	lua, lpeg := port(t, "lua"), port(t, "lpeg")
	r := command(t, ".", nil, "", haliteCmd, "run", "--dir", lua+":/usr:ro", "--dir", lpeg+":/usr/local:ro",
		filepath.Join(lua, "bin", "lua"), "/usr/local/share/lpeg/test.lua")
	if r.status != 0 || !strings.Contains(r.stdout, "OK") {
		t.Errorf("status %d\n%s\n%s", r.status, head(r.stdout), head(r.stderr))
	}
}

// TestCPython builds CPython with its own configure and runs one script in it
// and in the machine's interpreter of the same version.
func TestCPython(t *testing.T) {
	python := port(t, "python")
	mount, dir := scripts(t)
	exe := filepath.Join(python, "bin", "python3.11")
	if r := command(t, ".", nil, "", haliteCmd, "verify", exe); r.status != 0 {
		t.Fatalf("halite verify: %s%s", r.stdout, r.stderr)
	}
	got := command(t, ".", nil, "", haliteCmd, "run", "--dir", python+":/usr:ro", "--dir", mount, exe, dir+"/features.py")
	if got.status != 0 {
		t.Fatalf("status %d\n%s\n%s", got.status, head(got.stdout), head(got.stderr))
	}
	native, err := exec.LookPath("python3.11")
	if err != nil {
		t.Skip("python3.11 is not installed: nothing to compare with")
	}
	want := command(t, "ports", nil, "", native, "features.py")
	if want.status != 0 {
		t.Skipf("the machine's python3.11 lacks a module: %s", head(want.stderr))
	}
	if got.stdout != want.stdout {
		t.Error(difference(got.stdout, want.stdout))
	}
}
