//go:build !linux

package edge

import "syscall"

// hungUp cannot tell here: limits on time end the call.
func hungUp(syscall.RawConn) bool { return false }

// wasReset cannot tell here, either.
func wasReset(syscall.RawConn) bool { return false }
