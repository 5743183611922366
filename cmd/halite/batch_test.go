package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/halite-run/halite/validator"
)

func TestBatchAnswers(t *testing.T) {
	for _, c := range []struct {
		abi    validator.ABI
		in     string
		answer string
		status int
	}{
		{validator.Classic, "-", "V ffffffff", 0},
		{validator.Classic, "", "V ffffffff", 0},
		{validator.Classic, "89c0418b0407", "V ffffffc1", 0},
		{validator.Classic, "  89C0418B0407\r", "V ffffffc1", 0},
		{validator.Classic, strings.Repeat("90", 33), "V ffffffffffffffff", 0},
		{validator.Classic, "410fc307", "N fffffff1", 0},
		{validator.Classic, "8b03", "I 0:B", 0},
		{validator.Classic, "89c4", "I 2:s", 0},
		{validator.Classic, "eb01b800000000eb7f", "I 7:J,3:T", 0},
		{validator.Classic, "eb01eb00b800000000", "I 3:T", 0},
		{validator.X86_32, "8b0383e0e0ffe0", "V ffffff85", 0},
		{validator.X86_32, "c3", "I 0:U", 0},
		{validator.Halite, "65678b03", "V fffffff1", 0},
		{validator.Halite, "8b03", "I 0:B", 0},
		{validator.Halite, "9", "E an odd number of hex digits (1)", 2},
		{validator.Halite, "9x", "E invalid byte: U+0078 'x'", 2},
		{validator.Halite, "90 90", "E an odd number of hex digits (5)", 2},
	} {
		var out bytes.Buffer
		status := verifyBatch(strings.NewReader(c.in+"\n"), &out, validator.Options{ABI: c.abi, Offset: 0x20000})
		if out.String() != c.answer+"\n" || status != c.status {
			t.Errorf("%v %q: %q %d, want %q %d", c.abi, c.in, out.String(), status, c.answer, c.status)
		}
	}
}

// TestBatchFlushes: the answer to a line comes before the next line is sent.
func TestBatchFlushes(t *testing.T) {
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	done := make(chan int)
	go func() {
		status := verifyBatch(inR, outW, validator.Options{ABI: validator.Classic})
		outW.Close()
		done <- status
	}()
	answers := bufio.NewReader(outR)
	for i := range 3 {
		fmt.Fprintf(inW, "8b0%d\n", i)
		if s, err := answers.ReadString('\n'); err != nil || s != "I 0:B\n" {
			t.Fatalf("%q %v", s, err)
		}
	}
	io.WriteString(inW, "90") // the last line has no end
	inW.Close()
	if s, err := answers.ReadString('\n'); err != nil || s != "V ffffffff\n" {
		t.Errorf("%q %v", s, err)
	}
	if status := <-done; status != 0 {
		t.Errorf("status %d", status)
	}
}

// zeros gives n zero digits and then a line that is fine.
type zeros struct{ n int }

func (z *zeros) Read(p []byte) (int, error) {
	const rest = "\n90\n"
	if z.n <= 0 {
		return 0, io.EOF
	}
	n := min(len(p), z.n)
	for i := range p[:n] {
		p[i] = '0'
	}
	if z.n -= n; z.n == 0 && len(p) >= n+len(rest) {
		n += copy(p[n:], rest)
	} else if z.n == 0 {
		z.n, n = 1, n-1
	}
	return n, nil
}

// TestBatchHugeLine: a line without an end costs bounded memory and one answer.
func TestBatchHugeLine(t *testing.T) {
	var out bytes.Buffer
	status := verifyBatch(&zeros{maxBatchLine + 100000}, &out, validator.Options{ABI: validator.Classic})
	if status != 2 || out.String() != fmt.Sprintf("E the line is longer than %d characters\nV ffffffff\n", maxBatchLine) {
		t.Errorf("%d %q", status, out.String())
	}
}
