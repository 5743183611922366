package validator

import (
	"debug/elf"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/arch/x86/x86asm"
)

// typicalCode has the mix of instructions that compiled programs have after
// the assembly pass: a third of them access memory.
var typicalCode = [][]byte{
	{0x65, 0x67, 0x48, 0x8b, 0x45, 0x08},       // mov %gs:8(%ebp),%rax
	{0x65, 0x67, 0x8b, 0x44, 0x88, 0x10},       // mov %gs:16(%eax,%ecx,4),%eax
	{0x65, 0x67, 0x49, 0x89, 0x46, 0x18},       // mov %rax,%gs:24(%r14d)
	{0x65, 0x67, 0xc7, 0x43, 0x04, 1, 0, 0, 0}, // movl $1,%gs:4(%ebx)
	{0x65, 0x67, 0xf2, 0x0f, 0x10, 0x03},       // movsd %gs:(%ebx),%xmm0
	{0x48, 0x89, 0xc3},                         // mov %rax,%rbx
	{0x89, 0xd9},                               // mov %ebx,%ecx
	{0x48, 0x01, 0xc8},                         // add %rcx,%rax
	{0x83, 0xc1, 0x01},                         // add $1,%ecx
	{0x85, 0xc0},                               // test %eax,%eax
	{0x31, 0xc0},                               // xor %eax,%eax
	{0x48, 0x39, 0xc8},                         // cmp %rcx,%rax
	{0x8d, 0x44, 0x11, 0x04},                   // lea 4(%rcx,%rdx,1),%eax
	{0x40, 0x8d, 0x05, 0x00, 0x10, 0x00, 0x00}, // lea sym(%rip),%eax
	{0xb8, 1, 0, 0, 0},                         // mov $1,%eax
	{0x0f, 0xb6, 0xc9},                         // movzbl %cl,%ecx
	{0x48, 0xc1, 0xe0, 0x03},                   // shl $3,%rax
	{0xf2, 0x0f, 0x58, 0xc1},                   // addsd %xmm1,%xmm0
	{0xc5, 0xfd, 0x58, 0xc1},                   // vaddpd %ymm1,%ymm0,%ymm0
	{0x0f, 0x1f, 0x44, 0x00, 0x00},             // nopl
	{0x41, 0x83, 0xc6, 0xd0},                   // add $-48,%r14d
	{0xc3},                                     // ret
	{0x41, 0x83, 0xe3, 0xe0, 0x4d, 0x01, 0xfb, 0x41, 0xff, 0xe3}, // the unit
	{0x74, 0x00}, // je, to a start chosen below
	{0x75, 0x00},
	{0xe8, 0, 0, 0, 0}, // call
	{0xe9, 0, 0, 0, 0},
}

// classicCode is the same for the classic ABI.
var classicCode = [][]byte{
	{0x89, 0xc0, 0x41, 0x8b, 0x44, 0x07, 0x08},       // mov %eax,%eax; mov 8(%r15,%rax),%eax
	{0x89, 0xdb, 0x45, 0x89, 0x64, 0x1f, 0x10},       // mov %ebx,%ebx; mov %r12d,16(%r15,%rbx)
	{0x44, 0x89, 0xe8, 0x49, 0x8b, 0x4c, 0xc7, 0x18}, // mov %r13d,%eax; mov 24(%r15,%rax,8),%rcx
	{0x8b, 0x44, 0x24, 0x1c},                         // mov 28(%rsp),%eax
	{0x48, 0x89, 0x5c, 0x24, 0x28},                   // mov %rbx,40(%rsp)
	{0xf2, 0x0f, 0x10, 0x44, 0x24, 0x10},             // movsd 16(%rsp),%xmm0
	{0x83, 0xec, 0x28, 0x4c, 0x01, 0xfc},             // sub $40,%esp; add %r15,%rsp
	{0x48, 0x89, 0xc3}, {0x89, 0xd9}, {0x48, 0x01, 0xc8}, {0x83, 0xc1, 0x01}, {0x85, 0xc0}, {0x31, 0xc0},
	{0x8d, 0x44, 0x11, 0x04}, {0xb8, 1, 0, 0, 0}, {0x0f, 0xb6, 0xc9}, {0x48, 0xc1, 0xe0, 0x03},
	{0xf2, 0x0f, 0x58, 0xc1}, {0x0f, 0x1f, 0x44, 0x00, 0x00}, {0x66, 0x90}, {0x53}, {0x41, 0x5c},
	{0x41, 0x83, 0xe3, 0xe0, 0x4d, 0x01, 0xfb, 0x41, 0xff, 0xe3}, // the unit
	{0x74, 0x00}, {0x75, 0x00}, {0xe8, 0, 0, 0, 0}, {0xe9, 0, 0, 0, 0},
}

