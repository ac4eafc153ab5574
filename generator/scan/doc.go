// Package scan reads annotated Go packages and makes the model of a service: its endpoints, what their handlers take
// and give, and the documentation of both.
//
// It never compiles anything and never asks the build cache: the go command is the truth about which files belong to
// a package, and everything else is parsed and type-checked here, declarations only. It works while the package does
// not compile, because what is missing is mostly what the generator is about to write. It writes no file.
//
// Start reading at [Scan], then model.go for what comes out, loader.go for how types are found.
package scan
