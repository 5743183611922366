package validator

// Rule is the identifier of a rule, the same in code, documentation, tests and
// error messages.
type Rule string

// A ruleID is a Rule in one byte; 0 is "no rule is broken".
type ruleID uint8

const (
	ruleNone ruleID = iota

	ruleOpcode // no such instruction, or none that we know
	rulePrefix
	ruleLock
	ruleRex
	ruleVex
	ruleBundle

	ruleMemSegment
	ruleMemRIP
	ruleMemRange
	ruleMemFS
	ruleMoffs
	ruleVsib
	ruleString
	ruleImplicit

	ruleRSP
	ruleR15

	ruleJumpIndirect
	ruleJumpRange
	ruleJumpTarget
	ruleRet
	ruleFar

	ruleStack
	ruleSyscall
	ruleSegment
	ruleState
	rulePrivileged
	ruleCache
	ruleIdentity
	ruleRandom
	ruleTsx
	ruleVendor

	// Of the NaCl ABIs only.
	ruleNaCl
	ruleMasked
	ruleMemBase
	ruleMemIndex
	ruleSPWrite
	ruleBPWrite
	ruleSPAlone
	ruleBPAlone
	ruleSPFix
	ruleBPFix
	ruleNonTemporal

	// Of all.
	ruleFeature
	ruleReplace
	ruleReplaceUnit
	ruleReplaceStart

	ruleCount
)

// Verdicts of the NaCl columns of the table that are no rule of the halite
// ABI: they lie above the rule identifiers.
const (
	verdictNo ruleID = 0x80 + iota
	verdictOff
	verdictRewrite
	verdictSequence
)

// ruleText gives each rule its identifier and the sentence that an error ends
// with: why, and what to do about it.
var ruleText = [ruleCount]struct {
	name Rule
	text string
}{
	ruleNone:   {"", ""},
	ruleOpcode: {"V-OPCODE", "no instruction that the ABI accepts has this encoding; the bytes may be data in the text, or an extension (AVX-512, XOP) to be switched off in the compiler"},
	rulePrefix: {"V-PREFIX", "a prefix that this instruction does not take, or twice, or out of the order 65|64 67 66 f0|f2|f3 REX; assemble it with the toolchain's assembler"},
	ruleLock:   {"V-LOCK", "lock is for read-modify-write instructions with a memory destination; drop the prefix"},
	ruleRex:    {"V-REX", "REX bits that the instruction does not use, or REX where none may stand; use the canonical encoding"},
	ruleVex:    {"V-VEX", "VEX behind other prefixes, or with fields set that the instruction does not use; use the canonical encoding"},
	ruleBundle: {"V-BUNDLE", "the instruction crosses the end of its 32-byte bundle or of the text; align it with .bundle_align_mode 5"},

	ruleMemSegment: {"V-MEM-SEG", "data access without %gs: and a 32-bit address; write %gs:disp(%e..), as halite cc does"},
	ruleMemRIP:     {"V-MEM-RIP", "%rip-relative operand with a segment or address-size prefix, which would change what it reaches; drop the prefix"},
	ruleMemRange:   {"V-MEM-RANGE", "%rip-relative operand outside the sandbox at this load offset; refer to a symbol of the same image"},
	ruleMemFS:      {"V-MEM-FS", "the only %fs: access is `mov %fs:0x10,%r32`, the thread pointer (at the displacement that the loader uses)"},
	ruleMoffs:      {"V-MEM-MOFFS", "absolute address in the instruction; write %gs:sym(,%eiz,1)"},
	ruleVsib:       {"V-MEM-VSIB", "vector of addresses (gather); compile with -mno-gather or load the elements one by one"},
	ruleString:     {"V-MEM-STRING", "string instructions address %es:, which no prefix replaces; call memcpy, memset or their kind"},
	ruleImplicit:   {"V-MEM-IMPLICIT", "accesses memory that its operands do not bound; use loads and stores with explicit addresses"},

	ruleRSP: {"V-RSP", "names the control stack pointer, which only call and ret may use; the data stack is %r14"},
	ruleR15: {"V-R15", "writes %r15, the sandbox base; compile with -ffixed-r15"},

	ruleJumpIndirect: {"V-JUMP-INDIRECT", "indirect branch outside the unit `and $-32,%eN; add %r15,%rN; jmp|call *%rN` in one bundle"},
	ruleJumpRange:    {"V-JUMP-RANGE", "branch out of the text to a place that is not 32-byte aligned or not in the sandbox at this load offset"},
	ruleJumpTarget:   {"V-JUMP-TARGET", "branch into the middle of an instruction or of an indirect jump unit"},
	ruleRet:          {"V-RET", "only the one-byte ret (c3) leaves the control stack as call left it"},
	ruleFar:          {"V-INSN-FAR", "far transfer: changes %cs"},

	ruleStack:       {"V-INSN-STACK", "reads, writes or moves the control stack; use the data stack, %r14"},
	ruleSyscall:     {"V-INSN-SYSCALL", "enters the kernel past the runtime; call a trampoline slot"},
	ruleSegment:     {"V-INSN-SEGMENT", "reads or writes a segment register or base; %gs holds the sandbox"},
	ruleState:       {"V-INSN-STATE", "loads or stores processor state that belongs to the host"},
	rulePrivileged:  {"V-INSN-PRIVILEGED", "privileged or for operating systems"},
	ruleCache:       {"V-INSN-CACHE", "flushes, bypasses or hints past the cache, a tool for disturbing memory rows; use plain loads, stores and prefetcht0"},
	ruleIdentity:    {"V-INSN-IDENTITY", "tells which processor runs the guest"},
	ruleRandom:      {"V-INSN-RANDOM", "hardware random numbers; ask the runtime (getrandom)"},
	ruleTsx:         {"V-INSN-TSX", "transactional memory"},
	ruleNaCl:        {"V-INSN-NACL", "not in the instruction set of NaCl; compile for an older processor"},
	ruleMasked:      {"V-INSN-MASKED", "an extension that NaCl's validator masks off on every processor; switch it off in the compiler"},
	ruleMemBase:     {"V-MEM-BASE", "memory operand whose base is not %r15, %rsp, %rbp or %rip; write disp(%r15,%rN) behind an instruction that zero-extends %rN"},
	ruleMemIndex:    {"V-MEM-INDEX", "memory operand whose index was not zero-extended by the instruction just before it in the same bundle; write to its 32-bit half there"},
	ruleSPWrite:     {"V-SP-WRITE", "writes %rsp in a way that may leave the sandbox; write %esp, and add %r15 to %rsp right behind"},
	ruleBPWrite:     {"V-BP-WRITE", "writes %rbp in a way that may leave the sandbox; write %ebp, and add %r15 to %rbp right behind"},
	ruleSPAlone:     {"V-SP-ALONE", "%esp was written by the instruction before, and this one does not add %r15 to %rsp; keep the two together in one bundle"},
	ruleBPAlone:     {"V-BP-ALONE", "%ebp was written by the instruction before, and this one does not add %r15 to %rbp; keep the two together in one bundle"},
	ruleSPFix:       {"V-SP-FIX", "adds %r15 to %rsp although the instruction before did not write %esp"},
	ruleBPFix:       {"V-BP-FIX", "adds %r15 to %rbp although the instruction before did not write %ebp"},
	ruleNonTemporal: {"V-NONTEMPORAL", "non-temporal instruction, a tool for disturbing memory rows; it is replaced in text that is loaded by copying"},
	ruleFeature:     {"V-FEATURE", "needs a feature that this processor lacks; compile for an older processor"},

	ruleReplace:      {"V-REPLACE", "running code may change the immediates and displacements of mov and the distance of call, and nothing else"},
	ruleReplaceUnit:  {"V-REPLACE-UNIT", "running code may neither change nor gain nor lose an indirect jump unit, in which a thread may be"},
	ruleReplaceStart: {"V-REPLACE-START", "here an instruction begins in the old code or in the new, but not in both; threads return to and resume at the old ones"},

	ruleVendor: {"V-INSN-VENDOR", "of one maker's processors only (3DNow!, SSE4A, FMA4, XOP, TBM, LWP, SVM)"},
}

