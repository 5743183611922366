package sfi

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestEveryForm combines every mnemonic that the pass knows with every kind of
// operand, alone, in pairs and in threes: what the pass lets through and the assembler understands is
// accepted by the validator. The assembler knows instruction sets that the ABI
// lacks (APX above all), under names that the ABI has.
func TestEveryForm(t *testing.T) {
	need(t, "llvm-mc-19")
	one := []string{"%cl", "%ah", "%dx", "%ecx", "%rdx", "$1", "8(%rdi)", "%xmm1", "%ymm2", "%mm3", "%st(2)"}
	var names []string
	for n, m := range mnemonics() {
		switch m.class {
		case cRefuse, cCall, cJmp, cJcc:
		default:
			names = append(names, n)
		}
	}
	slices.Sort(names)
	var b strings.Builder
	b.WriteString("\t.text\n")
	forms := 0
	add := func(form string) {
		fmt.Fprintf(&b, "\t.type f%d, @function\nf%d:\n\t%s\n", forms, forms, form)
		forms++
	}
	for _, n := range names {
		add(n)
		for _, x := range one {
			add(n + " " + x)
			for _, y := range one {
				add(n + " " + x + ", " + y)
			}
		}
		for _, x := range []string{"%ecx", "$1", "8(%rdi)", "%xmm1"} {
			for _, y := range []string{"%ecx", "8(%rdi)", "%xmm1", "%ymm2"} {
				for _, z := range []string{"%esi", "8(%rdi)", "%xmm1"} {
					add(n + " " + x + ", " + y + ", " + z)
				}
			}
		}
	}
	src := b.String()
	out, err := rewrite([]byte(src), Options{Name: "forms.s"})
	var l ErrorList
	if errors.As(err, &l) {
		src = dropBad(src, l)
		out, err = rewrite([]byte(src), Options{Name: "forms.s"})
	}
	if err != nil {
		t.Fatal(err)
	}
	judged, err := judge(t.TempDir(), out)
	if err != nil {
		t.Fatal(err)
	}
	if !judged {
		t.Fatal("nothing was judged")
	}
	t.Logf("%d forms of %d mnemonics", forms, len(names))
}
