// Command halite builds, checks, links and runs sandboxed native code.
//
// It also answers to the names of the tools it stands for (as, ld,
// x86_64-nacl-gcc, …): see the driver.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/halite-run/halite/toolchain/driver"
	"github.com/halite-run/halite/toolchain/ports"
	"github.com/halite-run/halite/toolchain/sysroot"
)

// A command takes its arguments and returns the exit status.
type command struct {
	name, summary string
	run           func(args []string) int
}

func commands() []command {
	return []command{
		{"run", "run a program in a sandbox", runMain},
		{"verify", "check that programs, libraries and objects are safe", verifyMain},
		{"cc", "compile and link C for the sandbox, as gcc does", driver.Main},
		{"ldd", "show which libraries a program needs and where they are found", lddMain},
		{"sysroot", "build the C library for the sandbox", sysroot.Main},
		{"port", "build Lua, lpeg or CPython for the sandbox", ports.Main},
	}
}

func main() {
	if handled, code := driver.MultiCall(os.Args); handled {
		os.Exit(code)
	}
	os.Exit(dispatch(os.Args[1:]))
}

func dispatch(args []string) int {
	if len(args) == 0 {
		usage(os.Stderr)
		return 2
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		if len(args) == 2 && args[0] == "help" {
			return dispatch([]string{args[1], "--help"})
		}
		usage(os.Stdout)
		return 0
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run(args[1:])
		}
	}
	// ar, ranlib, ld, strip and the like are the driver's.
	if handled, code := driver.Tool(args[0], args[1:]); handled {
		return code
	}
	fmt.Fprintf(os.Stderr, "halite: no command %q; halite help lists them\n", args[0])
	return 2
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "halite links, checks and runs native code that nobody trusts.")
	fmt.Fprintln(w, "\nUsage: halite COMMAND [ARGUMENT...]")
	fmt.Fprintln(w)
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-10s %s\n", c.name, c.summary)
	}
	fmt.Fprintf(w, "  %-10s %s\n", "ar, …", "companions of cc: "+strings.Join(driver.ToolNames(), " "))
	fmt.Fprintln(w, "\nhalite COMMAND --help tells more and gives an example.")
}

// flagSet is a command's flags and its help.
type flagSet struct {
	*flag.FlagSet
	help string
}

func newFlags(name, arguments, about, example string) *flagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	return &flagSet{f, fmt.Sprintf("Usage: halite %s [flags] %s\n\n%s\n\nExample:\n  %s\n\nFlags:\n", name, arguments, about, example)}
}

// parse returns an exit status, or -1 to go on.
func parse(f *flagSet, args []string) int {
	switch err := f.Parse(args); err {
	case nil:
		return -1
	case flag.ErrHelp:
		fmt.Print(f.help)
		f.SetOutput(os.Stdout)
		f.PrintDefaults()
		return 0
	default:
		fmt.Fprintf(os.Stderr, "halite %s: %v; see halite %[1]s --help\n", f.Name(), err)
		return 2
	}
}

func fail(name string, err error) int {
	fmt.Fprintf(os.Stderr, "halite %s: %v\n", name, err)
	return 1
}
