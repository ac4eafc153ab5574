//go:build !unix

package main

import (
	"os"
	"syscall"
)

// restartSignal is none here: sockets do not pass to another process.
var restartSignal os.Signal

// signals are those that run listens to.
func signals() []os.Signal { return []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} }
