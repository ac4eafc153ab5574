//go:build unix

package transports

import (
	"net"
	"sync"
	"syscall"
)

// masking guards the process's umask.
var masking sync.Mutex

// private makes a socket that nobody else may use, until its permissions are set. The umask is the process's: files that
// are made in this moment elsewhere get stricter permissions, never wider ones.
func private(listen func() (net.Listener, error)) (net.Listener, error) {
	masking.Lock()
	defer masking.Unlock()
	old := syscall.Umask(0o177)
	defer syscall.Umask(old)
	return listen()
}
