package sfi

import (
	"slices"
	"strings"
	"sync"
)

// class says how the pass treats a mnemonic.
type class uint8

const (
	cUnknown class = iota
	cPlain         // nothing but its operands matters
	cMov
	cMovabs
	cLea
	cAdd
	cSub
	cAnd
	cCmp  // reads both operands, writes none
	cXchg // writes both operands
	cPush
	cPop
	cCall
	cJmp
	cJcc // conditional, loop and jrcxz
	cRet
	cLeave
	cEnd // a trap: may not continue behind it
	cNop
	cPrefetch
	cEndbr
	cSyscall
	cBt
	cString
	cPause
	cRdtscp
	cRefuse
)

// Prefix bits.
const (
	pfxLock = 1 << iota
	pfxRep
	pfxRepne
	pfxNotrack
	pfxData16
	pfxRex
	pfxVex // {vex} and the like, printed in front
	pfxBnd
)

var prefixes = map[string]uint8{
	"lock": pfxLock, "rep": pfxRep, "repe": pfxRep, "repz": pfxRep, "repne": pfxRepne, "repnz": pfxRepne,
	"notrack": pfxNotrack, "data16": pfxData16, "rex64": pfxRex, "rex.w": pfxRex, "rex": pfxRex, "bnd": pfxBnd,
	"xacquire": pfxRepne, "xrelease": pfxRep,
	"{vex}": pfxVex, "{vex2}": pfxVex, "{vex3}": pfxVex, "{disp8}": pfxVex, "{disp32}": pfxVex, "{load}": pfxVex, "{store}": pfxVex,
}

type mnemonic struct {
	class class
	why   string // cRefuse: the reason
	as    string // the mnemonic to print for it, when not its own
	two   bool   // with more than two operands it is another instruction (APX)
}

