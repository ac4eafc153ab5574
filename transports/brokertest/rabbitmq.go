package brokertest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// RabbitMQURLVariable names the environment variable with the URL of a server of the user's own,
// rabbitmq://user:password@host:port/vhost, which is used instead of a child process.
const RabbitMQURLVariable = "STELLA_TEST_RABBITMQ_URL"

const (
	rabbitStarting = 60 * time.Second // until a new server answers: some seconds where nothing else runs
	ctlTimeout     = 30 * time.Second // of one command: it starts a runtime of its own
	// rabbitNode is the server's name. Nodes find each other by a port mapper, of which each server here has its own.
	rabbitNode = "stella@localhost"
	// rabbitConf keeps the server from refusing messages because the disk of the machine is nearly full.
	rabbitConf = "log.file.level = warning\nlog.console = false\ndisk_free_limit.absolute = 1MB\n"
)

// RabbitMQServer is a running RabbitMQ.
type RabbitMQServer struct {
	// Addr is its host:port.
	Addr string

	t     TB
	bin   string // the folder of its programs
	dir   string
	conf  string
	epmd  string   // the port mapper's program
	ports []string // of AMQP, of other nodes, and of the port mapper
	url   url.URL
	cmds  []*exec.Cmd // the port mapper and the server; none: the user's own server
}

// RabbitMQ starts a rabbitmq-server on a free loopback port, and ends it when the test does, with all that it has started. The
// test fails when there is none to be had. conf are further lines of its configuration.
func RabbitMQ(t TB, conf ...string) *RabbitMQServer {
	t.Helper()
	if raw := os.Getenv(RabbitMQURLVariable); raw != "" && len(conf) == 0 {
		u, err := url.Parse(raw)
		if err != nil || u.Port() == "" || u.User == nil {
			t.Fatalf("brokertest: %s is not of the form rabbitmq://user:password@host:port/vhost", RabbitMQURLVariable)
			return nil
		}
		return &RabbitMQServer{Addr: u.Host, t: t, url: *u}
	}
	bin, epmd, err := findRabbitMQ()
	if err != nil {
		t.Fatalf("%v", err)
		return nil
	}
	dir, err := os.MkdirTemp("", "stella-rabbitmq-")
	if err != nil {
		t.Fatalf("brokertest: %v", err)
		return nil
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &RabbitMQServer{
		t: t, bin: bin, dir: dir, epmd: epmd, conf: rabbitConf + strings.Join(conf, "\n") + "\n",
		url: url.URL{User: url.UserPassword("guest", "guest"), Path: "/"},
	}
	t.Cleanup(s.kill)
	for range ports {
		if s.ports, err = freePorts(); err != nil {
			break
		}
		s.Addr = net.JoinHostPort("127.0.0.1", s.ports[0])
		if err = s.start(); err == nil {
			return s
		}
	}
	t.Fatalf("brokertest: %s does not start: %v", bin, err)
	return nil
}

// findRabbitMQ is the folder of the server's own programs, and the path of the port mapper. What a distribution has in $PATH
// may insist on a certain user: it is the link in whose place the server's own is looked for first.
func findRabbitMQ() (bin, epmd string, err error) {
	for _, dir := range []string{filepath.Join(cmp.Or(os.Getenv("RABBITMQ_HOME"), "/usr/lib/rabbitmq"), "bin"), "/opt/rabbitmq/sbin"} {
		//nolint:gosec // the user of the test says where it is
		if info, err := os.Stat(filepath.Join(dir, "rabbitmq-server")); err == nil && !info.IsDir() {
			bin = dir
			break
		}
	}
	if bin == "" {
		if p, err := exec.LookPath("rabbitmq-server"); err == nil {
			bin = filepath.Dir(p)
		}
	}
	epmd, err = exec.LookPath("epmd")
	if bin == "" || err != nil {
		return "", "", fmt.Errorf("brokertest: rabbitmq-server, or Erlang's epmd, is not installed; "+
			"run scripts/install-test-deps.sh, or set %s to the URL of a server for tests", RabbitMQURLVariable)
	}
	return bin, epmd, nil
}

// FreePort is a port on which nobody listens.
func FreePort(t TB) string {
	t.Helper()
	all, err := freePorts()
	if err != nil {
		t.Fatalf("brokertest: %v", err)
		return ""
	}
	return all[0]
}

// freePorts are ports for AMQP, for other nodes, and for the port mapper.
func freePorts() (all []string, err error) {
	var lc net.ListenConfig
	for range 3 {
		ln, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = ln.Close() }() // all at the end, so that they differ
		_, port, err := net.SplitHostPort(ln.Addr().String())
		if err != nil {
			return nil, err
		}
		all = append(all, port)
	}
	return all, nil
}

