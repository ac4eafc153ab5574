package limit_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"

	"github.com/stella-ops/router/gateway/limit"
	"github.com/stella-ops/router/spec"
)

func TestLimit(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Limit")
}

// patience bounds what a spec waits for.
const patience = 5 * time.Second

var _ = BeforeEach(func() {
	before := gleak.Goroutines()
	DeferCleanup(func() { Eventually(gleak.Goroutines).WithTimeout(patience).ShouldNot(gleak.HaveLeaked(before)) })
})

var quiet = slog.New(slog.DiscardHandler)

// newLimiter is a limiter that does not run.
func newLimiter(c limit.Config) *limit.Limiter {
	GinkgoHelper()
	l, err := limit.New(c, quiet)
	Expect(err).NotTo(HaveOccurred())
	return l
}

// running is a limiter that runs as long as the spec.
func running(c limit.Config) *limit.Limiter {
	GinkgoHelper()
	l := newLimiter(c)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	l.Connect(ctx)
	go func() {
		defer close(ended)
		l.Run(ctx)
	}()
	DeferCleanup(func() {
		cancel()
		Eventually(ended).WithTimeout(patience).Should(BeClosed())
	})
	return l
}

// invoices is an endpoint.
const invoices = "POST /invoices/{}"

// subject is a caller with a name.
func subject(name string) limit.Caller {
	return limit.Caller{Address: "192.0.2.1:1234", Identity: &spec.Identity{Subject: name}}
}

// from is a caller with an address.
func from(address string) limit.Caller { return limit.Caller{Address: address} }

// taken is how many of n requests of a caller pass.
func taken(l *limit.Limiter, p *limit.Plan, c limit.Caller, n int, now time.Time) int {
	passed := 0
	for range n {
		if l.Take(context.Background(), p, c, now).Allowed {
			passed++
		}
	}
	return passed
}
