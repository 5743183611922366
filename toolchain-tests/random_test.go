package toolchaintests

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestRandom writes programs at random, free of undefined behaviour, builds each
// natively and for the sandbox at some optimisation level, and compares what they
// print. HALITE_RANDOM=N runs N of them instead of a few, HALITE_SEED starts
// elsewhere; a failing program is kept.
func TestRandom(t *testing.T) {
	needMusl(t)
	n, seed := 12, uint64(1)
	if testing.Short() {
		n = 3
	}
	if s := os.Getenv("HALITE_RANDOM"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	if s := os.Getenv("HALITE_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	levels := []string{"-O0", "-O1", "-O2", "-O3", "-Os", "-O2 -march=x86-64-v3", "-O2 -fno-omit-frame-pointer", "-O3 -funroll-loops", "-Og", "-O2 -fno-pie -no-pie"}
	for i := range uint64(n) {
		seed := seed + i
		level := levels[seed%uint64(len(levels))]
		t.Run(fmt.Sprintf("%d%s", seed, strings.ReplaceAll(level, " ", "")), func(t *testing.T) {
			t.Parallel()
			text := generate(seed)
			d := newDriverTest(t, map[string]string{"p.c": text})
			args := append(strings.Fields(level), "-w", "p.c", "-o")
			r := command(t, d.dir, nil, "", append(append([]string{"musl-gcc"}, args...), "native")...)
			if r.status != 0 {
				t.Fatalf("the generator writes nonsense: %s", head(r.stderr))
			}
			r = d.try(append(append([]string{"cc"}, args...), "sandboxed")...)
			if r.status != 0 {
				keep(t, seed, text)
				t.Fatalf("halite cc: %s", head(r.stderr))
			}
			if v := d.try("verify", "-q", "sandboxed"); v.status != 0 {
				keep(t, seed, text)
				t.Fatalf("halite verify: %s", head(v.stdout))
			}
			want := command(t, d.dir, nil, "", filepath.Join(d.dir, "native"))
			got := d.try("run", "sandboxed")
			if got != want {
				keep(t, seed, text)
				t.Errorf("status %d, natively %d: %s\n%s", got.status, want.status, difference(got.stdout, want.stdout), head(got.stderr))
			}
		})
	}
}

func keep(t *testing.T, seed uint64, text string) {
	file := filepath.Join(os.TempDir(), fmt.Sprintf("halite-random-%d.c", seed))
	if err := os.WriteFile(file, []byte(text), 0o644); err == nil {
		t.Logf("the program is in %s", file)
	}
}

// A generator writes one program: globals, structs, functions that call only ones
// written before them, and a main that folds everything into a checksum. Signed
// sums are done in unsigned types, divisors are made odd, shifts and indices
// masked, loops bounded, so that every behaviour is defined.
type generator struct {
	*rand.Rand
	strings.Builder
	depth   int
	globals []variable
	locals  []variable
	funcs   []function
}

type variable struct {
	name  string
	typ   string
	array int // elements, a power of two; 0 for a scalar
	fixed bool
}

type function struct {
	name   string
	result string
	params []string
}

var integerTypes = []string{"uint8_t", "int8_t", "uint16_t", "int16_t", "uint32_t", "int32_t", "uint64_t", "int64_t"}

func generate(seed uint64) string {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 77))}
	g.program()
	return g.String()
}

func (g *generator) line(format string, args ...any) {
	fmt.Fprintf(g, strings.Repeat("\t", g.depth)+format+"\n", args...)
}

func (g *generator) typ() string {
	switch g.IntN(9) {
	case 0:
		return "double"
	case 1:
		return "float"
	}
	return integerTypes[g.IntN(len(integerTypes))]
}

