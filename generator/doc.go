// Package generator turns annotated handlers into the Go file and the manifest beside them. It joins the packages
// below it: scan reads, emit writes, diagnostic says what is wrong.
//
// Nothing is written while there is a finding. Checking is the same run with another [Target], so that the two cannot
// disagree. Start reading at [Run].
package generator
