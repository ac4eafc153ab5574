package tcp

import (
	"net"
	"syscall"
)

const (
	// optNotSent is TCP_NOTSENT_LOWAT (linux/tcp.h), which package syscall lacks.
	optNotSent = 25
	// notSent is how many bytes the kernel holds that it has not sent yet. More would only stand before what has to be
	// quick: a PING, a CANCEL, a small call.
	notSent = 128 << 10
)

// keepQueueShort limits what waits in the kernel. Where it cannot, the connection is as good as any other.
func keepQueueShort(conn net.Conn) {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, optNotSent, notSent)
	})
}
