package artifacts

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"
)

// patience is what a process may take to start, to register, and to end.
const patience = 15 * time.Second

// stack is a gateway with the billing service behind it.
type stack struct {
	url    string // of the gateway
	admin  string // URL of its admin address
	token  string // with every claim that billing asks for
	broker string // of the queue; empty: there is none
}

// startStack starts processes that end with the container. queued gives them a broker.
func startStack(queued bool) *stack {
	GinkgoHelper()
	dir := GinkgoT().TempDir()
	bin := binaries(dir)
	key, tokenFile := filepath.Join(dir, "key"), filepath.Join(dir, "token")
	s := &stack{}
	front, admin, links := address(), address(), "tcp://"+address()
	s.url, s.admin = "http://"+front, "http://"+admin
	if queued {
		s.broker = startBroker(dir)
	}
	queue := "STELLA_QUEUE=" + s.broker
	start([]string{queue}, filepath.Join(bin, "stella-gateway"), "run", "--http", front, "--listen", links, "--admin", admin,
		"--dev", "--dev-token-file", tokenFile, "--dev-key", key)
	Eventually(key).WithTimeout(patience).Should(BeARegularFile())
	start([]string{queue, "STELLA_GATEWAYS=" + links}, filepath.Join(bin, "billing"), "--data", filepath.Join(dir, "data"))
	out, err := exec.Command(filepath.Join(bin, "stella-gateway"), "token", "--dev-key", key, "--ttl", "10m",
		"--claim", "scope=billing:read", "--claim", "scope=billing:write").Output()
	Expect(err).NotTo(HaveOccurred())
	s.token = strings.TrimSpace(string(out))
	Eventually(func() (int, error) { return get(s.url + "/billing/status") }).WithTimeout(patience).Should(Equal(http.StatusOK))
	return s
}

// startBroker starts a Valkey or Redis server, which the tests of the transports need, too.
func startBroker(dir string) string {
	GinkgoHelper()
	server, err := exec.LookPath("valkey-server")
	if err != nil {
		server, err = exec.LookPath("redis-server")
	}
	Expect(err).NotTo(HaveOccurred(), "a queue needs valkey-server or redis-server: scripts/install-test-deps.sh installs one")
	at := address()
	_, port, err := net.SplitHostPort(at)
	Expect(err).NotTo(HaveOccurred())
	start(nil, server, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--dir", dir)
	Eventually(func() error {
		c, err := net.Dial("tcp", at)
		if err == nil {
			err = c.Close()
		}
		return err
	}).WithTimeout(patience).Should(Succeed())
	return "valkey://" + at
}

// binaries is a folder with stella-gateway and billing: that of E2E_BIN, or one where they are built.
func binaries(dir string) string {
	GinkgoHelper()
	if bin := os.Getenv("E2E_BIN"); bin != "" {
		return bin
	}
	cmd := exec.Command("go", "build", "-trimpath", "-o", dir+"/", "./gateway/cmd/stella-gateway", "./examples/billing/cmd/billing")
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%s", out)
	return dir
}

// start runs a command with the environment of the suite, without any STELLA_ variable, and env.
func start(env []string, command string, args ...string) {
	GinkgoHelper()
	cmd := exec.Command(command, args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "STELLA_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	for _, v := range env {
		if !strings.HasSuffix(v, "=") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	log := gexec.NewPrefixedWriter("["+filepath.Base(command)+"] ", GinkgoWriter)
	session, err := gexec.Start(cmd, log, log)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() {
		session.Signal(syscall.SIGKILL)
		Eventually(session).WithTimeout(patience).Should(gexec.Exit())
	})
}

// address returns a loopback address that nobody listens on.
func address() string {
	GinkgoHelper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// get asks for a page, and returns the status of the answer.
func get(url string) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}
