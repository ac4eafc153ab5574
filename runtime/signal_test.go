package stella_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/onsi/gomega/gexec"

	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

// childContext makes that service take SIGTERM and SIGINT itself, too, as many programs do.
const childContext = "RUNTIME_TEST_CONTEXT"

// childManifest makes the test binary run a service of this manifest instead of the tests: signals are for processes.
const childManifest = "RUNTIME_TEST_MANIFEST"

func TestMain(m *testing.M) {
	if manifest := os.Getenv(childManifest); manifest != "" {
		os.Exit(child(stella.Manifest{JSON: manifest}))
	}
	os.Exit(m.Run())
}

// child serves one endpoint, whose handler goes on until its context ends, or until a byte comes on standard input.
func child(m stella.Manifest) int {
	letGo := make(chan struct{})
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1))
		close(letGo)
	}()
	entered := make(chan struct{})
	go func() {
		for range entered {
			fmt.Println("entered")
		}
	}()
	e := block(entered, letGo, make(chan error, 1))
	ctx := context.Background()
	if os.Getenv(childContext) != "" {
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
		defer stop()
	}
	err := stella.New(m, stella.Endpoints{Package: "test", List: []stella.Endpoint{{Method: e.Method, Path: e.Path, Dispatch: e.dispatch}}}).Run(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

var _ = Describe("A process", func() {
	var (
		g       *gateway
		s       *session.Gateway
		process *gexec.Session
		letGo   func()
	)

	launch := func(env ...string) {
		g = listen("tcp://127.0.0.1:0")
		m, _ := service(block(nil, nil, nil))
		binary, err := os.Executable()
		Expect(err).NotTo(HaveOccurred())
		command := exec.Command(binary)
		command.Env = append(append(os.Environ(), childManifest+"="+m.JSON, stella.EnvGateways+"="+g.url), env...)
		stdin, err := command.StdinPipe()
		Expect(err).NotTo(HaveOccurred())
		letGo = func() { Expect(stdin.Close()).To(Succeed()) }
		process, err = gexec.Start(command, GinkgoWriter, GinkgoWriter)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { process.Kill().Wait(patience) })
		s = g.connected()
	}

	DescribeTable("drains on the first signal and exits with success", func(sig syscall.Signal, env ...string) {
		launch(env...)
		c := begin(s, request{}, false)
		Eventually(process).WithTimeout(patience).Should(gbytes.Say("entered"))
		process.Signal(sig)
		Eventually(g.goaways).WithTimeout(patience).Should(Receive(Equal(spec.CodeShutdown)))
		Expect(process).NotTo(gexec.Exit())
		letGo()
		r, err := finish(c)
		Expect(err).NotTo(HaveOccurred())
		Expect(r.Status).To(Equal(200))
		Eventually(process).WithTimeout(patience).Should(gexec.Exit(0))
	},
		Entry("SIGTERM", syscall.SIGTERM),
		Entry("SIGINT", syscall.SIGINT),
		Entry("SIGINT, which the program takes as well", syscall.SIGINT, childContext+"=1"),
	)

	It("ends at once on the second signal, and says so", func() {
		launch()
		c := begin(s, request{}, false)
		Eventually(process).WithTimeout(patience).Should(gbytes.Say("entered"))
		process.Signal(syscall.SIGTERM)
		Eventually(g.goaways).WithTimeout(patience).Should(Receive())
		process.Signal(syscall.SIGINT)
		_, err := finish(c)
		Expect(err).To(haveCode(spec.CodeShutdown))
		Eventually(process).WithTimeout(patience).Should(gexec.Exit(1))
		Expect(process.Err).To(gbytes.Say("second signal"))
	})
})
