package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/stella-ops/router/generator"
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

// exitMeaning is what an exit code tells a pipeline.
type exitMeaning struct {
	code    exitCode
	meaning string
	todo    string
}

var exitMeanings = []exitMeaning{
	{exitOK, "success: nothing was found that counts", ""},
	{exitBug, "a bug of stellagen; nothing was written", "report it with the lines that were printed; STELLAGEN_DEBUG=1 adds where it happened"},
	{exitInput, "wrong input: a flag, a pattern, a directive, a file with a syntax error or a merge conflict, a missing go.mod, a file " +
		"that cannot be read or written, source that Go's own parser or type checker fails on; nothing was written",
		"mend what the findings say"},
	{exitStale, "files are not as they would be made now: check, export --check, fmt --check, diff --exit-code",
		"run the command that is printed, and commit what it writes"},
	{exitLint, "lint found something", "mend it, or ignore it with a reason"},
	{exitBreaking, "callers would break", "take it back, or raise the version, or waive it with a reason"},
	{exitInterrupted, "interrupted; nothing was written", ""},
}

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

// exit says what went wrong, and is the exit code of it.
func (o *output) exit(err error) exitCode {
	if err == nil {
		return exitOK
	}
	if end, ok := errors.AsType[exitError](err); ok {
		return end.code
	}
	if errors.Is(err, context.Canceled) {
		o.errorf("stellagen: interrupted; nothing was written\n")
		return exitInterrupted
	}
	if p, ok := errors.AsType[*generator.PanicError](err); ok {
		return o.reportBug(p.Value, p.Stack)
	}
	if !isDisk(err) && !errors.Is(err, errInput) {
		return o.reportBug(err, nil)
	}
	o.errorf("stellagen: %v\n", err)
	if isDisk(err) {
		o.errorf("this is about files and their permissions, not about the source\n")
	}
	return exitInput
}

// guard runs f, and tells a panic from the way in which kong ends the process.
func (o *output) guard(f func() exitCode) (code exitCode) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case leave:
			code = exitCode(r)
		default:
			code = o.reportBug(r, debug.Stack())
		}
	}()
	return f()
}

// debugVariable makes a bug report show where it happened.
const debugVariable = "STELLAGEN_DEBUG"

// reportBug tells what should not have happened, and where to send it.
func (o *output) reportBug(what any, stack []byte) exitCode {
	o.errorf("stellagen: this is a bug: %v\n", what)
	o.errorf("stellagen %s, %s, %s/%s, called with %q\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH, os.Args[1:])
	o.errorf("please report it with these lines: https://github.com/stella-ops/router/issues\n")
	switch {
	case stack == nil:
	case os.Getenv(debugVariable) == "":
		o.errorf("%s=1 shows where it happened\n", debugVariable)
	default:
		o.errorf("%s", stack)
	}
	return exitBug
}
