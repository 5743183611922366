package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/halite-run/halite/loader"
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
		"Checks every executable byte of programs, shared objects and object files.\nExit status: 0 when all are safe, 1 when one is not, 2 when one could not be read.",
		"halite verify lua liblua.so")
	asJSON := f.Bool("json", false, "print one JSON object a line for each file")
	quiet := f.Bool("q", false, "print nothing for files that are safe")
	most := f.Int("errors", 10, "list at most this many errors of a file")
	if code := parse(f, args); code >= 0 {
		return code
	}
	if f.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "halite verify: no file named; see halite verify --help")
		return 2
	}
	status := 0
	for _, name := range f.Args() {
		report, err := verifyFile(name, *most)
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

func verifyFile(name string, most int) (*loader.Report, error) {
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
	return loader.Verify(name, file, st.Size(), loader.VerifyOptions{MaxErrors: most})
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
	if r.HaliteABI != 0 {
		v.ABI = "halite"
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