func (g *generator) program() {
	g.line("#include <alloca.h>\n#include <setjmp.h>\n#include <stdarg.h>\n#include <stdint.h>\n#include <stdio.h>\n#include <string.h>")
	g.line("static uint64_t sum = 1;")
	g.line("static void add(uint64_t v) { sum = (sum ^ v) * 1099511628211u; }")
	g.line("static uint64_t bits(double d) { if (d != d) return 7; if (d > 1e15 || d < -1e15) return 9; return (uint64_t)(int64_t)(d * 16); }")
	g.line("struct pair { int32_t a; double b; };")
	g.line("struct mixed { uint8_t a; uint64_t b[3]; uint16_t c : 5, d : 11; float e; };")
	g.line("static jmp_buf jump;")
	g.line("static int jumps;")
	g.line("static uint64_t fold(int n, ...) { va_list ap; va_start(ap, n); uint64_t s = n; for (int i = 0; i < n; i++) s = s * 31 + (i & 1 ? bits(va_arg(ap, double)) : va_arg(ap, uint64_t)); va_end(ap); return s; }")
	for i := range 8 + g.IntN(8) {
		v := variable{name: fmt.Sprintf("g%d", i), typ: g.typ()}
		if g.IntN(3) == 0 {
			v.array = 1 << (1 + g.IntN(6))
		}
		prefix := []string{"static ", "", "static __thread ", "static volatile "}[g.IntN(4)]
		switch {
		case v.array > 0:
			g.line("%s%s %s[%d] = {%d, %d};", prefix, v.typ, v.name, v.array, g.IntN(100), g.IntN(100))
		default:
			g.line("%s%s %s = %d;", prefix, v.typ, v.name, g.IntN(200)-100)
		}
		g.globals = append(g.globals, v)
	}
	for i := range 4 + g.IntN(6) {
		g.function(i)
	}
	g.main()
}

func (g *generator) function(i int) {
	f := function{name: fmt.Sprintf("f%d", i), result: g.typ()}
	if g.IntN(6) == 0 {
		f.result = "struct pair"
	} else if g.IntN(8) == 0 {
		f.result = "struct mixed"
	}
	g.locals = nil
	var params []string
	for k := range g.IntN(12) {
		p := g.typ()
		switch g.IntN(12) {
		case 0:
			p = "struct pair"
		case 1:
			p = "struct mixed"
		default:
			g.locals = append(g.locals, variable{name: fmt.Sprintf("p%d", k), typ: p})
		}
		f.params = append(f.params, p)
		params = append(params, fmt.Sprintf("%s p%d", p, k))
	}
	list := strings.Join(params, ", ")
	if list == "" {
		list = "void"
	}
	attribute := []string{"__attribute__((noinline)) ", "", "__attribute__((noinline, noclone)) "}[g.IntN(3)]
	g.line("%sstatic %s %s(%s)\n{", attribute, f.result, f.name, list)
	g.depth++
	for k, p := range f.params {
		switch p {
		case "struct pair":
			g.line("add((uint32_t)p%d.a); add(bits(p%d.b));", k, k)
		case "struct mixed":
			g.line("add(p%d.a + p%d.b[%d] + p%d.c + p%d.d); add(bits(p%d.e));", k, k, g.IntN(3), k, k, k)
		}
	}
	g.declare()
	if g.IntN(5) == 0 {
		g.line("char *block = alloca(%d + (%s & 63));", 1+g.IntN(100), g.integer(1))
		g.line("memset(block, %s & 127, %d);", g.integer(1), 1)
		g.line("add(block[0]);")
	}
	if g.IntN(6) == 0 {
		g.line("char aligned[64] __attribute__((aligned(%d)));", 32<<g.IntN(2))
		g.line("memset(aligned, %s & 127, 64);", g.integer(1))
		g.line("add(aligned[%s & 63] + ((uintptr_t)aligned & 31));", g.integer(1))
	}
	for range 2 + g.IntN(6) {
		g.statement(3)
	}
	switch f.result {
	case "struct pair":
		g.line("return (struct pair){(int32_t)(uint32_t)(%s), %s};", g.integer(2), g.float(2))
	case "struct mixed":
		g.line("return (struct mixed){(uint8_t)(%s), {%s, %s, 3}, (%s) & 31, 77, (float)(%s)};", g.integer(1), g.integer(1), g.integer(2), g.integer(1), g.float(1))
	case "double", "float":
		g.line("return %s;", g.float(2))
	default:
		g.line("return (%s)(%s);", f.result, g.integer(2))
	}
	g.depth--
	g.line("}")
	g.funcs = append(g.funcs, f)
}

