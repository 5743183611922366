package ports

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/halite-run/halite/loader"
	"github.com/halite-run/halite/toolchain"
	"github.com/halite-run/halite/toolchain/debsrc"
	"github.com/halite-run/halite/toolchain/driver"
)

// The test binary is also the compiler that the recipes call.
func TestMain(m *testing.M) {
	if handled, code := driver.MultiCall(os.Args); handled {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// need skips a test on a machine without toolchain, sysroot or source.
func need(t *testing.T, source string) {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped: builds a program")
	}
	if _, err := toolchain.Tools("gcc-12", "llvm-mc-19", "ld.lld-19", "dpkg-source"); err != nil {
		t.Skipf("skipped: %v", err)
	}
	if _, err := toolchain.Sysroot(); errors.Is(err, toolchain.ErrNoSysroot) {
		t.Skipf("skipped: %v", err)
	}
	if _, ok := debsrc.Present(source); ok {
		return
	}
	if _, err := debsrc.Fetch(t.Context(), source, debsrc.Options{Log: t.Logf}); err != nil {
		t.Skipf("skipped: %v", err)
	}
}

func verify(t *testing.T, path string) error {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	report, err := loader.Verify(filepath.Base(path), f, st.Size(), loader.VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return report.Err()
}

func TestLuaAndLpeg(t *testing.T) {
	need(t, "lua5.4")
	need(t, "lua-lpeg")
	lua, err := Lua(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	lpeg, err := Lpeg(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{lua + "/bin/lua", lua + "/lib/liblua.so", lpeg + "/lib/lua/5.4/lpeg.so"} {
		if err := verify(t, file); err != nil {
			t.Error(err)
		}
	}
	for _, file := range []string{lua + "/include/lua.h", lua + "/include/lauxlib.h", lpeg + "/share/lua/5.4/re.lua"} {
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
	again, err := Lua(t.Context(), Options{})
	if err != nil || again != lua {
		t.Errorf("a second call gives %s, %v; the first gave %s", again, err, lua)
	}
}

// TestNativeLuaIsRefused builds the same sources with the machine's compiler:
// the validator must refuse them, with rule and instruction.
func TestNativeLuaIsRefused(t *testing.T) {
	need(t, "lua5.4")
	if _, err := toolPath(GCC); err != nil {
		t.Skipf("skipped: %v", err)
	}
	dir, err := NativeLua(t.Context(), GCC, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"bin/lua", "lib/liblua.so"} {
		err := verify(t, filepath.Join(dir, file))
		if err == nil {
			t.Errorf("%s, built by gcc, was accepted", file)
		} else if !strings.Contains(err.Error(), "V-RSP") || !strings.Contains(err.Error(), "text+0x") {
			t.Errorf("%s: %v", file, err)
		}
	}
}
