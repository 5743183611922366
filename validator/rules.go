package validator

// Rule is the identifier of a rule, the same in code, documentation, tests and
// error messages.
type Rule string