func (g *generator) declare() {
	for range 2 + g.IntN(5) {
		v := variable{name: fmt.Sprintf("v%d", len(g.locals)), typ: g.typ()}
		if g.IntN(4) == 0 {
			v.array = 1 << (1 + g.IntN(5))
			g.line("%s %s[%d] = {%d};", v.typ, v.name, v.array, g.IntN(50))
		} else if v.typ == "double" || v.typ == "float" {
			g.line("%s %s = %s;", v.typ, v.name, g.float(1))
		} else {
			g.line("%s %s = (%s)(%s);", v.typ, v.name, v.typ, g.integer(1))
		}
		g.locals = append(g.locals, v)
	}
}

func (g *generator) main() {
	g.locals = nil
	g.line("int main(void)\n{")
	g.depth++
	g.line("for (volatile int round = 0; round < 5; round++) {")
	g.depth++
	for range 3 + g.IntN(3) {
		g.statement(3)
	}
	for _, f := range g.funcs {
		g.fold(f)
	}
	g.line("if (setjmp(jump) == 0 && jumps < 100) { jumps++; longjmp(jump, 3); }")
	g.depth--
	g.line("}")
	for _, v := range g.globals {
		if v.array > 0 {
			g.line("for (int i = 0; i < %d; i++) add(%s);", v.array, g.asInteger(variable{name: v.name + "[i]", typ: v.typ}))
		} else {
			g.line("add(%s);", g.asInteger(v))
		}
		g.line("printf(\"%%llx\\n\", (unsigned long long)sum);")
	}
	g.line("return (int)(sum & 63);")
	g.depth--
	g.line("}")
}

// fold calls a function and adds what it returns.
func (g *generator) fold(f function) {
	call := g.call(f, 2)
	switch f.result {
	case "struct pair":
		g.line("{ struct pair r = %s; add((uint32_t)r.a); add(bits(r.b)); }", call)
	case "struct mixed":
		g.line("{ struct mixed r = %s; add(r.a + r.b[1] + r.c * r.d); add(bits(r.e)); }", call)
	case "double", "float":
		g.line("add(bits(%s));", call)
	default:
		g.line("add((uint64_t)%s);", call)
	}
}

func (g *generator) call(f function, depth int) string {
	var args []string
	for _, p := range f.params {
		switch p {
		case "struct pair":
			args = append(args, fmt.Sprintf("(struct pair){%d, %s}", g.IntN(1000), g.float(depth-1)))
		case "struct mixed":
			args = append(args, fmt.Sprintf("(struct mixed){%d, {1, %s, 3}, %d, %d, 1.5f}", g.IntN(256), g.integer(depth-1), g.IntN(32), g.IntN(2048)))
		case "double", "float":
			args = append(args, g.float(depth-1))
		default:
			args = append(args, fmt.Sprintf("(%s)(%s)", p, g.integer(depth-1)))
		}
	}
	return fmt.Sprintf("%s(%s)", f.name, strings.Join(args, ", "))
}

func (g *generator) variables() []variable {
	return append(append([]variable{}, g.globals...), g.locals...)
}

// place chooses something that can be assigned.
func (g *generator) place(depth int) variable {
	list := g.variables()
	v := list[g.IntN(len(list))]
	for v.fixed {
		v = list[g.IntN(len(list))]
	}
	if v.array > 0 {
		v.name = fmt.Sprintf("%s[(%s) & %d]", v.name, g.integer(depth-1), v.array-1)
		v.array = 0
	}
	return v
}

func (g *generator) asInteger(v variable) string {
	if v.typ == "double" || v.typ == "float" {
		return "bits(" + v.name + ")"
	}
	return "(uint64_t)" + v.name
}

