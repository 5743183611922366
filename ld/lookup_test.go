package ld

import (
	"fmt"
	"testing"

	"github.com/halite-run/halite/loader"
)

// TestGlobalIndex: asking objects one by one, and the table of all symbols, give
// the same answers, also when some objects have System V tables only.
func TestGlobalIndex(t *testing.T) {
	var libs []source
	var args []string
	for i := range 14 {
		text := fmt.Sprintf("int own_%d = 1;\n", i)
		if i%3 == 1 {
			text += "int third = 1;\n"
		}
		if i >= 5 {
			text += "int late = 1;\n"
		}
		style := "gnu"
		if i%4 == 2 {
			style = "sysv"
		}
		if i == 6 || i == 9 {
			text += "int in_sysv = 1;\n"
		}
		name := fmt.Sprintf("l%d", i)
		libs = append(libs, source{name, text, []string{"-Wl,--hash-style=" + style}})
		args = append(args, "-l:"+name+".so")
	}
	dir := build(t, libs, "", args)
	l := testLinker(t, dir)
	l.cfg.Trace = nil
	if _, err := loadGuest(t, l, "/guest"); err != nil {
		t.Fatal(err)
	}
	l.index.build(l.global)
	if l.index.table == nil || len(l.index.ask) != 3 {
		t.Fatalf("table of %d, %d to ask", len(l.index.table), len(l.index.ask))
	}
	names := []string{"third", "late", "in_sysv", "nobody", "note"}
	for i := range 14 {
		names = append(names, fmt.Sprintf("own_%d", i))
	}
	for _, n := range names {
		h := loader.HashOf(n)
		work := int64(1 << 20)
		var want, got, other binding
		wantOK := lookup(&want, l.global, nil, &h, loader.Want{}, &work)
		ok := l.lookupGlobal(&got, &h, loader.Want{}, &work)
		if ok != wantOK || got != want {
			t.Errorf("%s: %v %v, want %v %v", n, got.object, ok, want.object, wantOK)
		}
		table := l.index.table
		l.index.table = nil
		if ok := l.lookupGlobal(&other, &h, loader.Want{}, &work); ok != wantOK || other != want {
			t.Errorf("%s without table: %v %v, want %v %v", n, other.object, ok, want.object, wantOK)
		}
		l.index.table = table
	}
}
