// Package oracle holds tests only: it lets the CPU say whether the validator is
// right.
//
// What the validator accepts is executed, one instruction at a time, in a
// process that has nothing mapped but a sandbox and what its ABI places beside
// it; before each step the registers hold addresses from everywhere. Whatever
// leaves the sandbox is then a fault at an address outside, a changed marker, or
// a register that should not have changed. See README.md.
package oracle