// integer writes an expression of type uint64_t.
func (g *generator) integer(depth int) string {
	if depth <= 0 || g.IntN(8) == 0 {
		switch g.IntN(4) {
		case 0:
			return fmt.Sprintf("%dull", g.Uint64()>>g.IntN(64))
		case 1:
			return fmt.Sprintf("%du", g.IntN(100))
		}
		list := g.variables()
		v := list[g.IntN(len(list))]
		if v.array > 0 {
			v.name = fmt.Sprintf("%s[%d]", v.name, g.IntN(v.array))
		}
		return g.asInteger(v)
	}
	a, b := g.integer(depth-1), g.integer(depth-1)
	t := integerTypes[g.IntN(len(integerTypes))]
	switch g.IntN(22) {
	case 0, 1:
		return fmt.Sprintf("(%s + %s)", a, b)
	case 2:
		return fmt.Sprintf("(%s - %s)", a, b)
	case 3:
		return fmt.Sprintf("(%s * %s)", a, b)
	case 4:
		return fmt.Sprintf("(%s / (%s | 1))", a, b)
	case 5:
		return fmt.Sprintf("(%s %% (%s | 1))", a, b)
	case 6:
		return fmt.Sprintf("(%s & %s)", a, b)
	case 7:
		return fmt.Sprintf("(%s ^ %s)", a, b)
	case 8:
		return fmt.Sprintf("(%s << (%s & 63))", a, b)
	case 9:
		return fmt.Sprintf("(%s >> (%s & 63))", a, b)
	case 10:
		return fmt.Sprintf("(uint64_t)((%s)%s < (%s)%s)", t, a, t, b)
	case 11:
		return fmt.Sprintf("(uint64_t)((%s)%s == (%s)%s)", t, a, t, b)
	case 12:
		return fmt.Sprintf("(%s ? %s : %s)", a, b, g.integer(depth-1))
	case 13:
		return fmt.Sprintf("(uint64_t)(%s)%s", t, a)
	case 14:
		return fmt.Sprintf("(uint64_t)(%s && %s)", a, b)
	case 15:
		return fmt.Sprintf("(uint64_t)((uint32_t)%s / (uint32_t)(%du))", a, 1+g.IntN(300))
	case 16:
		return fmt.Sprintf("(uint64_t)((int32_t)(uint32_t)%s / %d)", a, []int{3, 7, 10, -5, 100, 16, -8}[g.IntN(7)])
	case 17:
		return fmt.Sprintf("(uint64_t)__builtin_popcountll(%s)", a)
	case 18:
		return fmt.Sprintf("(uint64_t)((unsigned __int128)%s * %s >> %d)", a, b, g.IntN(127))
	case 19:
		return fmt.Sprintf("(uint64_t)((int64_t)%s >> %d)", a, g.IntN(63))
	case 20:
		return fmt.Sprintf("fold(4, %s, %s, %s, %s)", a, g.float(depth-1), b, g.float(depth-1))
	}
	if len(g.funcs) > 0 && depth >= 2 {
		f := g.funcs[g.IntN(len(g.funcs))]
		switch f.result {
		case "struct pair":
			return fmt.Sprintf("(uint64_t)%s.a", g.call(f, depth-1))
		case "struct mixed":
			return fmt.Sprintf("%s.b[%d]", g.call(f, depth-1), g.IntN(3))
		case "double", "float":
			return fmt.Sprintf("bits(%s)", g.call(f, depth-1))
		}
		return fmt.Sprintf("(uint64_t)%s", g.call(f, depth-1))
	}
	return fmt.Sprintf("~%s", a)
}

