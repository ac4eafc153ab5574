//go:build unix

package transports

import (
	"errors"
	"fmt"
	"net"
	"syscall"
)

// newAttempt returns a write that takes what the kernel has room for and never waits, or nil if conn has none. It spares
// the timer that a deadline starts: most writes find room, and the timer would wake an idle process for nothing.
func newAttempt(conn net.Conn) func([]byte) (int, error) {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	var (
		b   []byte
		n   int
		bad error
	)
	write := func(fd uintptr) bool {
		for n, bad = syscall.Write(int(fd), b); errors.Is(bad, syscall.EINTR); {
			n, bad = syscall.Write(int(fd), b)
		}
		return true // done, whether there was room or not
	}
	return func(p []byte) (int, error) {
		b = p
		err := raw.Write(write)
		b = nil
		switch {
		case err != nil:
			return 0, fmt.Errorf("transports: write: %w", err)
		case errors.Is(bad, syscall.EAGAIN):
			return 0, nil
		case bad != nil:
			return 0, fmt.Errorf("transports: write: %w", bad)
		}
		return n, nil
	}
}
