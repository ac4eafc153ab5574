package edge

import (
	"encoding/binary"
	"syscall"
)

// States of a TCP connection (linux/tcp_states.h).
const (
	established = 1 // TCP_ESTABLISHED: neither side has closed it
	closed      = 7 // TCP_CLOSE: it is no more
)

// hungUp reports whether a connection's peer has closed or reset it, whatever is left to read.
func hungUp(conn syscall.RawConn) bool {
	state, ok := stateOf(conn)
	return ok && state != established
}

// wasReset reports whether a connection's peer has reset it, of which this side has closed no half: one whose halves were both
// closed in order looks the same, and may have something left to read. One that the peer alone has closed in order may still be
// written to.
func wasReset(conn syscall.RawConn) bool {
	state, ok := stateOf(conn)
	return ok && state == closed
}

// stateOf is the state of a TCP connection.
func stateOf(conn syscall.RawConn) (state byte, ok bool) {
	err := conn.Control(func(fd uintptr) {
		// The first byte of tcp_info is the state.
		info, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_INFO)
		var first [4]byte
		binary.NativeEndian.PutUint32(first[:], uint32(info))
		state, ok = first[0], err == nil
	})
	return state, ok && err == nil
}
