// Package spec is the contract that services and gateways share: what an endpoint is, the manifest that lists a
// service's endpoints, the messages that open a session, and the frame codec. PROTOCOL.md in this folder is the
// law for the wire; this package is its code.
//
// It never does I/O, starts no goroutine, and imports nothing of the other packages. Everything that decodes
// bytes from outside checks its limits before it allocates, and returns an error instead of panicking.
//
// Start reading at [Manifest] for what a service offers, and at [Header] for what travels.
package spec
