package validator

// A form is what an instruction does, as far as a validator cares. Forms are
// shared by all instructions with the same properties, in any mode.
type form struct {
	flags   formFlags
	imm     uint8     // bytes behind the operands
	verdict [3]ruleID // by ABI: 0 accepts; a rule or a verdict… constant
	need    needID    // CPU features
}

type formFlags uint64

const (
	// Which fields name general registers, which of these are written, and
	// which are 8 bits wide (where 4 to 7 without REX mean %ah and its kind).
	// An instruction that reads and writes counts as writing.
	fRegGPR formFlags = 1 << iota
	fRegWritten
	fReg8
	fRmGPR
	fRmWritten
	fRm8
	fOpGPR
	fOpWritten
	fOp8
	fVexGPR
	fVexWritten

	// Which fields REX.R and REX.B (VEX.R, VEX.B) extend.
	fRegExt
	fRmExt
	fOpExt

	fMem         // a memory operand
	fAddressOnly // of which only the address is computed: lea, nop
	fHint        // prefetch: no architectural access
	fLea
	fLock    // takes the lock prefix
	fVexUsed // VEX.vvvv is an operand; otherwise it must be 1111
	fVexLoose
	fIs4    // the immediate's upper half is a register; its lower half must be 0
	fSuffix // the last byte is a 3DNow! suffix
	fNoREX
	fRel8
	fRel32
	fRet

	// Which operand, of 32 bits, the classic ABI takes for zero-extended: the
	// r/m operand, the reg operand, the one in the opcode, the accumulator.
	fZxRm
	fZxReg
	fZxOp
	fZxAcc

	fRep        // takes f3 as a repetition
	fCondRep    // takes f3 and f2
	fBranchHint // takes 2e and 3e
)

const (
	anyGPR         = fRegGPR | fRmGPR | fOpGPR | fVexGPR
	anyWritten     = fRegWritten | fRmWritten | fOpWritten | fVexWritten
	anyZeroExtends = fZxRm | fZxReg | fZxOp | fZxAcc
)
