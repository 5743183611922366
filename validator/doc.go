// Package validator decides whether machine code that nobody trusts may run
// inside a sandbox. It is the wall: nothing in this module maps a byte
// executable for a guest that has not passed Validate.
//
// # What it shows
//
// For the halite ABI, a text that Validate accepts keeps this invariant as
// long as it runs, whatever the guest's registers and memory hold at any
// instruction boundary, from any number of threads:
//
//   - the instructions that execute are the ones that were checked: every
//     branch lands on the start of one of them, at a bundle of the sandbox, or
//     behind a call;
//   - every data access lies in the sandbox's 4 GiB, or in the thread's own
//     control stack when call and ret make it, or is the read of the one
//     thread pointer word;
//   - %r15 and the base of %gs stay what the engine put there, and %rsp is
//     moved by call and ret alone;
//   - control leaves through the engine's trampolines or by a fault, and in no
//     other way.
//
// The NaCl ABIs, Classic and X86_32, have invariants of their own, which lean
// on guard regions and on segments.
//
// docs/validator.md states the invariants in full and argues each rule. A rule
// has an identifier (V-MEM-SEG, V-R15, …) that code, errors, documents and
// tests share.
//
// # How
//
// One pass over the text, a bundle at a time. A small decoder (decode.go)
// finds the length of an instruction and looks it up in tables that say what
// it does (form.go, tables_gen.go); a few rules then judge its prefixes, its
// memory operand, the registers that it names and where it branches to. The
// tables are generated from instructions.txt, which holds every known
// operand form with the verdicts of all three ABIs side by side. What is in no
// row is refused.
//
// A fast path (fast.go) goes first: an automaton that knows the common shapes of
// instructions. It says yes or leaves the instruction to the decoder, and is
// compared with it over all encodings.
//
// The only memory that a positive answer costs is one bitmap of a quarter of
// the text's size. The package has no state but tables that are made at first
// use and don't change, and no locks; calls may run in parallel, and
// Options.Workers shares one text between goroutines.
//
// # What it does not promise
//
// Nothing about time, about transient execution (Spectre and its kin), about
// the contents of the sandbox, or about the guest's program doing what its
// author meant. Texts are judged at one load offset: elsewhere they have to
// be judged again. The bytes must not change while or after they are judged,
// except for thread pointer displacements, and those before another Validate.
package validator

//go:generate go run ./internal/gen
