package limit_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/limit"
	"github.com/stella-ops/router/gateway/telemetry"
	"github.com/stella-ops/router/transports/brokertest"
)

// shared is a rule of an environment.
func shared(rate int, per time.Duration, burst int, failure limit.Failure) limit.Rule {
	return limit.Rule{
		Name: "shared", By: "subject", Rate: rate, Per: per, Burst: burst, Scope: limit.ScopeEnvironment, Failure: failure,
	}
}

func at(server *brokertest.Server, rules ...limit.Rule) limit.Config {
	return limit.Config{Store: "valkey://" + server.Addr, Gateways: 2, Rules: rules}
}

// within asserts that a decision is made in time, with some for a machine that has other things to do.
func within(l *limit.Limiter, p *limit.Plan, c limit.Caller) limit.Decision {
	GinkgoHelper()
	begun := time.Now()
	d := l.Take(context.Background(), p, c, begun)
	Expect(time.Since(begun)).To(BeNumerically("<", limit.Budget+50*time.Millisecond))
	return d
}

var _ = Describe("a rule of an environment", func() {
	var server *brokertest.Server

	BeforeEach(func() { server = brokertest.Valkey(GinkgoT()) })

	It("is shared by two gateways within 5 % over 2 s, whatever their clocks say", func() {
		const rate, lasts = 500, 2 * time.Second
		rule := shared(rate, time.Second, 25, limit.FailureClosed) // so that what a busy machine misses for 50 ms is not lost
		var passed [2]atomic.Int64
		var wg sync.WaitGroup
		begun := time.Now()
		for i, skew := range []time.Duration{-time.Hour, 24 * time.Hour} {
			l := running(at(server, rule))
			p := l.Plan("billing", invoices)
			for range 4 {
				wg.Go(func() {
					for now := time.Now(); now.Sub(begun) < lasts; now = time.Now() {
						if l.Take(context.Background(), p, subject("x"), now.Add(skew)).Allowed {
							passed[i].Add(1)
						}
					}
				})
			}
		}
		wg.Wait()
		expected := rate * time.Since(begun).Seconds()
		one, other := float64(passed[0].Load()), float64(passed[1].Load())
		Expect(one+other).To(And(BeNumerically(">", 0.95*expected), BeNumerically("<", 1.05*expected)), "%v and %v", one, other)
		Expect(one).To(BeNumerically(">", 0))
		Expect(other).To(BeNumerically(">", 0))
	})

	It("says how many more would pass, and when", func() {
		l := running(at(server, shared(1, time.Minute, 3, limit.FailureClosed)))
		p := l.Plan("billing", invoices)
		for _, left := range []int{2, 1, 0} {
			d := l.Take(context.Background(), p, subject("x"), time.Now())
			Expect(d).To(And(HaveField("Allowed", true), HaveField("Remaining", left), HaveField("Source", limit.SourceValkey), HaveField("Limit", 3)))
			Expect(d.Reset).To(BeNumerically("~", time.Duration(3-left)*time.Minute, 10*time.Second))
		}
		d := l.Take(context.Background(), p, subject("x"), time.Now())
		Expect(d).To(And(HaveField("Allowed", false), HaveField("Unavailable", false), HaveField("Remaining", 0)))
		Expect(d.RetryAfter).To(BeNumerically("~", time.Minute, 10*time.Second))
		Expect(d.Reset).To(BeNumerically("~", 3*time.Minute, 10*time.Second))
		Expect(l.Take(context.Background(), p, subject("y"), time.Now()).Allowed).To(BeTrue(), "somebody else")
	})

	It("passes bursts at rates that are fractions of microseconds exactly", func() {
		l := running(at(server, shared(3, 10*time.Second, 7, limit.FailureClosed)))
		Expect(taken(l, l.Plan("billing", invoices), subject("x"), 20, time.Now())).To(Equal(7))
	})

	It("has a key for each who is counted, that ends by itself, and of which nobody can be read", func() {
		c := at(server, shared(1000, time.Second, 100, limit.FailureClosed))
		c.Store, c.Environment = c.Store+"/3?prefix=mine", "staging"
		l := running(c)
		Expect(taken(l, l.Plan("billing", invoices), subject("somebody@example.com"), 100, time.Now())).To(BeNumerically(">=", 99))
		Expect(server.Command("DBSIZE")).To(Equal(":0"), "database 0")
		found := keys(server, 3)
		Expect(found).To(HaveLen(1))
		Expect(found[0]).To(MatchRegexp(`^mine:limit:staging:\{[0-9a-f]{32}\}$`))
		Eventually(func() []string { return keys(server, 3) }).WithTimeout(patience).Should(BeEmpty())
	})

	It("of another name or environment has counts of its own, and of another gateway has the same", func() {
		pass := func(c limit.Config) int {
			l := running(c)
			return taken(l, l.Plan("billing", invoices), subject("x"), 2, time.Now())
		}
		rule := shared(1, time.Hour, 1, limit.FailureClosed)
		Expect(pass(at(server, rule))).To(Equal(1))
		Expect(pass(at(server, rule))).To(BeZero())
		elsewhere := at(server, rule)
		elsewhere.Environment = "other"
		Expect(pass(elsewhere)).To(Equal(1))
		rule.Name = "renamed"
		Expect(pass(at(server, rule))).To(Equal(1))
	})

	It("goes on when the server has forgotten the script", func() {
		l := running(at(server, shared(1, time.Hour, 10, limit.FailureClosed)))
		p := l.Plan("billing", invoices)
		Expect(taken(l, p, subject("x"), 3, time.Now())).To(Equal(3))
		server.Command("SCRIPT", "FLUSH")
		Expect(taken(l, p, subject("x"), 9, time.Now())).To(Equal(7))
	})

	DescribeTable("decides within 50 ms by its failure mode",
		func(stop func(), failure limit.Failure, passing int) {
			l := running(at(server, shared(1, time.Hour, 8, failure)))
			p := l.Plan("billing", invoices)
			Expect(l.Take(context.Background(), p, subject("x"), time.Now()).Source).To(Equal(limit.SourceValkey))
			stop()
			passed := 0
			for range 20 {
				d := within(l, p, subject("x"))
				Expect(d.Source).To(Equal(limit.SourceFallback))
				if d.Allowed {
					passed++
					continue
				}
				Expect(d.RetryAfter).To(BeNumerically(">", 0))
				Expect(d.Unavailable).To(Equal(failure == limit.FailureClosed))
			}
			Expect(passed).To(Equal(passing))
			Expect(l.Limits().Breaker).To(Or(Equal(telemetry.BreakerOpen), Equal(telemetry.BreakerHalfOpen)))
			Expect(l.Limits().Failures).To(BeNumerically(">=", 5))
		},
		Entry("open, of a server that is gone", func() { server.Kill() }, limit.FailureOpen, 20),
		Entry("closed, of a server that is gone", func() { server.Kill() }, limit.FailureClosed, 0),
		Entry("local, of a server that is gone: with a share of the rate", func() { server.Kill() }, limit.FailureLocal, 4),
		Entry("open, of a server that is silent", func() { server.Stop() }, limit.FailureOpen, 20),
		Entry("closed, of a server that is silent", func() { server.Stop() }, limit.FailureClosed, 0),
		Entry("local, of a server that is silent", func() { server.Stop() }, limit.FailureLocal, 4),
	)

	DescribeTable("is counted by the server again once that answers",
		func(stop, start func()) {
			l := running(at(server, shared(1, time.Hour, 1000, limit.FailureOpen)))
			p := l.Plan("billing", invoices)
			stop()
			for range 10 {
				Expect(within(l, p, subject("x")).Source).To(Equal(limit.SourceFallback))
			}
			start()
			Eventually(func() limit.Source { return l.Take(context.Background(), p, subject("x"), time.Now()).Source }).
				WithTimeout(patience).Should(Equal(limit.SourceValkey))
			Expect(l.Limits().Breaker).To(Equal(telemetry.BreakerClosed))
		},
		Entry("after a restart", func() { server.Kill() }, func() { server.Restart() }),
		Entry("after a silence", func() { server.Stop() }, func() { server.Cont() }),
	)

	It("falls under its failure mode when the script fails, and is counted again later", func() {
		l := running(at(server, shared(1, time.Hour, 10, limit.FailureClosed)))
		p := l.Plan("billing", invoices)
		Expect(l.Take(context.Background(), p, subject("x"), time.Now()).Allowed).To(BeTrue())
		server.Command("CONFIG", "SET", "maxmemory", "1") // no write is taken
		for range 6 {
			Expect(within(l, p, subject("x"))).To(And(HaveField("Unavailable", true), HaveField("Source", limit.SourceFallback)))
		}
		server.Command("CONFIG", "SET", "maxmemory", "0")
		Eventually(func() bool { return l.Take(context.Background(), p, subject("x"), time.Now()).Allowed }).WithTimeout(patience).Should(BeTrue())
	})

	It("is not harmed by a key that holds something else", func() {
		l := running(at(server, shared(1, time.Hour, 3, limit.FailureClosed)))
		p := l.Plan("billing", invoices)
		Expect(taken(l, p, subject("x"), 1, time.Now())).To(Equal(1))
		key := keys(server, 0)[0]
		server.Command("SET", key, "rubbish")
		Expect(taken(l, p, subject("x"), 9, time.Now())).To(Equal(3))
		server.Command("SET", key, "9e15") // of a server whose clock was far ahead
		d := l.Take(context.Background(), p, subject("x"), time.Now())
		Expect(d.Allowed).To(BeFalse())
		Expect(d.RetryAfter).To(BeNumerically("<=", time.Hour))
		server.Command("DEL", key)
		server.Command("LPUSH", key, "x")
		Expect(within(l, p, subject("x")).Source).To(Equal(limit.SourceFallback))
	})

	It("does not open the breaker because clients leave", func() {
		l := running(at(server, shared(1, time.Hour, 100, limit.FailureClosed)))
		p := l.Plan("billing", invoices)
		gone, cancel := context.WithCancel(context.Background())
		cancel()
		for range 20 {
			l.Take(gone, p, subject("x"), time.Now())
		}
		Expect(l.Limits().Breaker).To(Equal(telemetry.BreakerClosed))
		Expect(l.Take(context.Background(), p, subject("x"), time.Now()).Source).To(Equal(limit.SourceValkey))
	})

	It("is counted by the server as soon as that is there, when the gateway was there first", func() {
		server.Kill()
		l := running(at(server, shared(1, time.Hour, 1000, limit.FailureOpen)))
		p := l.Plan("billing", invoices)
		Expect(within(l, p, subject("x")).Source).To(Equal(limit.SourceFallback))
		server.Restart()
		Eventually(func() limit.Source { return l.Take(context.Background(), p, subject("x"), time.Now()).Source }).
			WithTimeout(patience).Should(Equal(limit.SourceValkey))
	})

	It("decides in time when many ask a silent server at once", func() {
		l := running(at(server, shared(1, time.Hour, 1000, limit.FailureOpen)))
		p := l.Plan("billing", invoices)
		server.Stop()
		took := make([]time.Duration, 200)
		var wg sync.WaitGroup
		for i := range took {
			wg.Go(func() {
				begun := time.Now()
				l.Take(context.Background(), p, subject("x"), begun)
				took[i] = time.Since(begun)
			})
		}
		wg.Wait()
		Expect(took).To(HaveEach(BeNumerically("<", limit.Budget+50*time.Millisecond)))
	})
})

// keys are those of a database.
func keys(server *brokertest.Server, database int) []string {
	GinkgoHelper()
	c, err := net.DialTimeout("tcp", server.Addr, patience)
	Expect(err).NotTo(HaveOccurred())
	defer c.Close()
	Expect(c.SetDeadline(time.Now().Add(patience))).To(Succeed())
	_, err = fmt.Fprintf(c, "SELECT %d\r\nKEYS *\r\n", database)
	Expect(err).NotTo(HaveOccurred())
	lines, r := []string{}, bufio.NewReader(c)
	next := func() string {
		line, err := r.ReadString('\n')
		Expect(err).NotTo(HaveOccurred())
		return strings.TrimSpace(line)
	}
	Expect(next()).To(Equal("+OK"))
	var n int
	_, err = fmt.Sscanf(next(), "*%d", &n)
	Expect(err).NotTo(HaveOccurred())
	for range n {
		next() // its length
		lines = append(lines, next())
	}
	return lines
}
