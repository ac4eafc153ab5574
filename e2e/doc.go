// Package e2e proves what no package can prove alone: the real binaries as processes, the commands that README.md
// and `make run` tell people to try, and who may import whom. It holds tests only, and nothing may import it.
//
// The binaries come from the directory that STELLA_BIN names, as `make test` does, or are built once into a
// temporary directory. Every process listens on private ports of the loopback interface. Calls are counted where they
// cannot be miscounted: on the wire, by a tap between service and gateway.
//
// Start reading at process_test.go for how processes are run, then at one of the tables.
package e2e
