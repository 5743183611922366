package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/halite-run/halite/validator"
)

// maxBatchLine is the length of the longest line that is judged: 16 MiB of code.
const maxBatchLine = 32 << 20

// verifyBatch answers each line of hex with a line, as halite verify --help
// says. It returns the exit status.
func verifyBatch(in io.Reader, out io.Writer, o validator.Options) int {
	o.CollectTargets = true
	o.MaxErrors = 1 << 20
	status := 0
	r := bufio.NewReaderSize(in, 64<<10)
	w := bufio.NewWriter(out)
	for {
		line, tooLong, err := readLine(r)
		if err != nil && err != io.EOF {
			fmt.Fprintln(os.Stderr, "halite verify:", err)
			return 2
		}
		if err == io.EOF && len(line) == 0 && !tooLong {
			return status
		}
		answer, ok := batchAnswer(line, tooLong, o)
		if !ok {
			status = 2
		}
		w.WriteString(answer)
		w.WriteByte('\n')
		if err := w.Flush(); err != nil {
			return 2 // nobody listens any more
		}
		if err == io.EOF {
			return status
		}
	}
}

// readLine reads a line without its end. Of a line that is too long, the rest
// is skipped. io.EOF may come with the last line.
func readLine(r *bufio.Reader) (line []byte, tooLong bool, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if !tooLong {
			line = append(line, part...)
		}
		if len(line) > maxBatchLine {
			line, tooLong = nil, true
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		return bytes.TrimRight(line, "\r\n"), tooLong, err
	}
}

func batchAnswer(line []byte, tooLong bool, o validator.Options) (answer string, ok bool) {
	if tooLong {
		return fmt.Sprintf("E the line is longer than %d characters", maxBatchLine), false
	}
	line = bytes.TrimSpace(line)
	if string(line) == "-" {
		line = nil
	}
	text := make([]byte, len(line)/2, len(line)/2+validator.BundleSize)
	if len(line)%2 != 0 {
		return fmt.Sprintf("E an odd number of hex digits (%d)", len(line)), false
	}
	if _, err := hex.Decode(text, line); err != nil {
		return "E " + strings.TrimPrefix(err.Error(), "encoding/hex: "), false
	}
	for len(text) == 0 || len(text)%validator.BundleSize != 0 {
		text = append(text, 0x90)
	}
	r, err := validator.Validate(text, o)
	if err != nil {
		return "E " + err.Error(), false
	}
	var b strings.Builder
	switch {
	case r.OK():
		b.WriteString("V ")
	case r.NonTemporal():
		b.WriteString("N ")
	default:
		return "I " + batchErrors(r), true
	}
	for _, w := range r.Targets {
		fmt.Fprintf(&b, "%08x", w)
	}
	return b.String(), true
}

// batchErrors lists errors as OFFSET:FLAGS. For a bad branch the offset is
// where it goes.
func batchErrors(r validator.Result) string {
	var b strings.Builder
	last, lastFlag := int64(-1), byte(0)
	for _, e := range r.Errors {
		at, flag := int64(e.Offset), batchFlag(e.Rule)
		if e.Target >= 0 {
			at = e.Target
		}
		if at == last && flag == lastFlag {
			continue
		}
		if at != last {
			if last >= 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, "%x:", at)
		}
		last, lastFlag = at, flag
		b.WriteByte(flag)
	}
	return b.String()
}

// batchFlag is the letter for a rule.
func batchFlag(r validator.Rule) byte {
	switch r {
	case "V-JUMP-RANGE":
		return 'J'
	case "V-JUMP-TARGET":
		return 'T'
	case "V-MEM-INDEX":
		return 'X'
	case "V-SP-ALONE":
		return 's'
	case "V-BP-ALONE":
		return 'p'
	case "V-SP-FIX":
		return 'S'
	case "V-BP-FIX":
		return 'P'
	case "V-SP-WRITE", "V-RSP":
		return 'k'
	case "V-BP-WRITE":
		return 'b'
	case "V-R15":
		return 'F'
	case "V-NONTEMPORAL":
		return 'N'
	case "V-MEM-BASE", "V-MEM-SEG", "V-MEM-RIP", "V-MEM-RANGE", "V-MEM-FS":
		return 'B'
	}
	return 'U'
}
