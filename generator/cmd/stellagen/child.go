package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// patience is how long a child may take to end before it is killed.
const patience = 5 * time.Second

// child is a process that this one has started, and ends.
type child struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed once it has ended
	err  error         // how; set before done is closed
}

// start starts a program. What it prints goes to w. It is in a process group of its own, so that Ctrl-C reaches only
// this process, which then ends it.
func start(name string, w io.Writer, env []string, program string, args ...string) (*child, error) {
	c := &child{name: name, cmd: exec.Command(program, args...), done: make(chan struct{})} //nolint:gosec,noctx // stop ends it
	c.cmd.Stdout, c.cmd.Stderr, c.cmd.Env = w, w, append(os.Environ(), env...)
	c.cmd.SysProcAttr = ownGroup()
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the %s: %w", name, err)
	}
	go func() {
		defer close(c.done)
		c.err = c.cmd.Wait()
	}()
	return c, nil
}

// stop tells the process to end, and kills it if it does not. It may be called several times, and on nil.
func (c *child) stop() {
	if c == nil {
		return
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-c.done:
	case <-time.After(patience):
		_ = c.cmd.Process.Kill()
		<-c.done
	}
}

// ended is closed when the process has ended; nil, which never is, if there is none.
func (c *child) ended() <-chan struct{} {
	if c == nil {
		return nil
	}
	return c.done
}

// how tells how the process has ended.
func (c *child) how() string {
	if exit, ok := errors.AsType[*exec.ExitError](c.err); ok {
		return fmt.Sprintf("the %s ended: %s", c.name, exit)
	}
	if c.err != nil {
		return fmt.Sprintf("the %s ended: %v", c.name, c.err)
	}
	return fmt.Sprintf("the %s ended", c.name)
}

// goCommand runs the go command, and returns what it prints. Its complaints are in the error.
func goCommand(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // the arguments are ours
	cmd.Dir = dir
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && len(exit.Stderr) > 0 {
		return "", fmt.Errorf("%w: go %s:\n%s", errInput, args[0], exit.Stderr)
	}
	if err != nil {
		return "", fmt.Errorf("go %s: %w", args[0], err)
	}
	return string(out), nil
}
