// Command gen makes the validator's tables.
//
//	gen -import nacl-x86-instructions.tsv   writes ../../instructions.txt
//	gen                                     writes ../../tables_gen.go from it
//
// The first step reads a description of NaCl's instruction table, adds the
// forms of extra.txt, and decides for each row with policy.txt what the halite
// ABI makes of it. Its result is the data that people review: one line per
// operand form, with the verdicts of the three ABIs side by side. The second
// step is mechanical. It refuses data in which two forms claim one encoding
// and say different things about it.
//
// Both steps are deterministic; a test in the validator package compares the
// committed files with what this program writes.
package main

import (
	"bytes"
	_ "embed"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
)

//go:embed policy.txt
var policyText string

//go:embed extra.txt
var extraText string

func main() {
	log.SetFlags(0)
	log.SetPrefix("gen: ")
	imp := flag.String("import", "", "make the data file from this NaCl instruction table (tab separated)")
	dir := flag.String("dir", ".", "the validator package's directory")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: go run ./internal/gen [-import nacl-x86-instructions.tsv] [-dir validator]\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*dir, *imp); err != nil {
		log.Fatal(err)
	}
}

func run(dir, tsv string) error {
	data := filepath.Join(dir, "instructions.txt")
	if tsv != "" {
		src, err := os.ReadFile(tsv)
		if err != nil {
			return err
		}
		out, err := Import(src)
		if err != nil {
			return fmt.Errorf("%s: %w", tsv, err)
		}
		return os.WriteFile(data, out, 0o644)
	}
	src, err := os.ReadFile(data)
	if err != nil {
		return err
	}
	rows, err := parseRows(bytes.NewReader(src))
	if err != nil {
		return fmt.Errorf("%s: %w", data, err)
	}
	out, err := tables(rows)
	if err != nil {
		return fmt.Errorf("%s: %w", data, err)
	}
	return os.WriteFile(filepath.Join(dir, "tables_gen.go"), out, 0o644)
}
