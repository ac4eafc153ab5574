package e2e

import (
	"context"
	"io"
	"log/slog"
	"os"
	"runtime"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/onsi/gomega/gexec"
	"github.com/onsi/gomega/gleak"

	"github.com/stella-ops/router/e2e/fixture"
	"github.com/stella-ops/router/gateway"
	stella "github.com/stella-ops/router/runtime"
)

// part is a gateway or a service in this process.
type part struct {
	output *gbytes.Buffer
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended
	err    error         // why; set before done is closed
}

// newPart returns a part that does not run yet, and a logger for it.
func newPart(name string) (*part, *slog.Logger) {
	p := &part{output: gbytes.NewBuffer(), done: make(chan struct{})}
	out := io.MultiWriter(p.output, gexec.NewPrefixedWriter("["+name+"] ", GinkgoWriter))
	return p, slog.New(slog.NewTextHandler(out, nil))
}

// run runs a part, which is ended with its spec or container at the latest.
func (p *part) run(serve func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	go func() {
		defer close(p.done)
		p.err = serve(ctx)
	}()
	DeferCleanup(func() {
		cancel()
		Eventually(p.done).Should(BeClosed())
	})
}

// gatewayPart starts a gateway in this process.
func gatewayPart(s *stack) program {
	GinkgoHelper()
	forbidLeaks()
	p, log := newPart("gateway")
	g, err := gateway.New(gateway.Config{
		HTTP: s.http, Admin: s.admin, Listen: []string{s.listen}, Dev: s.settings.dev,
		Retain: s.settings.retain, Stall: s.settings.stall, Logger: log,
	})
	Expect(err).NotTo(HaveOccurred())
	p.run(g.Serve)
	return p
}

// servicePart starts the service in this process: the dispatchers that the generator wrote, on the real runtime.
func servicePart(s *stack, v fixture.Variant) program {
	GinkgoHelper()
	forbidLeaks()
	p, log := newPart("fixture")
	svc, err := v.New(stella.WithLogger(log), stella.WithVariable(stella.EnvGateways, s.tap.url))
	Expect(err).NotTo(HaveOccurred())
	p.run(svc.Run)
	return p
}

// forbidLeaks fails the spec or container if, at its end, this process has more goroutines or descriptors than now.
func forbidLeaks() {
	before, open := gleak.Goroutines(), descriptors("self")
	DeferCleanup(func() {
		Eventually(gleak.Goroutines).ShouldNot(gleak.HaveLeaked(before))
		Eventually(descriptors).WithArguments("self").Should(BeNumerically("<=", open))
	})
}

func (p *part) end() {
	GinkgoHelper()
	p.cancel()
	Eventually(p.done).Should(BeClosed())
	Expect(p.err).NotTo(HaveOccurred())
}

func (p *part) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (*part) held() held { return held{descriptors("self"), fixture.Goroutines()} }

func (*part) memory() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func (p *part) log() string { return string(p.output.Contents()) }

// descriptors is the number of file descriptors that a process has open.
func descriptors(pid string) int {
	GinkgoHelper()
	entries, err := os.ReadDir("/proc/" + pid + "/fd")
	Expect(err).NotTo(HaveOccurred())
	return len(entries)
}
