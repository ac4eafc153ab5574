package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/e2e/fixture"
	stella "github.com/stella-ops/router/runtime"
)

// What a gateway that comes back has to do with a herd of services.
const (
	herd        = 500
	acceptRate  = 100 // a second, by default
	acceptBurst = acceptRate / 10
	herdWithin  = 10 * time.Second
)

var connected = regexp.MustCompile(`time=(\S+) level=INFO msg="service connected"`)

// connections are the moments at which the gateway took on services, as its log has them.
func connections(log string) []time.Time {
	GinkgoHelper()
	var at []time.Time
	for _, m := range connected.FindAllStringSubmatch(log, -1) {
		t, err := time.Parse("2006-01-02T15:04:05.999Z07:00", m[1])
		Expect(err).NotTo(HaveOccurred())
		at = append(at, t)
	}
	slices.SortFunc(at, time.Time.Compare)
	return at
}

// densest is the largest number of moments within any one second.
func densest(at []time.Time) int {
	most, first := 0, 0
	for i := range at {
		for at[i].Sub(at[first]) >= time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

func (s *stack) registered() int {
	n := 0
	for _, v := range s.services() {
		n += len(v.Instances)
	}
	return n
}

// startHerd starts many instances within this process, and waits until the gateway has them.
func (s *stack) startHerd() {
	GinkgoHelper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	DeferCleanup(func() {
		cancel()
		wg.Wait()
	})
	for i := range herd {
		svc, err := fixture.Variant{Only: []string{"GET /items/{id}"}}.New(
			stella.WithVariable(stella.EnvGateways, s.listen), stella.WithInstanceID(fmt.Sprintf("i%d", i)),
			stella.WithVariable(stella.EnvGrace, "10ms"), stella.WithLogger(slog.New(slog.DiscardHandler)))
		Expect(err).NotTo(HaveOccurred())
		wg.Go(func() {
			defer GinkgoRecover()
			Expect(svc.Run(ctx)).To(Succeed())
		})
	}
	Eventually(s.registered).WithTimeout(3 * herdWithin).WithPolling(100 * time.Millisecond).Should(Equal(herd))
}

var _ = Describe("a gateway that is killed", func() {
	It("has five hundred services registered again within ten seconds of its return, at no more than its rate", func() {
		s := &stack{form: processes(), http: address(), admin: address(), listen: "tcp://" + address(), rest: map[program]held{}}
		s.startGateway()
		s.startHerd()

		p, ok := s.gateway.(*process)
		Expect(ok).To(BeTrue())
		p.kill()
		<-time.After(1500 * time.Millisecond)
		s.startGateway()
		back := time.Now()
		Eventually(s.registered).WithTimeout(2 * herdWithin).WithPolling(50 * time.Millisecond).Should(Equal(herd))
		took, at := time.Since(back), connections(s.gateway.log())
		GinkgoWriter.Printf("all are back after %v, at most %d within a second\n", took, densest(at))
		Expect(took).To(BeNumerically("<", herdWithin))
		Expect(at).To(HaveLen(herd))
		Expect(densest(at)).To(BeNumerically("<=", acceptRate+acceptBurst))
	})
})
