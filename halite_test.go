package halite_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/halite-run/halite"
	"github.com/halite-run/halite/toolchain"
)

// A guest does what its first argument says and tells argv[0] first.
const guestSource = `
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	char line[200] = "";
	printf("%s:", argv[0]);
	fflush(stdout);
	if (!strcmp(argv[1], "loop"))
		for (;;)
			__asm__ volatile("");
	if (!strcmp(argv[1], "flood"))
		for (;;)
			puts("0123456789"), fputs("0123456789", stderr);
	if (!strcmp(argv[1], "fault"))
		*(volatile int *)16 = 1;
	if (!strcmp(argv[1], "memory"))
		for (size_t n = 0; malloc(1 << 20); n++)
			;
	if (!strcmp(argv[1], "cwd"))
		puts(getcwd(line, sizeof line));
	if (!strcmp(argv[1], "read")) {
		FILE *f = fopen(argv[2], "r");
		if (!f)
			return 1;
		puts(fgets(line, sizeof line, f));
	}
	if (!strcmp(argv[1], "write")) {
		FILE *f = fopen(argv[2], "w");
		if (!f)
			return 1;
		return fputs("written\n", f) < 0 || fclose(f);
	}
	return 0;
}
`

// guest builds the program above and returns it and the C library's directory.
func guest(t *testing.T) (program, libraries string) {
	t.Helper()
	sysroot, err := toolchain.Sysroot()
	if errors.Is(err, toolchain.ErrNoSysroot) {
		t.Skip("no sysroot for this state of the toolchain; make sysroot builds it")
	} else if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	program = filepath.Join(dir, "guest")
	command := filepath.Join(dir, "halite")
	if out, err := exec.Command("go", "build", "-o", command, "./cmd/halite").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cc := exec.Command(command, "cc", "-O2", "-x", "c", "-o", program, "-")
	cc.Stdin = strings.NewReader(guestSource)
	if out, err := cc.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program, filepath.Join(sysroot, "lib")
}

