// Package analyzer is stellagen lint as a go/analysis analyzer, for go vet and editors: the same findings at the same
// places, with their fixes, and those that need types and function bodies, which lint does not read.
//
// It runs package lint on the folder of the package that it is given, so that both agree by construction; for that it needs
// the go command, and no network. A finding is reported by the package that it is in; one in a package without
// directives by the service's own package. go vet keeps results until the package changes: a finding about two packages of a
// service, or about a day, may come late. stellagen lint is always right.
//
// Start reading at [Analyzer]; what looks at function bodies is in context.go, stream.go and header.go.
package analyzer
