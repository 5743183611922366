package loader

import (
	"fmt"
	"strings"

	"github.com/halite-run/halite/validator"
)

// Rule names a rule of the ELF reader. Errors, documentation and tests use the
// same identifiers.
type Rule string

// The rules. What each demands is said where it is checked.
const (
	RuleRead       Rule = "L-READ"        // the file must be readable to the length it claims
	RuleMagic      Rule = "L-EHDR-MAGIC"  // an ELF file
	RuleClass      Rule = "L-EHDR-CLASS"  // 64-bit little-endian, version 1
	RuleMachine    Rule = "L-EHDR-MACH"   // x86-64
	RuleOSABI      Rule = "L-EHDR-OSABI"  // System V or GNU
	RuleType       Rule = "L-EHDR-TYPE"   // program, shared object (or object for Verify)
	RuleEntry      Rule = "L-EHDR-ENTRY"  // a bundle start inside code
	RulePhdr       Rule = "L-PHDR"        // program header table inside the file, of the right shape
	RuleSegRange   Rule = "L-SEG-RANGE"   // inside the file and inside the sandbox
	RuleSegAlign   Rule = "L-SEG-ALIGN"   // power of two, offset and address agree
	RuleSegOrder   Rule = "L-SEG-ORDER"   // ascending, no page shared
	RuleSegWX      Rule = "L-SEG-WX"      // never writable and executable
	RuleSegText    Rule = "L-SEG-TEXT"    // code starts on a bundle and has no zero-filled tail
	RuleSegSize    Rule = "L-SEG-SIZE"    // limits on total size and count
	RuleDup        Rule = "L-PHDR-DUP"    // one PT_DYNAMIC, PT_TLS, PT_INTERP, PT_GNU_RELRO at most
	RuleInterp     Rule = "L-INTERP"      // a NUL-terminated path
	RuleTLS        Rule = "L-TLS"         // image inside data, sane size and alignment
	RuleRelro      Rule = "L-RELRO"       // inside one writable segment
	RuleNote       Rule = "L-NOTE"        // well-formed notes, known ABI version
	RuleDyn        Rule = "L-DYN"         // dynamic section well-formed
	RuleDynRange   Rule = "L-DYN-RANGE"   // tables inside the file part of a segment
	RuleDynString  Rule = "L-DYN-STR"     // string offsets inside a terminated table
	RuleDynTextrel Rule = "L-DYN-TEXTREL" // code is never relocated
	RuleDynRel     Rule = "L-DYN-REL"     // RELA and RELR only
	RuleHash       Rule = "L-HASH"        // hash tables consistent, chains short
	RuleVersion    Rule = "L-VERSION"     // version tables consistent
	RuleRelr       Rule = "L-RELR"        // ascending
	RuleSection    Rule = "L-SECTION"     // section headers (Verify of objects)
	RuleAbi        Rule = "L-ABI"         // an ABI that this version runs
)

// FormatError says why a file was refused: which file, where in it, which rule.
type FormatError struct {
	File   string
	Where  string // "header", "segment 2", "dynamic section", ...
	Rule   Rule
	Detail string
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("%s: %s: %s: %s", e.File, e.Where, e.Rule, e.Detail)
}

// TextError carries what the validator said about one piece of code of a file.
type TextError struct {
	File    string
	Section string // name of the section, for objects; otherwise empty
	Segment int    // number of the program header
	Address uint32 // where the validated bytes begin, as the file counts addresses
	Errors  []*validator.Error
	More    bool // there are more errors than these

	symbolAt func(addr uint32) string
}

// Error tells the first finding in full and the number of the others.
func (e *TextError) Error() string {
	if len(e.Errors) == 0 {
		return e.File + ": text refused"
	}
	s := e.Line(0)
	switch n := len(e.Errors) - 1; {
	case e.More:
		s += fmt.Sprintf(" (and at least %d more)", max(n, 1))
	case n > 0:
		s += fmt.Sprintf(" (and %d more)", n)
	}
	return s
}

// Line is the text of the i-th finding, with file, place, rule and instruction.
func (e *TextError) Line(i int) string {
	var b strings.Builder
	b.WriteString(e.File)
	b.WriteString(": ")
	if e.Section != "" {
		b.WriteString(e.Section)
		b.WriteString(": ")
	}
	b.WriteString(e.Errors[i].Error())
	if e.symbolAt != nil {
		if s := e.symbolAt(e.Address + e.Errors[i].Offset); s != "" {
			b.WriteString(" [in ")
			b.WriteString(s)
			b.WriteString("]")
		}
	}
	return b.String()
}

// Unwrap gives errors.As access to each *validator.Error.
func (e *TextError) Unwrap() []error {
	list := make([]error, len(e.Errors))
	for i, v := range e.Errors {
		list[i] = v
	}
	return list
}