// code32 is the same for x86-32.
var code32 = [][]byte{
	{0x8b, 0x45, 0x08}, {0x8b, 0x44, 0x88, 0x10}, {0x89, 0x44, 0x24, 0x18}, {0xc7, 0x43, 0x04, 1, 0, 0, 0},
	{0xf2, 0x0f, 0x10, 0x03}, {0x89, 0xd9}, {0x01, 0xc8}, {0x83, 0xc1, 0x01}, {0x85, 0xc0}, {0x31, 0xc0},
	{0x8d, 0x44, 0x11, 0x04}, {0x8b, 0x05, 0, 0x10, 0, 0}, {0xb8, 1, 0, 0, 0}, {0x0f, 0xb6, 0xc9}, {0xc1, 0xe0, 0x03},
	{0xf2, 0x0f, 0x58, 0xc1}, {0x0f, 0x1f, 0x44, 0x00, 0x00}, {0x66, 0x90}, {0x53}, {0x5d}, {0x40},
	{0x83, 0xe0, 0xe0, 0xff, 0xe0}, {0x74, 0x00}, {0x75, 0x00}, {0xe8, 0, 0, 0, 0}, {0xe9, 0, 0, 0, 0},
}

// syntheticText returns valid code of the halite ABI of size bytes, the same
// every time.
func syntheticText(size int) []byte { return syntheticCode(typicalCode, size) }

func syntheticCode(typical [][]byte, size int) []byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	text := make([]byte, 0, size)
	var starts []int
	type fix struct{ at, n int }
	var fixes []fix
	for len(text) < size-2*BundleSize {
		c := typical[rnd.IntN(len(typical))]
		if room := BundleSize - len(text)%BundleSize; len(c) > room {
			text = append(text, nops(1)[:room]...)
		}
		starts = append(starts, len(text))
		if c[0] == 0x74 || c[0] == 0x75 || c[0] == 0xe8 || c[0] == 0xe9 {
			fixes = append(fixes, fix{len(text), len(c)})
		}
		text = append(text, c...)
	}
	text = append(text, nops(3)...)[:size]
	for _, f := range fixes {
		end := f.at + f.n
		if f.n == 2 {
			// Forward by a few instructions at most: search for a start in reach.
			to := end
			for _, s := range starts[search(starts, end):] {
				if s-end > 100 {
					break
				}
				to = s
			}
			text[f.at+1] = byte(to - end)
			continue
		}
		d := uint32(int32(starts[rnd.IntN(len(starts))] - end))
		text[f.at+1], text[f.at+2], text[f.at+3], text[f.at+4] = byte(d), byte(d>>8), byte(d>>16), byte(d>>24)
	}
	return text
}

