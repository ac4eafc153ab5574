package session_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/faultproxy"
	"github.com/stella-ops/router/transports/session"
)

// proxy is one for faults, for datagrams or bytes.
type proxy interface {
	io.Closer
	Addr() string
	Set(dir faultproxy.Direction, f faultproxy.Faults)
}

// caller makes small calls on a session that goes through a proxy with faults both ways.
type caller struct {
	g    *session.Gateway
	body string
}

func newCaller[P proxy](scheme string, listen func(target string, seed uint64) (P, error), f faultproxy.Faults) (P, *caller) {
	GinkgoHelper()
	var p P
	glink, slink := dialBy(scheme+"://127.0.0.1:0", func(addr string) string {
		var err error
		p, err = listen(addr[len(scheme+"://"):], uint64(GinkgoRandomSeed()))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(p.Close)
		p.Set(faultproxy.ToTarget, f)
		p.Set(faultproxy.ToClient, f)
		return scheme + "://" + p.Addr()
	})
	g, s, err := connect(glink, slink, session.GatewayConfig{}, session.ServiceConfig{Serve: func(c *session.Incoming) {
		body, _ := c.Inline()
		respond(c, 200, string(body))
	}})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() {
		Expect(g.Close(spec.CodeShutdown, "")).To(Succeed())
		Expect(s.Close()).To(Succeed())
	})
	return p, &caller{g, strings.Repeat("b", 128)}
}

// percentile99 makes calls, of which at many are open at any time, and returns what 99 of 100 took at most.
func (c *caller) percentile99(calls, at int) time.Duration {
	GinkgoHelper()
	took := make([]time.Duration, calls)
	var wg sync.WaitGroup
	for first := range at {
		wg.Go(func() {
			defer GinkgoRecover()
			for i := first; i < calls; i += at {
				begin := time.Now()
				call := start(c.g, c.body, patience)
				status, got := answer(call)
				call.Close()
				took[i] = time.Since(begin)
				Expect(status).To(Equal(200))
				Expect(got).To(Equal(c.body))
			}
		})
	}
	wg.Wait()
	slices.Sort(took)
	return took[calls*99/100]
}

var _ = Describe("Small calls over a network that loses 1 packet of 50", func() {
	It("take less over QUIC than over TCP, of which each loss holds up all calls for 200 ms: the p99 of 16 callers", func() {
		const callers, calls, share, late = 16, 2000, 0.02, 200 * time.Millisecond
		const rounds = 5 // in turns; a machine that stands still for a moment spoils one of them
		goroutines := gleak.Goroutines()
		DeferCleanup(func() {
			Eventually(gleak.Goroutines).WithTimeout(patience).ShouldNot(gleak.HaveLeaked(goroutines))
		})
		lossy, overQUIC := newCaller("quic", faultproxy.ListenUDP, faultproxy.Faults{Loss: share})
		_, overTCP := newCaller("tcp", faultproxy.ListenTCP, faultproxy.Faults{Late: share, LateBy: late})
		var quic, tcp [rounds]time.Duration
		for i := range rounds {
			quic[i], tcp[i] = overQUIC.percentile99(calls, callers), overTCP.percentile99(calls, callers)
		}
		lost := lossy.Dropped(faultproxy.ToTarget) + lossy.Dropped(faultproxy.ToClient)
		AddReportEntry("p99 of 128-byte calls at 16 callers, by round, and datagrams lost on the way",
			fmt.Sprintf("quic %v, tcp %v, lost %d", quic, tcp, lost))
		Expect(lost).To(BeNumerically(">", rounds*calls/callers/50), "datagrams were lost")
		slices.Sort(quic[:])
		slices.Sort(tcp[:])
		Expect(quic[rounds/2]).To(BeNumerically("<", tcp[rounds/2]))
	})
})

var _ = Describe("A streamed answer over QUIC whose reader is held back", func() {
	It("leaves the others at least 85 % of their rate", func() {
		// Slower than any machine that tests run on: encryption, and the race detector, make it the limit else.
		const pace = 2 << 20
		const others, rounds, round = 7, 21, 200 * time.Millisecond
		without, with := crowds("quic://127.0.0.1:0", pace, down, 1, others)
		Expect(keptRate(without, with, rounds, round)).To(BeNumerically(">=", 0.85))
	})
})
