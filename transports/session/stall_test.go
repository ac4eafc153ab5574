package session_test

import (
	"fmt"
	"sort"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// paced is a link over which so many bytes are written in a second: what limits a crowd is its link then, and not what
// the machine has left to give.
type paced struct {
	transports.Link

	pace int       // bytes a second
	next time.Time // when the next write may begin
}

func (p *paced) WriteFrames(batch []*transports.Frame) error {
	bytes := 0
	for _, f := range batch {
		bytes += len(f.Bytes())
	}
	if wait := time.Until(p.next); wait > time.Millisecond {
		<-time.After(wait)
	}
	if now := time.Now(); p.next.Before(now.Add(-10 * time.Millisecond)) { // what was not used for long is lost
		p.next = now
	}
	p.next = p.next.Add(time.Duration(bytes) * time.Second / time.Duration(p.pace))
	return p.Link.WriteFrames(batch)
}

// crowds opens one crowd whose streams are all active, and one that has so many stalled ones as well, on links of url
// over which so many bytes go in a second. Their readers are held up.
func crowds(url string, pace int, w way, stalled, active int) (without, with *crowd) {
	GinkgoHelper()
	goroutines := gleak.Goroutines()
	DeferCleanup(func() {
		Eventually(gleak.Goroutines).WithTimeout(patience).ShouldNot(gleak.HaveLeaked(goroutines))
	})
	both := make([]*crowd, 2)
	for i, n := range []int{0, stalled} {
		glink, slink := dial(url)
		if w == up {
			glink = &paced{Link: glink, pace: pace}
		} else {
			slink = &paced{Link: slink, pace: pace}
		}
		c, err := newCrowd(w, n, active, glink, slink)
		Expect(err).NotTo(HaveOccurred())
		c.pause.Lock()
		DeferCleanup(c.close)
		DeferCleanup(sync.OnceFunc(c.pause.Unlock))
		both[i] = c
		held := func() int64 { return c.g.Books().Held + c.s.Books().Held }
		Eventually(held).WithTimeout(4*patience).Should(BeNumerically(">", int64(n+active)*spec.StreamWindow*9/10), "windows are full")
	}
	return both[0], both[1]
}

// moves is how many bytes the readers of c take in a round.
func (c *crowd) moves(round time.Duration) int64 {
	c.pause.Unlock()
	defer c.pause.Lock()
	<-time.After(round / 3) // to get going
	before, begin := c.taken.Load(), time.Now()
	<-time.After(round)
	return (c.taken.Load() - before) * int64(round) / int64(time.Since(begin))
}

// keptRate is which part of their throughput the active streams keep beside stalled ones: the median of rounds in which
// both crowds have their turn, so that what else the machine does hits both.
func keptRate(without, with *crowd, rounds int, round time.Duration) float64 {
	GinkgoHelper()
	ratios := make([]float64, rounds)
	for i := range ratios {
		a := without.moves(round)
		Expect(a).To(BeNumerically(">", 0))
		ratios[i] = float64(with.moves(round)) / float64(a)
	}
	sort.Float64s(ratios)
	AddReportEntry("with the stalled ones to without, by round", ratios)
	return ratios[rounds/2]
}

// Stalled streams on real sockets. What they take from the others in virtual time is exactly nothing.
var _ = Describe("Streams whose readers have stalled", func() {
	const rounds, round = 5, 150 * time.Millisecond
	const url, pace = "tcp://127.0.0.1:0", 48 << 20

	for _, w := range []way{up, down} {
		for _, stalled := range []int{1, 64} {
			It(fmt.Sprintf("leave the others their throughput, %d of 100 %s", stalled, w), func() {
				without, with := crowds(url, pace, w, stalled, 100-stalled)
				Expect(keptRate(without, with, rounds, round)).To(BeNumerically(">=", 0.85))
			})

			It(fmt.Sprintf("give all credit back when they are cancelled, %d of 100 %s", stalled, w), func() {
				_, c := crowds(url, pace, w, stalled, 100-stalled)
				c.moves(round)
				c.leave(c.stalled)
				Eventually(c.g.InFlight).WithTimeout(patience).Should(Equal(len(c.active)))
				c.pause.Unlock()
				defer c.pause.Lock()
				c.leave(c.active)
				Eventually(func() error { return balanced(c.g, c.s) }).WithTimeout(patience).Should(Succeed())
			})
		}
	}
})
