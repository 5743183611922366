package ports

import (
	"context"
	"os"
	"path/filepath"
)

// Lua builds Lua 5.4: bin/lua, dynamically linked with lib/liblua.so, and
// include/. Mounted at /usr in a domain it finds its modules in /usr/lib/lua/5.4
// and /usr/share/lua/5.4.
func Lua(ctx context.Context, o Options) (string, error) {
	return lua(Sandbox).ensure(ctx, o)
}

func lua(c Compiler) *port { return recipe("lua", "lua.go", "lua5.4", c, buildLua) }

// NativeLua builds the same with a native compiler and the same options.
func NativeLua(ctx context.Context, c Compiler, o Options) (string, error) {
	if _, err := toolPath(c); err != nil {
		return "", err
	}
	return lua(c).ensure(ctx, o)
}

// luaFlags are the same for every compiler, so that run times compare.
var luaFlags = []string{"-std=gnu99", "-O2", "-fPIC", "-DLUA_COMPAT_5_3", "-DLUA_USE_LINUX"}

func buildLua(j *job) error {
	src := filepath.Join(j.src, "src")
	all, err := filepath.Glob(filepath.Join(src, "*.c"))
	if err != nil {
		return err
	}
	var library []string
	for _, f := range all {
		if base := filepath.Base(f); base != "lua.c" && base != "luac.c" {
			library = append(library, f)
		}
	}
	// Debian's search path names the architecture's own directory.
	header := filepath.Join(j.work, "lua5.4-deb-multiarch.h")
	if err := os.WriteFile(header, []byte("#define DEB_HOST_MULTIARCH \"halite\"\n"), 0o644); err != nil {
		return err
	}
	flags := append(append([]string{}, luaFlags...), "-I"+j.work)
	objects, err := j.compile(flags, append(library, filepath.Join(src, "lua.c"))...)
	if err != nil {
		return err
	}
	main, objects := objects[len(objects)-1], objects[:len(objects)-1]
	lib := filepath.Join(j.install, "lib")
	if err := os.MkdirAll(lib, 0o755); err != nil {
		return err
	}
	shared := filepath.Join(lib, "liblua.so")
	args := append([]string{"-shared", "-Wl,-soname,liblua.so", "-o", shared}, objects...)
	if err := j.run(j.work, nil, j.cc(), append(args, "-lm", "-ldl")...); err != nil {
		return err
	}
	bin := filepath.Join(j.install, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	if err := j.run(j.work, nil, j.cc(), "-Wl,-rpath,$ORIGIN/../lib", "-o", filepath.Join(bin, "lua"), main, "-L"+lib, "-llua", "-lm", "-ldl"); err != nil {
		return err
	}
	if err := j.put("include", 0o644, header); err != nil {
		return err
	}
	var headers []string
	for _, h := range []string{"lua.h", "luaconf.h", "lualib.h", "lauxlib.h"} {
		headers = append(headers, filepath.Join(src, h))
	}
	return j.put("include", 0o644, headers...)
}

// Lpeg builds lpeg as lib/lua/5.4/lpeg.so, with its module re in share/lua/5.4.
func Lpeg(ctx context.Context, o Options) (string, error) {
	return recipe("lpeg", "lua.go", "lua-lpeg", Sandbox, buildLpeg, lua).ensure(ctx, o)
}

func buildLpeg(j *job) error {
	sources, err := filepath.Glob(filepath.Join(j.src, "*.c"))
	if err != nil {
		return err
	}
	lua := j.deps["lua"]
	flags := []string{"-std=gnu99", "-O2", "-fPIC", "-DNDEBUG", "-I" + filepath.Join(lua, "include")}
	objects, err := j.compile(flags, sources...)
	if err != nil {
		return err
	}
	dir := filepath.Join(j.install, "lib", "lua", "5.4")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	// Symbols of Lua come from the program that loads the module.
	args := append([]string{"-shared", "-o", filepath.Join(dir, "lpeg.so")}, objects...)
	if err := j.run(j.work, nil, j.cc(), args...); err != nil {
		return err
	}
	if err := j.put("share/lua/5.4", 0o644, filepath.Join(j.src, "re.lua")); err != nil {
		return err
	}
	// Its own tests, for ours.
	return j.put("share/lpeg", 0o644, filepath.Join(j.src, "test.lua"))
}
