// Package h2spec holds the gateway's HTTP/2 against the cases of h2spec, beside a bare net/http server: where the protocol is
// net/http's, the gateway must not do worse. It is a module of its own, so that nobody inherits h2spec.
//
// It never judges what requests mean: see package edge for that. Start reading at TestHTTP2.
package h2spec
