package handover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Successor is the process that is to take this one's place. Its methods are called in their order, by one goroutine.
type Successor struct {
	conn    net.Conn
	process *os.Process // nil where there is none of its own
	pid     int
}

// NewSuccessor speaks with whoever is at the other end of conn.
func NewSuccessor(conn net.Conn) *Successor { return &Successor{conn: conn} }

// PID is the process's id, 0 where it has none.
func (s *Successor) PID() int { return s.pid }

// Begun waits for the process to say that it can take this one's place.
func (s *Successor) Begun(ctx context.Context) error {
	_, err := expect(ctx, s.conn, kindBegun)
	return err
}

// Tell tells it the instances that this process has sessions with.
func (s *Successor) Tell(ctx context.Context, instances []Instance) error {
	return tell(ctx, s.conn, message{Kind: kindInstances, Instances: instances})
}

// Ready waits for it to say that it serves. From then on it is on its own.
func (s *Successor) Ready(ctx context.Context) error {
	if _, err := expect(ctx, s.conn, kindReady); err != nil {
		return err
	}
	err := s.conn.Close()
	if s.process != nil {
		err = errors.Join(err, s.process.Release())
	}
	if err != nil {
		return fmt.Errorf("handover: %w", err)
	}
	return nil
}

// Kill ends the process, and waits until it is gone. It returns how that ended, where it had ended before.
func (s *Successor) Kill() error {
	defer func() { _ = s.conn.Close() }() // not before: a process that finds itself alone serves
	if s.process == nil {
		return nil
	}
	killed := s.process.Kill()
	state, err := s.process.Wait()
	switch {
	case err != nil:
		return fmt.Errorf("handover: the new process: %w", err)
	case killed == nil && !state.Exited():
		return nil
	}
	return fmt.Errorf("handover: the new process ended by itself: %s", state)
}

// Variables by which a process learns of its sockets (sd_listen_fds(3)).
const (
	envPID   = "LISTEN_PID"
	envFDs   = "LISTEN_FDS"
	envNames = "LISTEN_FDNAMES"
)

// Command is how to start the next process.
type Command struct {
	Path string
	Args []string // the first is the program's name, as ever
	Env  []string
}

// Current is what this process was started by. The program is looked for by its name again, so that another one that has come
// to stand there is started.
func Current() (Command, error) {
	path, err := exec.LookPath(os.Args[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return Command{}, fmt.Errorf("handover: the program that runs: %w", err)
	}
	return Command{Path: path, Args: slices.Clone(os.Args), Env: os.Environ()}, nil
}

// Start starts the process and gives it the sockets.
func (c Command) Start(h *Held) (*Successor, error) {
	conn, theirs, err := pair()
	if err != nil {
		return nil, err
	}
	names, files := h.names()
	names, files = slices.Insert(names, 0, nameControl), slices.Insert(files, 0, theirs)
	cmd := exec.Cmd{Path: c.Path, Args: c.Args, Env: slices.DeleteFunc(slices.Clone(c.Env), isListen), Stdout: os.Stdout, Stderr: os.Stderr, ExtraFiles: files}
	// Its own id cannot be known before it is there; it knows this one's.
	cmd.Env = append(cmd.Env, envPID+"="+strconv.Itoa(os.Getpid()), envFDs+"="+strconv.Itoa(len(files)), envNames+"="+strings.Join(names, ":"))
	err = cmd.Start()
	_ = theirs.Close() // so that the end of the process is the end of the conversation
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("handover: starting %s: %w", c.Path, err)
	}
	return &Successor{conn: conn, process: cmd.Process, pid: cmd.Process.Pid}, nil
}

func isListen(entry string) bool {
	name, _, _ := strings.Cut(entry, "=")
	return name == envPID || name == envFDs || name == envNames
}
