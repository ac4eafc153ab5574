// Package diagnostic is the one form in which the generator says what is wrong with its input: a [Finding] has a
// stable id, a place in a source file, and a message that says what was expected and what to do.
//
// Findings are data. This package prints them; it never decides what is wrong, and never ends the process. Start
// reading at [Finding], and at the table in rules.go for what can be found.
package diagnostic
