//go:build unix

package handover

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// duplicate returns another descriptor of a listener's socket. It is made by hand: the file that a listener gives makes the
// socket block, for whoever else has it, when it is passed on. A listener that is closed is [net.ErrClosed].
func duplicate(ln net.Listener) (*os.File, error) {
	c, ok := ln.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("%T is no socket", ln)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller does
	}
	var (
		file  *os.File
		duped error
	)
	err = raw.Control(func(fd uintptr) {
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
		var other int
		if other, duped = syscall.Dup(int(fd)); duped == nil {
			syscall.CloseOnExec(other)
			file = os.NewFile(uintptr(other), ln.Addr().String())
		}
	})
	if err = errors.Join(err, duped); err != nil {
		return nil, err
	}
	return file, nil
}

// adopt takes a descriptor that the process was given, if it is a socket of a stream on which it can listen.
func adopt(fd int, name string) (socket, error) {
	syscall.CloseOnExec(fd)
	file := os.NewFile(uintptr(fd), name)
	fail := func(err error) (socket, error) { return socket{}, errors.Join(err, file.Close()) }
	kind, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_TYPE)
	if err != nil {
		return fail(fmt.Errorf("it is no socket: %w", err))
	}
	listens, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
	if kind != syscall.SOCK_STREAM || err != nil || listens == 0 {
		return fail(errors.New("expected a socket of a stream that listens (in a unit: ListenStream=, Accept=no)"))
	}
	ln, err := net.FileListener(file) // it knows addresses
	if err != nil {
		return fail(err)
	}
	addr := ln.Addr()
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	if err := ln.Close(); err != nil { // its own descriptor
		return fail(err)
	}
	return socket{file: file, addr: addr}, nil
}

// connection is the one whose descriptor the process was given.
func connection(fd int) (net.Conn, error) {
	syscall.CloseOnExec(fd)
	file := os.NewFile(uintptr(fd), nameControl)
	conn, err := net.FileConn(file)
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("handover: the process before: %w", err)
	}
	return conn, nil
}

// pair are two ends of a conversation: one for this process, and one for the next.
func pair() (net.Conn, *os.File, error) {
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("handover: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), nameControl)
	conn, err := connection(fds[0])
	if err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return conn, theirs, nil
}
