package sfi

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// benchInput is real compiler output: of the test programs when gcc is there,
// else the committed samples.
func benchInput(b *testing.B, flags ...string) []byte {
	var in []byte
	for _, n := range []string{"calls.c", "frames.c", "jumps.c", "asm.c"} {
		f, _ := filepath.Abs(filepath.Join("testdata/c", n))
		s, err := compile(b.TempDir(), f, flags...)
		if err != nil {
			in = nil
			break
		}
		in = append(in, s...)
	}
	if in == nil {
		files, _ := filepath.Glob("testdata/golden/*.s")
		for _, f := range files {
			s, err := os.ReadFile(f)
			if err == nil {
				in = append(in, s...)
			}
		}
	}
	return in
}

func benchmark(b *testing.B, flags ...string) {
	// The same text again and again defines labels twice, which the pass does
	// not mind: the later definition counts, as in a new function.
	one := benchInput(b, flags...)
	if len(one) == 0 {
		b.Skip("no input")
	}
	in := bytes.Repeat(one, 4<<20/len(one)+1)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		if err := Rewrite(io.Discard, bytes.NewReader(in), Options{Name: "bench"}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRewrite(b *testing.B)      { benchmark(b, "-O2") }
func BenchmarkRewriteDebug(b *testing.B) { benchmark(b, "-O2", "-g") }
func BenchmarkRewriteO0(b *testing.B)    { benchmark(b, "-O0", "-fPIC") }
