// Package brokertest starts real brokers for tests, as child processes that live as long as the test.
package brokertest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// URLVariable names the environment variable with the URL of a server of the user's own, redis://host:port, which is used
// instead of a child process. Its data is flushed by tests.
const URLVariable = "STELLA_TEST_VALKEY_URL"

const (
	starting = 5 * time.Second // until a new server answers
	attempt  = 20 * time.Millisecond
	ports    = 3 // attempts at a free port, which somebody else may take first
)

// TB is what the helper needs of a test: [testing.TB] has it, and so has ginkgo's GinkgoT().
type TB interface {
	Helper()
	Cleanup(f func())
	Fatalf(format string, args ...any)
}

// Server is a running Valkey or Redis.
type Server struct {
	// Addr is its host:port.
	Addr string

	t    TB
	bin  string
	dir  string
	args []string
	cmd  *exec.Cmd // nil: the user's own server
}

// Valkey starts valkey-server, else redis-server, on a free loopback port, without persistence, and stops it when the test
// ends. args are further arguments of the server. The test fails when there is none to be had.
func Valkey(t TB, args ...string) *Server {
	t.Helper()
	if raw := os.Getenv(URLVariable); raw != "" && len(args) == 0 {
		u, err := url.Parse(raw)
		if err != nil || u.Port() == "" {
			t.Fatalf("brokertest: %s is %q, expected redis://host:port", URLVariable, raw)
			return nil
		}
		s := &Server{Addr: u.Host, t: t}
		s.Flush()
		return s
	}
	bin, err := find()
	if err != nil {
		t.Fatalf("%v", err)
		return nil
	}
	dir, err := os.MkdirTemp("", "stella-valkey-")
	if err != nil {
		t.Fatalf("brokertest: %v", err)
		return nil
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &Server{t: t, bin: bin, dir: dir, args: args}
	t.Cleanup(s.kill)
	for range ports {
		if s.Addr, err = freeAddr(); err != nil {
			break
		}
		if err = s.start(); err == nil {
			return s
		}
	}
	t.Fatalf("brokertest: %s does not start: %v", bin, err)
	return nil
}

// DurableValkey is Valkey with persistence: what the server has confirmed is there after Kill and Restart. It is always a
// child process. Every write is synced, since a server that syncs once a second holds writes back while it does, which a
// kill would lose.
func DurableValkey(t TB, args ...string) *Server {
	t.Helper()
	return Valkey(t, append([]string{"--appendonly", "yes", "--appendfsync", "always"}, args...)...)
}

// find is the path of a server.
func find() (string, error) {
	for _, name := range []string{"valkey-server", "redis-server"} {
		if p, err := exec.LookPath(name); err == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("brokertest: neither valkey-server nor redis-server is installed; "+
		"run scripts/install-test-deps.sh, or set %s to the URL of a server for tests", URLVariable)
}

func freeAddr() (string, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

// start starts the child and waits until it answers.
func (s *Server) start() error {
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return err
	}
	args := append([]string{"--bind", host, "--port", port, "--dir", s.dir, "--save", "", "--appendonly", "no"}, s.args...)
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.CommandContext(context.Background(), s.bin, args...) //nolint:gosec // the server of the test's machine, and arguments of the test
	cmd.Stdout, cmd.Stderr = log, log
	dieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	s.cmd = cmd
	for end := time.Now().Add(starting); ; {
		answer, err := s.ask("PING")
		if err == nil && (answer == "+PONG" || strings.HasPrefix(answer, "-NOAUTH")) {
			return nil
		}
		if time.Now().After(end) {
			s.kill()
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("it answers %q; its log: %s", answer, lastLine(string(text)))
		}
		<-time.After(attempt)
	}
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

// ask sends one command on a connection of its own and returns the first line of the answer.
func (s *Server) ask(words ...string) (string, error) {
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(context.Background(), "tcp", s.Addr)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(starting)); err != nil {
		return "", err
	}
	command := fmt.Appendf(nil, "*%d\r\n", len(words))
	for _, w := range words {
		command = fmt.Appendf(command, "$%d\r\n%s\r\n", len(w), w)
	}
	if _, err := c.Write(command); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}

// Command runs one command and returns the first line of the answer, as on the wire.
func (s *Server) Command(words ...string) string {
	s.t.Helper()
	answer, err := s.ask(words...)
	if err != nil || strings.HasPrefix(answer, "-") {
		s.t.Fatalf("brokertest: %v: %s %v", words, answer, err)
	}
	return answer
}

// Flush deletes all data.
func (s *Server) Flush() {
	s.t.Helper()
	s.Command("FLUSHALL")
}

// Own reports whether the server is a child of this process, which can be stopped and restarted.
func (s *Server) Own() bool { return s.cmd != nil }

// Kill ends the server at once, with all its data unless it is durable.
func (s *Server) Kill() {
	s.t.Helper()
	s.mustOwn()
	s.kill()
}

// Restart kills the server and starts it anew on the same port, without data unless it is durable.
func (s *Server) Restart() {
	s.t.Helper()
	s.mustOwn()
	s.kill()
	if err := s.start(); err != nil {
		s.t.Fatalf("brokertest: restart: %v", err)
	}
}

func (s *Server) mustOwn() {
	s.t.Helper()
	if s.cmd == nil {
		s.t.Fatalf("brokertest: the server of %s is not the test's to stop; unset it", URLVariable)
	}
}

func (s *Server) kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	var exit *exec.ExitError
	if err := s.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return // killed before
	}
}
