package edge

import (
	"encoding/binary"
	"syscall"
)

// established is the state of a TCP connection that neither side has closed (linux/tcp_states.h, TCP_ESTABLISHED).
const established = 1

// hungUp reports whether a connection's peer has closed or reset it, whatever is left to read.
func hungUp(conn syscall.RawConn) (gone bool) {
	err := conn.Control(func(fd uintptr) {
		// The first byte of tcp_info is the state.
		info, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_INFO)
		var first [4]byte
		binary.NativeEndian.PutUint32(first[:], uint32(info))
		gone = err == nil && first[0] != established
	})
	return err == nil && gone
}
