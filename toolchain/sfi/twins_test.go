package sfi

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// twin is a row of the table in docs/abi.md: code of the sandbox and the
// native code that replaces it in place.
type twin struct {
	sandbox, native string
	padding         int
}

func readTwins(t *testing.T) []twin {
	b, err := os.ReadFile("../../docs/abi.md")
	if err != nil {
		t.Fatal(err)
	}
	_, s, ok := strings.Cut(string(b), "<!-- twins -->")
	if !ok {
		t.Fatal("docs/abi.md has no table of twins")
	}
	s, _, _ = strings.Cut(s, "<!-- /twins -->")
	var r []twin
	for i, l := range strings.Split(strings.TrimSpace(s), "\n") {
		f := strings.Split(l, "|")
		if len(f) < 6 || i < 2 {
			continue
		}
		n, err := strconv.Atoi(strings.TrimSpace(f[3]))
		if err != nil {
			t.Fatalf("%s: %v", l, err)
		}
		r = append(r, twin{strings.Trim(f[1], " `"), strings.Trim(f[2], " `"), n})
	}
	return r
}

// lengths assembles each text and returns the lengths of the encodings.
func lengths(t *testing.T, texts []string) []int {
	var b strings.Builder
	for i, s := range texts {
		b.WriteString("x" + strconv.Itoa(i) + ":\n")
		for _, ins := range strings.Split(s, ";") {
			b.WriteString("\t" + strings.TrimSpace(ins) + "\n")
		}
	}
	c := exec.Command("llvm-mc-19", "-triple=x86_64-linux-gnu", "-show-encoding")
	c.Stdin = strings.NewReader(b.String())
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r := make([]int, len(texts))
	at := -1
	for _, l := range strings.Split(string(out), "\n") {
		if strings.HasPrefix(l, "x") && strings.HasSuffix(l, ":") {
			at, _ = strconv.Atoi(l[1 : len(l)-1])
			continue
		}
		_, e, ok := strings.Cut(l, "encoding: [")
		if !ok || at < 0 {
			continue
		}
		e, _, _ = strings.Cut(e, "]")
		r[at] += strings.Count(e, ",") + 1
	}
	return r
}

// TestTwins: every sandboxed form is as long as its native twin.
func TestTwins(t *testing.T) {
	need(t, "llvm-mc-19")
	tw := readTwins(t)
	if len(tw) < 40 {
		t.Fatalf("only %d twins", len(tw))
	}
	var texts []string
	for _, x := range tw {
		texts = append(texts, x.sandbox, x.native)
	}
	n := lengths(t, texts)
	for i, x := range tw {
		if s, m := n[2*i], n[2*i+1]; s != m+x.padding || s == 0 {
			t.Errorf("%s: %d bytes, its twin %s has %d and the table says %d of padding", x.sandbox, s, x.native, m, x.padding)
		}
	}
}