// env is the environment of the server's programs.
func (s *RabbitMQServer) env() []string {
	in := func(name string) string { return filepath.Join(s.dir, name) }
	return []string{
		"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "HOME=" + s.dir, // where the cookie is
		"ERL_EPMD_ADDRESS=127.0.0.1", "ERL_EPMD_PORT=" + s.ports[2], "ERL_CRASH_DUMP=" + in("crash"),
		"RABBITMQ_NODENAME=" + rabbitNode, "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1", "RABBITMQ_NODE_PORT=" + s.ports[0],
		"RABBITMQ_DIST_PORT=" + s.ports[1], "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}",
		"RABBITMQ_MNESIA_BASE=" + in("data"), "RABBITMQ_LOG_BASE=" + in("log"), "RABBITMQ_PID_FILE=" + in("pid"),
		"RABBITMQ_CONFIG_FILE=" + in("rabbit.conf"), "RABBITMQ_ENABLED_PLUGINS_FILE=" + in("plugins"),
		"RABBITMQ_CONF_ENV_FILE=" + in("none"), "RABBITMQ_ADVANCED_CONFIG_FILE=" + in("none.config"),
		"RUNNING_UNDER_SYSTEMD=true", // the script becomes the server, and starts none that would outlive it
	}
}

// start starts the children and waits until the server answers.
func (s *RabbitMQServer) start() error {
	for name, text := range map[string]string{"rabbit.conf": s.conf, "plugins": "[].\n"} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("configuration: %w", err)
		}
	}
	out, err := os.Create(filepath.Join(s.dir, "out"))
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	defer func() { _ = out.Close() }()
	for _, argv := range [][]string{{s.epmd, "-address", "127.0.0.1", "-port", s.ports[2]}, {filepath.Join(s.bin, "rabbitmq-server")}} {
		cmd := exec.CommandContext(context.Background(), argv[0], argv[1:]...) //nolint:gosec // programs of the test's machine
		cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = s.env(), s.dir, out, out
		dieWithParent(cmd)
		if err := cmd.Start(); err != nil {
			s.kill()
			return fmt.Errorf("start: %w", err)
		}
		s.cmds = append(s.cmds, cmd)
	}
	server := s.cmds[len(s.cmds)-1]
	exited := make(chan error, 1)
	go func() { exited <- waitFor(server) }()
	for end := time.Now().Add(rabbitStarting); ; {
		if err = s.greet(); err == nil {
			return nil
		}
		over := time.Now().After(end)
		select {
		case ended := <-exited:
			err, over = cmp.Or(ended, err), true
		case <-time.After(attempt):
		}
		if over {
			s.kill()
			text, _ := os.ReadFile(out.Name())
			return fmt.Errorf("no answer: %w; it says: %s", err, lastLine(string(text)))
		}
	}
}

// greet asks the server whether it speaks AMQP.
func (s *RabbitMQServer) greet() error {
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(context.Background(), "tcp", s.Addr)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(starting)); err != nil {
		return err
	}
	if _, err := c.Write([]byte("AMQP\x00\x00\x09\x01")); err != nil {
		return err
	}
	var frame [1]byte // of the method connection.start
	if _, err := io.ReadFull(c, frame[:]); err != nil {
		return err
	}
	if frame[0] != 1 {
		return fmt.Errorf("it answers %q", frame)
	}
	return nil
}

// URL is the server's, for its own user, with a query that may be empty. host replaces the address's host if it is not empty.
func (s *RabbitMQServer) URL(host, query string) string {
	u := s.url
	u.Scheme, u.Host, u.RawQuery = "rabbitmq", s.Addr, query
	if host != "" {
		_, port, _ := net.SplitHostPort(s.Addr)
		u.Host = net.JoinHostPort(host, port)
	}
	return u.String()
}

// Ctl runs rabbitmqctl and returns what it says.
func (s *RabbitMQServer) Ctl(args ...string) string {
	s.t.Helper()
	s.mustOwn()
	ctx, cancel := context.WithTimeout(context.Background(), ctlTimeout)
	defer cancel()
	//nolint:gosec // a program of the test's machine
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "rabbitmqctl"), append([]string{"--quiet"}, args...)...)
	var out bytes.Buffer
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = s.env(), s.dir, &out, &out
	dieWithParent(cmd)
	if err := cmd.Run(); err != nil {
		s.t.Fatalf("brokertest: rabbitmqctl %s: %v: %s", strings.Join(args, " "), err, out.String())
	}
	return out.String()
}

// Own reports whether the server is a child of this process, which can be stopped and restarted.
func (s *RabbitMQServer) Own() bool { return len(s.cmds) > 0 }

// Kill ends the server at once.
func (s *RabbitMQServer) Kill() {
	s.t.Helper()
	s.mustOwn()
	s.kill()
}

// Start starts a server that was killed, on the same port, with what it has on disk.
func (s *RabbitMQServer) Start() {
	s.t.Helper()
	if err := s.start(); err != nil {
		s.t.Fatalf("brokertest: start: %v", err)
	}
}

// Restart kills the server and starts it again.
func (s *RabbitMQServer) Restart() {
	s.t.Helper()
	s.Kill()
	s.Start()
}

func (s *RabbitMQServer) mustOwn() {
	s.t.Helper()
	if len(s.cmds) == 0 {
		s.t.Fatalf("brokertest: the server of %s is not the test's to stop; unset it", RabbitMQURLVariable)
	}
}

func (s *RabbitMQServer) kill() {
	for _, cmd := range s.cmds {
		_ = cmd.Process.Kill()
	}
	for _, cmd := range s.cmds {
		_ = waitFor(cmd)
	}
	s.cmds = nil
}

// waitFor waits until a child has ended, whoever else waits for it.
func waitFor(cmd *exec.Cmd) error {
	if _, err := cmd.Process.Wait(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("wait: %w", err)
	}
	return nil
}
