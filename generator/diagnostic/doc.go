// Package diagnostic is the one form in which the generator says what is wrong with its input: a [Finding] has a
// stable id, a place in a source file, and a message that says what was expected and what to do.
//
// Findings are data. This package writes them, in the forms of [Formats]; it never decides what is wrong, and never
// ends the process. Start reading at [Finding], at the table in rules.go for what can be found, and at [Report] for how
// it is written.
package diagnostic
