package ld

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestRandomGraphs: libraries that need each other at random, define and want the same few
// names, weakly or not, in versions or not, and are opened and closed in any order: every
// reference is bound as glibc binds it. HALITE_RANDOM_GRAPHS says how many, HALITE_RANDOM_SEED
// with which seed.
//
// In one of a hundred graphs glibc 2.36 does not find, through the handle of a library that was
// first loaded for another one, what that library's needs need. There the difference is glibc's.
func TestRandomGraphs(t *testing.T) {
	n, seed := 12, uint64(1)
	if testing.Short() {
		n = 3
	}
	if v, err := strconv.Atoi(os.Getenv("HALITE_RANDOM_GRAPHS")); err == nil {
		n = v
	}
	if v, err := strconv.ParseUint(os.Getenv("HALITE_RANDOM_SEED"), 10, 64); err == nil {
		seed = v
	}
	for i := range n {
		t.Run(fmt.Sprintf("%d-%d", seed, i), func(t *testing.T) {
			t.Parallel()
			g := randomGraph{rnd: rand.New(rand.NewPCG(seed, uint64(i)))}
			g.make()
			compare(t, g.libs, g.main, g.args, g.script())
			if t.Failed() {
				for _, l := range g.libs {
					t.Logf("%s %v\n%s", l.name, l.args, l.text)
				}
				t.Logf("main %v\n%s", g.args, g.main)
			}
		})
	}
}

const (
	graphLibs  = 6
	graphNames = 5
)

type randomGraph struct {
	rnd   *rand.Rand
	libs  []source
	main  string
	args  []string
	needs [graphLibs][]int // of each library
	start []int            // of the program
}

func (g *randomGraph) one(of int) bool { return g.rnd.IntN(of) == 0 }

// object is the text of a library or the program: what it defines, and a pointer to each
// name.
func (g *randomGraph) object(name string, define int) string {
	var b strings.Builder
	for s := range graphNames {
		switch {
		case !g.one(define):
			fmt.Fprintf(&b, "extern const char *s%d __attribute__((weak));\n", s)
		case g.one(3):
			fmt.Fprintf(&b, "__attribute__((weak)) const char *s%d = \"weak %s\";\n", s, name)
		case name != "main" && g.one(8):
			fmt.Fprintf(&b, "__attribute__((visibility(\"protected\"))) const char *s%d = \"protected %s\";\n", s, name)
		default:
			fmt.Fprintf(&b, "const char *s%d = \"%s\";\n", s, name)
		}
		fmt.Fprintf(&b, "const char **ref_%s_%d = &s%d;\n", name, s, s)
	}
	return b.String()
}

func (g *randomGraph) make() {
	for i := range graphLibs {
		name := fmt.Sprintf("l%d", i)
		l := source{name: name, text: g.object(name, 2)}
		if g.one(3) {
			l.args = append(l.args, "-Wl,--hash-style="+[]string{"sysv", "gnu", "both"}[g.rnd.IntN(3)])
		}
		if g.one(6) {
			l.args = append(l.args, "-Wl,-Bsymbolic")
		}
		if g.one(3) {
			l.args = append(l.args, "-Wl,--default-symver")
		}
		var names []string
		for _, d := range g.rnd.Perm(i) { // those that exist already
			if len(names) < 3 && g.one(2) {
				g.needs[i] = append(g.needs[i], d)
				names = append(names, fmt.Sprintf("l%d", d))
			}
		}
		l.args = append(l.args, need(names...)...)
		g.libs = append(g.libs, l)
	}
	g.main = g.object("main", 6)
	var names []string
	for _, d := range g.rnd.Perm(graphLibs)[:g.rnd.IntN(4)] {
		g.start = append(g.start, d)
		names = append(names, fmt.Sprintf("l%d", d))
	}
	if g.one(2) { // so many that the linker keeps an index
		for i := range fewObjects {
			name := fmt.Sprintf("p%d", i)
			g.libs = append(g.libs, source{name: name, text: fmt.Sprintf("int %s;", name)})
			names = slices.Insert(names, g.rnd.IntN(len(names)+1), name)
		}
	}
	g.args = need(names...)
}

// script opens, looks and closes. A handle sees what its library needs.
func (g *randomGraph) script() []string {
	var script []string
	look := func(handle string, libs []int) {
		seen := map[int]bool{}
		for len(libs) > 0 {
			i := libs[0]
			libs = libs[1:]
			if seen[i] {
				continue
			}
			seen[i] = true
			libs = append(libs, g.needs[i]...)
			for s := range graphNames {
				script = append(script, fmt.Sprintf("via:%s:ref_l%d_%d", handle, i, s))
			}
		}
		for s := range graphNames {
			script = append(script, fmt.Sprintf("sym:%s:s%d", handle, s))
		}
	}
	look("default", g.start)
	for s := range graphNames {
		script = append(script, fmt.Sprintf("via:default:ref_main_%d", s))
	}
	var open []int // handles
	for h := range 8 {
		i := g.rnd.IntN(graphLibs)
		op := fmt.Sprintf("open:l%d.so:now", i)
		if g.one(3) {
			op += ":global"
		}
		if g.one(6) {
			op += ":deep"
		}
		script = append(script, op)
		open = append(open, h)
		look(strconv.Itoa(h), []int{i})
		if g.one(2) {
			c := g.rnd.IntN(len(open))
			script = append(script, fmt.Sprintf("close:%d", open[c]))
			open = slices.Delete(open, c, c+1)
		}
	}
	return script
}
