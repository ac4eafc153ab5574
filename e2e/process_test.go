package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"

	"github.com/stella-ops/router/e2e/fixture"
	"github.com/stella-ops/router/gateway/edge"
)

// process is one binary that runs. It is killed when its spec or container ends, if it has not ended before.
type process struct {
	*gexec.Session

	name       string
	goroutines func() int // nil where nobody asks
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

func (p *process) end() {
	GinkgoHelper()
	p.Signal(syscall.SIGTERM)
	Eventually(p).Should(gexec.Exit(0), "%s did not end cleanly", p.name)
}

func (p *process) ended() bool { return p.ExitCode() >= 0 }

// kill ends the process without giving it a chance to say anything.
func (p *process) kill() {
	GinkgoHelper()
	p.Signal(syscall.SIGKILL)
	Eventually(p).Should(gexec.Exit())
}

func (p *process) held() held {
	GinkgoHelper()
	return held{descriptors(strconv.Itoa(p.Command.Process.Pid)), p.goroutines()}
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

func (p *process) log() string { return string(p.Err.Contents()) }

// Ports that address gives out. They are below those that systems take for connections (from 32768 on, on Linux), any of
// which could come between the choice of a port and the start of who is to listen there.
const (
	firstPort = 15_000
	lastPort  = 32_000
)

var portsGiven sync.Map

// address returns a loopback address that nobody listens on, and that it has not returned before.
func address() string {
	GinkgoHelper()
	for range lastPort - firstPort {
		port := firstPort + rand.IntN(lastPort-firstPort)
		if _, given := portsGiven.LoadOrStore(port, true); given {
			continue
		}
		at := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if l, err := net.Listen("tcp", at); err == nil {
			Expect(l.Close()).To(Succeed())
			return at
		}
	}
	Fail("no port is free")
	return ""
}

// gatewayProcess starts stella-gateway.
func gatewayProcess(s *stack) program {
	GinkgoHelper()
	args := []string{"run", "--http", s.http, "--listen", s.listen, "--admin", s.admin}
	if d := s.settings.dev; d != nil {
		args = append(args, "--dev", "--dev-token-file", d.TokenFile, "--dev-key", d.KeyFile)
	}
	if s.settings.retain != 0 {
		args = append(args, "--retain", s.settings.retain.String())
	}
	if s.settings.drainDelay != 0 {
		args = append(args, "--drain-delay", s.settings.drainDelay.String())
	}
	if s.settings.queue != "" {
		args = append(args, "--queue", s.settings.queue)
	}
	s.settings.stall = edge.DefaultStall
	p := start("gateway", nil, binary("stella-gateway"), args...)
	p.goroutines = func() int {
		GinkgoHelper()
		a, err := try(http.MethodGet, "http://"+s.admin+"/debug/pprof/goroutine?debug=1", http.NoBody)
		Expect(err).NotTo(HaveOccurred())
		var n int
		_, err = fmt.Sscanf(a.body, "goroutine profile: total %d", &n)
		Expect(err).NotTo(HaveOccurred(), "%.100s", a.body)
		return n
	}
	return p
}

// serviceProcess starts the fixture.
func serviceProcess(s *stack, v fixture.Variant) program {
	GinkgoHelper()
	p := start("fixture", []string{"STELLA_GATEWAYS=" + s.tap.url}, filepath.Join(scratch, "fixture"), append([]string{"-name", v.Name}, v.Only...)...)
	p.goroutines = func() int {
		GinkgoHelper()
		a, err := try(http.MethodGet, s.url("/census"), http.NoBody)
		Expect(err).NotTo(HaveOccurred())
		var c fixture.Census
		Expect(json.Unmarshal([]byte(a.body), &c)).To(Succeed(), "%s", a.body)
		return c.Goroutines
	}
	return p
}
