//go:build unix

package main

import (
	"os"
	"syscall"
)

// restartSignal has another process take this one's place.
var restartSignal os.Signal = syscall.SIGUSR2

// signals are those that run listens to.
func signals() []os.Signal {
	return []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, restartSignal}
}