// naclText replaces the sentence of a rule where the NaCl ABIs give other
// advice.
var naclText = [ruleCount]string{
	rulePrefix:       "a prefix that this instruction does not take, twice, or behind REX",
	ruleRex:          "REX where none may stand; drop it",
	ruleString:       "string instruction without the moves that bring %rsi and %rdi into the sandbox, in the same bundle",
	ruleImplicit:     "accesses memory that its operands do not bound; put the address into %rdi behind `mov %edi,%edi; lea (%r15,%rdi),%rdi`",
	ruleJumpIndirect: "indirect branch outside the unit `and $-32,%eN; add %r15,%rN; jmp|call *%rN` (x86-32: without the add) in one bundle",
	ruleJumpRange:    "branch out of the text to a place that is not 32-byte aligned",
	ruleJumpTarget:   "branch into the middle of an instruction or a unit, or to an instruction that depends on the one before it",
	ruleRet:          "returns are `pop %rN` and an indirect jump unit, as compilers for NaCl write them",
	ruleStack:        "reads, writes or moves the stack past the sandbox's rules",
	ruleSegment:      "reads or writes a segment register or base",
	ruleR15:          "writes %r15, the sandbox base",
	ruleCache:        "flushes, bypasses or hints past the cache, a tool for disturbing memory rows",
	ruleMoffs:        "absolute 64-bit address in the instruction",
	ruleRandom:       "hardware random numbers",
	ruleVex:          "VEX behind other prefixes, or with fields set that the instruction does not use; use the canonical encoding",
}

// Rules lists the identifiers of all rules.
func Rules() []Rule {
	var l []Rule
	for _, r := range ruleText[1:] {
		l = append(l, r.name)
	}
	return l
}