// float writes an expression of type double whose value is exact or rounded the
// same way on both sides.
func (g *generator) float(depth int) string {
	if depth <= 0 || g.IntN(6) == 0 {
		return fmt.Sprintf("%d.%d", g.IntN(1000), g.IntN(100))
	}
	a, b := g.float(depth-1), g.float(depth-1)
	switch g.IntN(7) {
	case 0:
		return fmt.Sprintf("(%s + %s)", a, b)
	case 1:
		return fmt.Sprintf("(%s - %s)", a, b)
	case 2:
		return fmt.Sprintf("(double)(float)(%s * 0.5)", a)
	case 3:
		return fmt.Sprintf("(double)(int32_t)(%s & 0xffffff)", g.integer(depth-1))
	case 4:
		return fmt.Sprintf("(double)(%s >> 20)", g.integer(depth-1))
	case 5:
		return fmt.Sprintf("(%s < %s ? %s : %s)", a, b, b, a)
	}
	return fmt.Sprintf("(%s / 3.0)", a)
}

func (g *generator) statement(depth int) {
	choice := g.IntN(14)
	if depth <= 0 && choice > 4 {
		choice = g.IntN(5)
	}
	switch choice {
	case 0, 1, 2:
		v := g.place(2)
		switch {
		case v.typ == "double" || v.typ == "float":
			g.line("%s = %s;", v.name, g.float(3))
		case g.IntN(3) == 0:
			g.line("%s %s= (%s)(%s);", v.name, []string{"^", "|", "&"}[g.IntN(3)], v.typ, g.integer(3))
		default:
			g.line("%s = (%s)(%s);", v.name, v.typ, g.integer(3))
		}
	case 3:
		g.line("add(%s);", g.integer(3))
	case 4:
		if v := g.place(2); v.typ != "double" && v.typ != "float" && !strings.HasPrefix(v.typ, "int") {
			g.line("%s%s;", v.name, []string{"++", "--"}[g.IntN(2)])
		}
	case 5, 6:
		g.line("if (%s) {", g.integer(2))
		g.block(depth - 1)
		if g.IntN(2) == 0 {
			g.line("} else {")
			g.block(depth - 1)
		}
		g.line("}")
	case 7, 8:
		name := fmt.Sprintf("i%d", len(g.locals))
		g.line("for (uint32_t %s = 0; %s < %d; %s++) {", name, name, 1+g.IntN(9), name)
		g.locals = append(g.locals, variable{name: name, typ: "uint32_t", fixed: true})
		g.block(depth - 1)
		if g.IntN(4) == 0 {
			g.line("\tif ((%s) %% 5 == 3) %s;", g.integer(1), []string{"break", "continue"}[g.IntN(2)])
		}
		g.locals = g.locals[:len(g.locals)-1]
		g.line("}")
	case 9:
		g.line("switch ((%s) %% %d) {", g.integer(2), 3+g.IntN(9))
		for k := range 2 + g.IntN(9) {
			g.line("case %d:", k)
			g.block(depth - 2)
			if g.IntN(4) > 0 {
				g.line("\tbreak;")
			}
		}
		g.line("default: add(5);")
		g.line("}")
	case 10:
		list := g.variables()
		v := list[g.IntN(len(list))]
		if v.array > 0 {
			g.line("for (int k = 0; k < %d; k++) add(%s * (k + 1));", v.array, g.asInteger(variable{name: v.name + "[k]", typ: v.typ}))
		}
	case 11:
		if len(g.funcs) > 0 {
			g.fold(g.funcs[g.IntN(len(g.funcs))])
		}
	case 12:
		g.line("{ static const void *const to[] = {&&a%[1]d, &&b%[1]d, &&c%[1]d}; goto *to[(%[2]s) %% 3]; a%[1]d: add(1); b%[1]d: add(2); c%[1]d: add(3); }", g.Len(), g.integer(1))
	case 13:
		g.line("{ int32_t x[4] = {1, (int32_t)(uint32_t)(%s), 3, 4}, *q = &x[(%s) & 1]; q[1] ^= q[0]; q += 1; add((uint32_t)*q); struct mixed m, n; memset(&m, 3, sizeof m); m.c = (%s) & 31; n = m; add(n.c + n.b[2]); }", g.integer(1), g.integer(1), g.integer(1))
	}
}

func (g *generator) block(depth int) {
	g.depth++
	n := len(g.locals)
	for range 1 + g.IntN(3) {
		g.statement(depth)
	}
	g.locals = g.locals[:n]
	g.depth--
}
