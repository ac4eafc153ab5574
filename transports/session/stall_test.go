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

	next time.Time // when the next write may begin
}

const pace = 48 << 20

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
	p.next = p.next.Add(time.Duration(bytes) * time.Second / pace)
	return p.Link.WriteFrames(batch)
}

// Stalled streams on real sockets. What they take from the others in virtual time is exactly nothing.
var _ = Describe("Streams whose readers have stalled", func() {
	const rounds, round = 5, 150 * time.Millisecond

	// crowds opens one crowd whose streams are all active, and one that has so many stalled ones as well. Their readers
	// are held up.
	crowds := func(w way, stalled, active int) (without, with *crowd) {
		GinkgoHelper()
		goroutines := gleak.Goroutines()
		DeferCleanup(func() {
			Eventually(gleak.Goroutines).WithTimeout(patience).ShouldNot(gleak.HaveLeaked(goroutines))
		})
		both := make([]*crowd, 2)
		for i, n := range []int{0, stalled} {
			glink, slink := dial("tcp://127.0.0.1:0")
			if w == up {
				glink = &paced{Link: glink}
			} else {
				slink = &paced{Link: slink}
			}
			c, err := newCrowd(w, n, active, glink, slink)
			Expect(err).NotTo(HaveOccurred())
			c.pause.Lock()
			DeferCleanup(c.close)
			DeferCleanup(sync.OnceFunc(c.pause.Unlock))
			both[i] = c
			held := func() int64 { return c.g.Books().Held + c.s.Books().Held }
			Eventually(held).WithTimeout(patience).Should(BeNumerically(">", int64(n+active)*spec.StreamWindow*9/10), "windows are full")
		}
		return both[0], both[1]
	}

	// moves is how many bytes the readers of c take in a round.
	moves := func(c *crowd) int64 {
		c.pause.Unlock()
		defer c.pause.Lock()
		<-time.After(round / 3) // to get going
		before, begin := c.taken.Load(), time.Now()
		<-time.After(round)
		return (c.taken.Load() - before) * int64(round) / int64(time.Since(begin))
	}

	for _, w := range []way{up, down} {
		for _, stalled := range []int{1, 64} {
			It(fmt.Sprintf("leave the others their throughput, %d of 100 %s", stalled, w), func() {
				without, with := crowds(w, stalled, 100-stalled)
				var ratios []float64
				for range rounds {
					a := moves(without)
					ratios = append(ratios, float64(moves(with))/float64(a))
				}
				sort.Float64s(ratios)
				AddReportEntry("with the stalled ones to without, by round", ratios)
				Expect(ratios[rounds/2]).To(BeNumerically(">=", 0.85), "all rounds: %v", ratios)
			})

			It(fmt.Sprintf("give all credit back when they are cancelled, %d of 100 %s", stalled, w), func() {
				_, c := crowds(w, stalled, 100-stalled)
				moves(c)
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
