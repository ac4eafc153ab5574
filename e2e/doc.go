// Package e2e proves what no package can prove alone: gateway and service together, the commands that README.md and
// `make run` tell people to try, and who may import whom. It holds tests only, and nothing may import it.
//
// The same rows run in every form of the system: the real binaries as two processes over tcp, and gateway and service
// in one process over inmemory and over tcp. What a row is answered has to be the same in each, and whatever it takes,
// descriptors and goroutines, has to be given back. Only being killed is left to processes.
//
// The binaries come from the directory that E2E_BIN names, as `make test` does, or are built once into a
// temporary directory. Everything listens on private ports of the loopback interface. Calls are counted where they
// cannot be miscounted: on the wire, by a tap between service and gateway.
//
// Start reading at form_test.go for what runs, then at one of the tables.
package e2e
