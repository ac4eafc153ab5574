//go:build !linux

package tcp

import "net"

// keepQueueShort does nothing here: see the one for Linux.
func keepQueueShort(net.Conn) {}
