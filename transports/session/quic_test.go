package session_test

import (
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

// percentile99 opens a session through a proxy with faults both ways, makes small calls on it, of which so many are open
// at any time, and returns what 99 of 100 took at most.
func percentile99[P proxy](
	scheme string, listen func(target string, seed uint64) (P, error), f faultproxy.Faults, callers, calls int,
) (P, time.Duration) {
	GinkgoHelper()
	var p P
	glink, slink := dialBy(scheme+"://127.0.0.1:0", func(addr string) string {
		var err error
		p, err = listen(addr[len(scheme+"://"):], uint64(GinkgoRandomSeed()))
		Expect(err).NotTo(HaveOccurred())
		p.Set(faultproxy.ToTarget, f)
		p.Set(faultproxy.ToClient, f)
		return scheme + "://" + p.Addr()
	})
	defer p.Close()
	g, s, err := connect(glink, slink, session.GatewayConfig{}, session.ServiceConfig{Serve: func(c *session.Incoming) {
		body, _ := c.Inline()
		respond(c, 200, string(body))
	}})
	Expect(err).NotTo(HaveOccurred())
	defer func() {
		Expect(g.Close(spec.CodeShutdown, "")).To(Succeed())
		Expect(s.Close()).To(Succeed())
	}()
	body := strings.Repeat("b", 128)
	took := make([]time.Duration, calls)
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			defer GinkgoRecover()
			for i := caller; i < calls; i += callers {
				begin := time.Now()
				c := start(g, body, patience)
				status, got := answer(c)
				c.Close()
				took[i] = time.Since(begin)
				Expect(status).To(Equal(200))
				Expect(got).To(Equal(body))
			}
		})
	}
	wg.Wait()
	slices.Sort(took)
	return p, took[calls*99/100]
}

var _ = Describe("Small calls over a network that loses 1 packet of 50", func() {
	It("take less over QUIC than over TCP, of which each loss holds up all calls for 200 ms: the p99 of 16 callers", func() {
		const callers, calls, share, late = 16, 3200, 0.02, 200 * time.Millisecond
		goroutines := gleak.Goroutines()
		lossy, quic := percentile99("quic", faultproxy.ListenUDP, faultproxy.Faults{Loss: share}, callers, calls)
		_, tcp := percentile99("tcp", faultproxy.ListenTCP, faultproxy.Faults{Late: share, LateBy: late}, callers, calls)
		lost := lossy.Dropped(faultproxy.ToTarget) + lossy.Dropped(faultproxy.ToClient)
		AddReportEntry("p99 of 128-byte calls at 16 callers, and datagrams lost on the way", map[string]any{
			"quic": quic.String(), "tcp": tcp.String(), "lost": lost,
		})
		Expect(lost).To(BeNumerically(">", calls/callers/50), "datagrams were lost")
		Expect(quic).To(BeNumerically("<", tcp))
		Eventually(gleak.Goroutines).WithTimeout(patience).ShouldNot(gleak.HaveLeaked(goroutines))
	})
})

var _ = Describe("A streamed answer over QUIC whose reader is held back", func() {
	It("leaves the others at least 85 % of their rate", func() {
		// Slower than any machine that tests run on: encryption, and the race detector, make it the limit else.
		const pace = 4 << 20
		const others, rounds, round = 7, 15, 150 * time.Millisecond
		without, with := crowds("quic://127.0.0.1:0", pace, down, 1, others)
		Expect(keptRate(without, with, rounds, round)).To(BeNumerically(">=", 0.85))
	})
})
