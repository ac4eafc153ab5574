// Package client is what a client in any language needs to know of a manifest: its calls, types and errors, each with a
// name that no other has. It writes no code: goclient and tsclient do. Start at [New].
package client