func search(l []int, x int) int {
	lo, hi := 0, len(l)
	for lo < hi {
		if m := (lo + hi) / 2; l[m] < x {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}

// cpuTime is the time that this process has computed, which other processes on
// a busy machine do not lengthen as they do the wall clock's.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// throughput runs f, which goes over size bytes, and reports three rates: the
// wall clock's, the processor time's, and that of the fastest run, which a busy
// machine disturbs least.
func throughput(b *testing.B, size int, f func()) {
	b.SetBytes(int64(size))
	b.ReportAllocs()
	best := time.Duration(1 << 62)
	start := cpuTime()
	for b.Loop() {
		t := time.Now()
		f()
		best = min(best, time.Since(t))
	}
	if d := cpuTime() - start; d > 0 {
		b.ReportMetric(float64(size)*float64(b.N)/1e6/d.Seconds(), "cpu-MB/s")
	}
	b.ReportMetric(float64(size)/1e6/best.Seconds(), "best-MB/s")
}

const benchText = 4 << 20

// BenchmarkValidate prints the throughput on synthetic code of each ABI, by one
// goroutine and by two, and next to it that of a disassembler that decodes the
// first one's bytes.
func BenchmarkValidate(b *testing.B) {
	text := syntheticText(benchText)
	for _, c := range []struct {
		abi  ABI
		text []byte
	}{{Halite, text}, {Classic, syntheticCode(classicCode, benchText)}, {X86_32, syntheticCode(code32, benchText)}} {
		for workers := 1; workers <= 2; workers++ {
			b.Run(fmt.Sprintf("%v/%d", c.abi, workers), func(b *testing.B) {
				throughput(b, len(c.text), func() {
					if r, err := Validate(c.text, Options{ABI: c.abi, Offset: 0x20000, Workers: workers}); err != nil || !r.OK() {
						b.Fatal(r.Err(), err)
					}
				})
			})
		}
	}
	b.Run("x86asm.Decode", func(b *testing.B) { throughput(b, len(text), func() { decodeAll(b, text, 64) }) })
	// What two goroutines can gain on this machine: the same arithmetic by one and by two.
	var sum atomic.Uint64
	for workers := 1; workers <= 2; workers++ {
		b.Run(fmt.Sprintf("arithmetic/%d", workers), func(b *testing.B) {
			throughput(b, len(text), func() {
				var wg sync.WaitGroup
				for range workers {
					wg.Go(func() { sum.Add(arithmetic(len(text) * 8 / workers)) })
				}
				wg.Wait()
			})
		})
	}
}

//go:noinline
func arithmetic(n int) (x uint64) {
	for i := range uint64(n) {
		x = (x ^ i) * 0x9e3779b97f4a7c15
	}
	return x
}

// decodeAll decodes a text with the disassembler. What it does not know counts
// as one byte.
func decodeAll(b *testing.B, text []byte, mode int) {
	for p := 0; p < len(text); {
		inst, err := x86asm.Decode(text[p:], mode)
		if err != nil || inst.Len == 0 {
			inst.Len = 1
		}
		p += inst.Len
	}
}

// BenchmarkFile does the same for the code of a real program or library, which
// HALITE_BENCH_ELF names. Its verdict does not matter here.
func BenchmarkFile(b *testing.B) {
	name := os.Getenv("HALITE_BENCH_ELF")
	if name == "" {
		b.Skip("HALITE_BENCH_ELF names no ELF file")
	}
	f, err := elf.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	var text []byte
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && p.Flags&elf.PF_X != 0 {
			t := make([]byte, p.Filesz)
			if _, err := p.ReadAt(t, 0); err != nil {
				b.Fatal(err)
			}
			text = append(text, t...)
		}
	}
	for len(text)%BundleSize != 0 {
		text = append(text, 0xf4)
	}
	for workers := 1; workers <= 2; workers++ {
		b.Run(fmt.Sprintf("halite/%d", workers), func(b *testing.B) {
			throughput(b, len(text), func() {
				if _, err := Validate(text, Options{Offset: 0x200000, Workers: workers}); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
	b.Run("x86asm.Decode", func(b *testing.B) { throughput(b, len(text), func() { decodeAll(b, text, 64) }) })
}
