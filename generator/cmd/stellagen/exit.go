package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// exitCode is the process's.
type exitCode int

// The exit codes. They are the same for every command.
const (
	exitOK          exitCode = 0
	exitBug         exitCode = 1
	exitInput       exitCode = 2
	exitStale       exitCode = 20
	exitLint        exitCode = 21
	exitBreaking    exitCode = 22
	exitInterrupted exitCode = 128 + exitCode(syscall.SIGINT) // as shells have it
)

// exitError ends a command that has said all there is to say.
type exitError struct{ code exitCode }

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e.code)) }

// errInput is wrapped by errors about what the user gave.
var errInput = errors.New("wrong input")

// isDisk reports whether a file could not be read or written: that is for the user to mend.
func isDisk(err error) bool {
	_, isPath := errors.AsType[*fs.PathError](err)
	_, isLink := errors.AsType[*os.LinkError](err)
	return isPath || isLink
}