// mnemonics is made when it is first asked for: the halite command, which has the
// pass in it, mostly runs something else.
var mnemonics = sync.OnceValue(func() map[string]mnemonic {
	m := map[string]mnemonic{}
	set := func(c class, names ...string) {
		for _, n := range names {
			m[n] = mnemonic{class: c}
		}
	}
	refuse := func(why string, names ...string) {
		for _, n := range names {
			m[n] = mnemonic{class: cRefuse, why: why}
		}
	}
	sizes := func(c class, names ...string) {
		for _, n := range names {
			set(c, n, n+"b", n+"w", n+"l", n+"q")
		}
	}
	for n := range plainMnemonics() {
		m[n] = mnemonic{class: cPlain}
	}
	sizes(cMov, "mov")
	set(cMovabs, "movabs", "movabsq", "movabsl", "movabsw", "movabsb")
	set(cLea, "lea", "leaq", "leal", "leaw")
	sizes(cAdd, "add")
	sizes(cSub, "sub")
	sizes(cAnd, "and")
	sizes(cCmp, "cmp", "test")
	sizes(cXchg, "xchg", "xadd", "cmpxchg")
	set(cPush, "push", "pushq")
	set(cPop, "pop", "popq")
	set(cCall, "call", "callq")
	set(cJmp, "jmp", "jmpq")
	for _, cc := range []string{"o", "no", "b", "nae", "c", "nb", "ae", "nc", "z", "e", "nz", "ne", "be", "na", "nbe", "a", "s", "ns", "p", "pe", "np", "po", "l", "nge", "nl", "ge", "le", "ng", "nle", "g"} {
		set(cJcc, "j"+cc)
		sizes(cPlain, "cmov"+cc)
		set(cPlain, "set"+cc, "set"+cc+"b")
		delete(m, "cmov"+cc+"b")
	}
	set(cPlain, "cmovb", "cmovnb")
	set(cJcc, "jrcxz", "jecxz", "loop", "loope", "loopne", "loopz", "loopnz")
	set(cRet, "ret", "retq")
	set(cLeave, "leave", "leaveq")
	set(cEnd, "ud2", "ud2a", "hlt", "int3")
	set(cNop, "nop", "nopw", "nopl", "nopq")
	set(cPrefetch, "prefetcht0", "prefetcht1", "prefetcht2", "prefetchw", "prefetch")
	set(cEndbr, "endbr64", "endbr32")
	set(cSyscall, "syscall")
	sizes(cBt, "bt", "bts", "btr", "btc")
	for _, n := range []string{"movs", "stos", "lods", "cmps", "scas"} {
		set(cString, n+"b", n+"w", n+"l", n+"q")
	}
	set(cString, "movsd", "cmpsd") // or SSE, told apart by their operands
	set(cPause, "pause")
	set(cRdtscp, "rdtscp")

	for _, n := range []string{"add", "adc", "sub", "sbb", "and", "or", "xor", "neg", "not", "inc", "dec", "rol", "ror", "rcl", "rcr", "shl", "sal", "shr", "sar", "adcx", "adox", "cmp", "test", "popcnt", "lzcnt", "tzcnt", "movbe"} {
		for _, s := range []string{"", "b", "w", "l", "q"} {
			if x, ok := m[n+s]; ok {
				x.two = true
				m[n+s] = x
			}
		}
	}
	for n, x := range m {
		if strings.HasPrefix(n, "cmov") {
			x.two = true
			m[n] = x
		}
	}
	// A non-temporal move becomes an ordinary one: it could be used to hammer
	// memory past the caches.
	for from, to := range map[string]string{
		"movntdq": "movdqa", "movntps": "movaps", "movntpd": "movapd", "movntdqa": "movdqa", "movntq": "movq",
		"vmovntdq": "vmovdqa", "vmovntps": "vmovaps", "vmovntpd": "vmovapd", "vmovntdqa": "vmovdqa",
		"movnti": "mov", "movntil": "movl", "movntiq": "movq",
	} {
		m[from] = mnemonic{class: cPlain, as: to}
	}
	m["prefetchnta"] = mnemonic{class: cPrefetch, as: "prefetcht0"}
	refuse("string operations always go upwards", "std")
	refuse("the flags register goes over the control stack", "pushf", "pushfq", "pushfw", "popf", "popfq", "popfw")
	refuse("16-bit pushes are not supported", "pushw", "popw")
	refuse("privileged, or a way into the kernel", "int", "int1", "icebp", "into", "sysenter", "sysexit", "sysret", "sysretq", "iret", "iretq", "iretl", "in", "inb", "inw", "inl", "out", "outb", "outw", "outl", "ins", "insb", "insw", "insl", "outs", "outsb", "outsw", "outsl", "cli", "sti", "lgdt", "lidt", "lldt", "ltr", "lmsw", "rdmsr", "wrmsr", "rdpmc", "invd", "wbinvd", "invlpg", "swapgs", "clts", "vmcall", "vmmcall", "monitor", "mwait")
	refuse("segment bases belong to the sandbox", "rdfsbase", "rdfsbasel", "rdfsbaseq", "rdgsbase", "rdgsbasel", "rdgsbaseq", "wrfsbase", "wrfsbasel", "wrfsbaseq", "wrgsbase", "wrgsbasel", "wrgsbaseq")
	refuse("far branches are not allowed", "lcall", "lcallq", "lcalll", "ljmp", "ljmpq", "ljmpl", "lret", "lretq", "lretl", "lretw", "retf")
	refuse("its memory operand can't be sandboxed", "xlat", "xlatb", "maskmovq", "maskmovdqu", "vmaskmovdqu", "enter", "enterq", "movdir64b", "enqcmd", "clzero", "umonitor")
	refuse("the state that it loads is not the guest's alone", "xrstor", "xrstor64", "xrstors", "xrstors64", "xsetbv", "fxrstor", "fxrstor64", "wrpkru")
	refuse("it tells or changes what belongs to the host", "rdpid", "xsave", "xsave64", "xsavec", "xsavec64", "xsaveopt", "xsaveopt64", "fxsave", "fxsave64", "xgetbv")
	refuse("hardware random numbers are not the guest's: use getrandom", "rdrand", "rdrandw", "rdrandl", "rdrandq", "rdseed", "rdseedw", "rdseedl", "rdseedq")
	refuse("flushing cache lines is not allowed", "clflush", "clflushopt", "clwb")
	refuse("restartable transactions are not allowed", "xbegin", "xend", "xabort")
	refuse("short branches by 16-bit registers do not exist", "jcxz")
	return m
})

// lockable reports whether the processor takes a lock prefix on the instruction.
// The assembler takes it anywhere.
func lockable(op string, ops []operand) bool {
	if len(ops) == 0 {
		return false
	}
	to := &ops[len(ops)-1]
	switch {
	case op == "cmpxchg8b" || op == "cmpxchg16b":
		return to.kind == opMem
	case strings.HasPrefix(op, "xchg") && ops[0].kind == opMem:
		return true // its operands may stand in either order
	}
	return to.kind == opMem && among(op, lockStems)
}

var (
	lockStems  = []string{"add", "adc", "sub", "sbb", "and", "or", "xor", "not", "neg", "inc", "dec", "xadd", "xchg", "cmpxchg", "btc", "btr", "bts"}
	unaryStems = []string{"not", "neg", "inc", "dec"}
	shiftStems = []string{"rol", "ror", "rcl", "rcr", "shl", "sal", "shr", "sar"}
)

// among reports whether op is one of the stems, with or without a size.
func among(op string, stems []string) bool {
	if slices.Contains(stems, op) {
		return true
	}
	i := len(op) - 1
	return i > 0 && strings.IndexByte("bwlq", op[i]) >= 0 && slices.Contains(stems, op[:i])
}

// returnsTwice names the functions that return a second time, through longjmp
// or its like, for code that was compiled without -fcf-protection=branch.
var returnsTwice = map[string]bool{
	"setjmp": true, "_setjmp": true, "__setjmp": true, "sigsetjmp": true, "__sigsetjmp": true,
	"savectx": true, "vfork": true, "getcontext": true,
}
