// Package config reads gateway.yaml, what an operator wants of a gateway: strictly, with the place of everything that is
// wrong, all at once. Variables and flags stand above the file, and of every value it is known where it came from.
//
// One table says what there is: the struct [File] and its tags. The reader, the JSON Schema for editors, the variables
// and the reference page are made from it. The package starts nothing and opens no file but the one it is given.
//
// Start reading at [Load].
package config