func TestRun(t *testing.T) {
	program, lib := guest(t)
	host := t.TempDir()
	if err := os.WriteFile(filepath.Join(host, "file"), []byte("of the host\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	bare := halite.Config{Program: program, Libraries: []string{lib}}
	mounted := bare
	mounted.Mounts = []halite.Mount{
		{Guest: "/app", Host: filepath.Dir(program), ReadOnly: true},
		{Guest: "/fs", FS: fstest.MapFS{"file": {Data: []byte("of a Go fs.FS\n")}}},
		{Guest: "/ro", Host: host, ReadOnly: true},
		{Guest: "/rw", Host: host},
		{Guest: "/one", Host: filepath.Join(host, "file")},
		{Guest: "/scratch"},
	}
	for _, c := range []struct {
		name   string
		config halite.Config
		args   string
		status int
		output string
	}{
		{"alone in /bin", bare, "none", 0, "/bin/guest:"},
		{"in a mount", mounted, "none", 0, "/app/guest:"},
		{"read a Go file system", mounted, "read /fs/file", 0, "/app/guest:of a Go fs.FS\n\n"},
		{"read a directory of the host", mounted, "read /ro/file", 0, "/app/guest:of the host\n\n"},
		{"read a single file of the host", mounted, "read /one", 0, "/app/guest:of the host\n\n"},
		{"nothing of the host unasked", bare, "read " + host + "/file", 1, "/bin/guest:"},
		{"write to a read-only mount", mounted, "write /ro/new", 1, "/app/guest:"},
		{"write to a Go file system", mounted, "write /fs/new", 1, "/app/guest:"},
		{"write to the host", mounted, "write /rw/new", 0, "/app/guest:"},
		{"write to memory", mounted, "write /scratch/new", 0, "/app/guest:"},
		{"write to the root", mounted, "write /new", 1, "/app/guest:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			c.config.Args = strings.Fields(c.args)
			c.config.Stdout = &out
			status, err := halite.Run(context.Background(), c.config)
			if err != nil || status.Status() != c.status || out.String() != c.output {
				t.Errorf("%v, %v, %q; want %d, %q", status, err, out.String(), c.status, c.output)
			}
		})
	}
	if b, err := os.ReadFile(filepath.Join(host, "new")); string(b) != "written\n" {
		t.Errorf("the file that the guest wrote: %q, %v", b, err)
	}
}

func TestRunEnds(t *testing.T) {
	program, lib := guest(t)
	c := halite.Config{Program: program, Libraries: []string{lib}}

	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	c.Args = []string{"loop"}
	if status, err := halite.Run(ctx, c); !errors.Is(err, context.DeadlineExceeded) || status.Status() != 137 {
		t.Errorf("a loop with a deadline: %v, %v", status, err)
	}

	var fault *halite.FaultError
	c.Args = []string{"fault"}
	if status, err := halite.Run(context.Background(), c); !errors.As(err, &fault) || fault.Addr != 16 || status.Status() != 139 {
		t.Errorf("a fault: %v, %v", status, err)
	}

	c.Args, c.MaxMemory = []string{"memory"}, 64<<20
	if status, err := halite.Run(context.Background(), c); err != nil || status.Status() != 0 {
		t.Errorf("malloc up to the limit: %v, %v", status, err)
	}
	c.MaxMemory = 0

	var cpu *halite.CPULimitError
	c.Args, c.MaxCPU = []string{"loop"}, 50*time.Millisecond
	if status, err := halite.Run(context.Background(), c); !errors.As(err, &cpu) || status.Status() != 128+24 {
		t.Errorf("a loop with a limit of processor time: %v, %v", status, err)
	}
	c.MaxCPU = 0

	var output *halite.OutputLimitError
	var stdout, stderr bytes.Buffer
	c.Args, c.MaxOutput, c.Stdout, c.Stderr = []string{"flood"}, 100_000, &stdout, &stderr
	if status, err := halite.Run(context.Background(), c); !errors.As(err, &output) || status.Status() != 128+25 || stdout.Len()+stderr.Len() != 100_000 {
		t.Errorf("output without end: %v, %v, %d and %d bytes", status, err, stdout.Len(), stderr.Len())
	}
	c.MaxOutput, c.Stdout, c.Stderr = 0, nil, nil

	for _, bad := range []struct {
		config halite.Config
		want   string
	}{
		{halite.Config{}, "no program named"},
		{halite.Config{Program: filepath.Join(t.TempDir(), "absent")}, "no such file"},
		{halite.Config{Program: filepath.Dir(program)}, "not a regular file"},
		{halite.Config{Program: program}, "libc.so: not found, needed by /bin/guest; searched: /lib"},
		{halite.Config{Program: program, Libraries: []string{"/absent"}}, "library directory: stat /absent"},
		{halite.Config{Program: program, Mounts: []halite.Mount{{Guest: "relative"}}}, `guest path "relative" is not absolute`},
		{halite.Config{Program: program, Mounts: []halite.Mount{{Guest: "/x", Host: "/absent"}}}, "mount /x: stat /absent"},
		{halite.Config{Program: program, Mounts: []halite.Mount{{Guest: "/x", Host: "/proc"}}}, "pseudo file system"},
		{halite.Config{Program: program, Libraries: []string{lib}, Dir: "/absent"}, "working directory /absent"},
	} {
		if _, err := halite.Run(context.Background(), bad.config); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%+v: %v; want %q in it", bad.config, err, bad.want)
		}
	}
}

func TestLibraries(t *testing.T) {
	program, lib := guest(t)
	c, err := halite.Libraries(halite.Config{Program: program, Libraries: []string{lib}})
	if err != nil || !c.OK() || len(c.Objects) != 2 || c.Objects[1].Path != "/lib/libc.so" {
		t.Errorf("%v, %v", c, err)
	}
	c, err = halite.Libraries(halite.Config{Program: program})
	if err != nil || c.OK() || len(c.Missing) != 1 {
		t.Errorf("without the C library: %v, %v", c, err)
	}
}
