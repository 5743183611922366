package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/halite-run/halite/loader"
	"github.com/halite-run/halite/validator"
)

// fileVerdict is what --json prints, one object a line for each file.
type fileVerdict struct {
	File   string        `json:"file"`
	OK     bool          `json:"ok"`
	ABI    string        `json:"abi,omitempty"`
	Code   int64         `json:"code_bytes"`
	Error  string        `json:"error,omitempty"` // the file could not be read
	Errors []codeVerdict `json:"errors,omitempty"`
	More   bool          `json:"more,omitempty"` // than Errors lists
}

type codeVerdict struct {
	Address uint32 `json:"address"`
	Rule    string `json:"rule"`
	Bytes   string `json:"bytes"`
	Text    string `json:"text"`
}

func verifyMain(args []string) int {
	f := newFlags("verify", "FILE...",
		`Checks every executable byte of programs, shared objects and object files.
Exit status: 0 when all are safe, 1 when one is not, 2 when one could not be read.

With --raw a FILE is nothing but code. With --batch there is no FILE: each line
of the input is code in hex, padded with 90 to whole bundles, and gets a line
of its own at once:
  V MASK      safe; 8 hex digits a bundle, bit k: a branch may go to offset k
  N MASK      safe but for non-temporal instructions
  I ERRORS    not safe; OFFSET:FLAGS,... (docs/validator.md lists the flags)
  E REASON    the line is not hex, or too long
and the exit status is 2 when a line was answered with E, otherwise 0.`,
		"halite verify lua liblua.so")
	abiName := f.String("abi", "halite", "the rules to check: halite, classic or x86-32")
	raw := f.Bool("raw", false, "the files are code without any header")
	offset := f.Uint("offset", 0x20000, "with --raw and --batch, where in the sandbox the code will stand")
	batch := f.Bool("batch", false, "check lines of hex from the standard input")
	cpu := f.String("cpu", "all", "CPU features to allow: all, host, or a list such as SSE,SSE2,AVX")
	readOnly := f.Bool("read-only", false, "check the code as it is, not as it would be loaded by copying (NaCl ABIs)")
	asJSON := f.Bool("json", false, "print one JSON object a line for each file")
	quiet := f.Bool("q", false, "print nothing for files that are safe")
	most := f.Int("errors", 10, "list at most this many errors of a file")
	if code := parse(f, args); code >= 0 {
		return code
	}
	o := loader.VerifyOptions{MaxErrors: *most, ReadOnly: *readOnly}
	var err error
	if o.ABI, err = validator.ParseABI(*abiName); err != nil {
		return verifyUsage(err)
	}
	if o.Features, err = parseCPU(*cpu); err != nil {
		return verifyUsage(err)
	}
	if *offset > math.MaxUint32 || *offset%validator.BundleSize != 0 {
		return verifyUsage(fmt.Errorf("--offset=%#x is no multiple of %d below 4 GiB", *offset, validator.BundleSize))
	}
	if *batch {
		if f.NArg() != 0 {
			return verifyUsage(errors.New("--batch reads the standard input and no file"))
		}
		return verifyBatch(os.Stdin, os.Stdout, validator.Options{ABI: o.ABI, Offset: uint32(*offset), Features: o.Features})
	}
	if f.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "halite verify: no file named; see halite verify --help")
		return 2
	}
	status := 0
	for _, name := range f.Args() {
		report, err := verifyFile(name, o, *raw, uint32(*offset))
		if *asJSON {
			json.NewEncoder(os.Stdout).Encode(verdictOf(name, report, err))
		}
		switch {
		case err != nil:
			if !*asJSON {
				fmt.Fprintln(os.Stderr, "halite verify:", err)
			}
			status = 2
		case !report.OK():
			if !*asJSON {
				fmt.Println(report.Err())
			}
			status = max(status, 1)
		case !*quiet && !*asJSON:
			fmt.Printf("%s: safe, %d bytes of code\n", name, codeBytes(report))
		}
	}
	return status
}

func verifyUsage(err error) int {
	fmt.Fprintf(os.Stderr, "halite verify: %v; see halite verify --help\n", err)
	return 2
}

func parseCPU(s string) (validator.Features, error) {
	switch s {
	case "all":
		return 0, nil
	case "host":
		return validator.HostFeatures(), nil
	}
	f, err := validator.ParseFeatures(s)
	if f == 0 && err == nil {
		err = errors.New("--cpu names no feature; every processor has x87")
	}
	return f, err
}

func verifyFile(name string, o loader.VerifyOptions, raw bool, offset uint32) (*loader.Report, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", name)
	}
	if !raw {
		return loader.Verify(name, file, st.Size(), o)
	}
	code, err := io.ReadAll(io.LimitReader(file, loader.MaxTextBytes+1))
	if err != nil {
		return nil, err
	}
	return loader.VerifyRaw(name, code, offset, o)
}

func codeBytes(r *loader.Report) (n int64) {
	for _, c := range r.Code {
		n += int64(c.Size)
	}
	return n
}

func verdictOf(name string, r *loader.Report, err error) fileVerdict {
	v := fileVerdict{File: name}
	if err != nil {
		v.Error = err.Error()
		return v
	}
	v.OK, v.Code = r.OK(), codeBytes(r)
	if r.HaliteABI != 0 || r.ABI != validator.Halite {
		v.ABI = r.ABI.String()
	}
	for _, c := range r.Code {
		var text *loader.TextError
		if c.Err == nil || !errors.As(c.Err, &text) {
			continue
		}
		v.More = v.More || text.More
		for i, e := range text.Errors {
			v.Errors = append(v.Errors, codeVerdict{
				Address: c.Address + e.Offset, Rule: string(e.Rule),
				Bytes: hex.EncodeToString(e.Code), Text: text.Line(i),
			})
		}
	}
	return v
}
