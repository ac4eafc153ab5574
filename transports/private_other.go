//go:build !unix

package transports

import "net"

// private makes a socket; there is no umask here.
func private(listen func() (net.Listener, error)) (net.Listener, error) { return listen() }
