package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"
)

// process is one binary that runs. It is killed when its spec or container ends, if it has not ended before.
type process struct {
	*gexec.Session

	name string
}

// start runs a command with the environment of the suite, without any STELLA_ variable, and env.
func start(name string, env []string, command string, args ...string) *process {
	GinkgoHelper()
	cmd := exec.Command(command, args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "STELLA_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, env...)
	cmd.Dir = scratch
	log := gexec.NewPrefixedWriter("["+name+"] ", GinkgoWriter)
	session, err := gexec.Start(cmd, log, log)
	Expect(err).NotTo(HaveOccurred())
	p := &process{Session: session, name: name}
	DeferCleanup(func() {
		p.Kill()
		Eventually(p).Should(gexec.Exit())
	})
	return p
}

// end asks the process to end, as an operator would, and expects it to do so cleanly.
func (p *process) end() {
	GinkgoHelper()
	p.Signal(syscall.SIGTERM)
	Eventually(p).Should(gexec.Exit(0), "%s did not end cleanly", p.name)
}

// kill ends the process without giving it a chance to say anything.
func (p *process) kill() {
	GinkgoHelper()
	p.Signal(syscall.SIGKILL)
	Eventually(p).Should(gexec.Exit())
}

// descriptors is the number of file descriptors that the process has open.
func (p *process) descriptors() int {
	GinkgoHelper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.Command.Process.Pid))
	Expect(err).NotTo(HaveOccurred())
	return len(entries)
}

// memory is the process's resident memory in bytes.
func (p *process) memory() int64 {
	GinkgoHelper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.Command.Process.Pid))
	Expect(err).NotTo(HaveOccurred())
	var size, resident int64
	_, err = fmt.Sscan(string(text), &size, &resident)
	Expect(err).NotTo(HaveOccurred())
	return resident * int64(os.Getpagesize())
}

// address returns a loopback address that nobody listens on.
func address() string {
	GinkgoHelper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// stack is a gateway, the fixture service, and the tap between them.
type stack struct {
	http, admin string
	gateway     *process
	fixture     *process
	tap         *tap
}

// startStack starts a gateway and the fixture, and waits until the service answers through the gateway. The flags go
// to the gateway.
func startStack(flags ...string) *stack {
	GinkgoHelper()
	listen := address()
	s := &stack{http: address(), admin: address(), tap: startTap(listen)}
	s.gateway = startGateway(s.http, listen, s.admin, flags...)
	s.startFixture()
	return s
}

// startGateway starts a gateway and waits until it takes connections.
func startGateway(httpAddr, listen, admin string, flags ...string) *process {
	GinkgoHelper()
	args := append([]string{"run", "--http", httpAddr, "--listen", "tcp://" + listen, "--admin", admin}, flags...)
	p := start("gateway", nil, binary("stella-gateway"), args...)
	Eventually(func() error {
		if p.ExitCode() >= 0 {
			StopTrying(fmt.Sprintf("the gateway ended with %d", p.ExitCode())).Now()
		}
		return healthy(admin)
	}).Should(Succeed())
	return p
}

func healthy(admin string) error {
	resp, err := http.Get("http://" + admin + "/healthz")
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("/healthz answers %s", resp.Status)
	}
	return nil
}

// startFixture starts the service, and waits until it answers.
func (s *stack) startFixture() {
	GinkgoHelper()
	s.fixture = start("fixture", []string{"STELLA_GATEWAYS=tcp://" + s.tap.address}, filepath.Join(scratch, "fixture"))
	Eventually(func(g Gomega) {
		g.Expect(s.fixture).NotTo(gexec.Exit())
		resp, err := http.Get(s.url("/journal?tag=none"))
		g.Expect(err).NotTo(HaveOccurred())
		_ = resp.Body.Close()
		g.Expect(resp.StatusCode).To(Equal(http.StatusOK))
	}).Should(Succeed())
}

func (s *stack) url(path string) string { return "http://" + s.http + path }
