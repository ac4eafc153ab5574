//go:build soak

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"

	"github.com/stella-ops/router/e2e/fixture"
)

// TestSoakLoad runs the specs that take a quiet machine and a minute.
func TestSoakLoad(t *testing.T) {
	RegisterFailHandler(Fail)
	suite, report := GinkgoConfiguration()
	suite.LabelFilter = "load"
	RunSpecs(t, "load", suite, report)
}

// loaded starts a gateway with a configuration, and the fixture with so many calls at once at most.
func loaded(config string, lease int, endpoints ...string) *stack {
	GinkgoHelper()
	out, err := exec.Command("go", "build", "-trimpath", "-o", scratch+"/", "./fixture/cmd/openloop").CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%s", out)
	s := &stack{form: processes(), http: address(), admin: address(), listen: "tcp://" + address(), rest: map[program]held{}}
	file := filepath.Join(GinkgoT().TempDir(), "gateway.yaml")
	Expect(os.WriteFile(file, []byte(config), 0o600)).To(Succeed())
	s.gateway = start("gateway", nil, binary("stella-gateway"), "run", "--config", file, "--http", s.http, "--listen", s.listen, "--admin", s.admin)
	Eventually(func() error { return healthy(s.admin) }).Should(Succeed())
	start("fixture", []string{"STELLA_GATEWAYS=" + s.listen, fmt.Sprintf("STELLA_LEASE=%d", lease)}, filepath.Join(scratch, "fixture"), endpoints...)
	Eventually(func() int { return call("GET", s.url("/work"), "").StatusCode }).Should(Equal(204))
	return s
}

// openloop asks at a rate, and does something meanwhile.
func (s *stack) openloop(rate int, lasts time.Duration, meanwhile func()) fixture.Load {
	GinkgoHelper()
	p := start("openloop", nil, filepath.Join(scratch, "openloop"), "-rate", strconv.Itoa(rate), "-for", lasts.String(), s.url("/work"))
	meanwhile()
	Eventually(p).WithTimeout(lasts + 2*patience).Should(gexec.Exit(0))
	var l fixture.Load
	Expect(json.Unmarshal(p.Out.Contents(), &l)).To(Succeed())
	AddReportEntry(fmt.Sprintf("%d a second for %s: %v, p50 %s, p99 %s", rate, lasts, l.Statuses, l.P50, l.P99))
	return l
}

func nothing() {}

var _ = Describe("under load", Label("load"), Serial, func() {
	It("five times what a service can do leaves nine tenths of that and quick answers, and is over when it is over", func() {
		const capacity, seconds = 10 * 50, 60 // lease 10, 20 ms a call
		s := loaded("limits: {concurrency: {adaptive: true}}\n", 10, "GET /work", "GET /census")
		calm := s.openloop(capacity/4, 10*time.Second, nothing)
		storm := s.openloop(5*capacity, seconds*time.Second, nothing)
		after := s.openloop(capacity/2, 15*time.Second, nothing)
		for status := range storm.Statuses {
			Expect(status).To(BeElementOf("204", "503"))
		}
		Expect(storm.Statuses["204"]).To(BeNumerically(">=", capacity*seconds*8/10), "goodput")
		Expect(storm.P99).To(BeNumerically("<=", 3*calm.P99))
		for _, n := range after.PerSecond[5:] {
			Expect(n).To(BeNumerically(">=", capacity/2*98/100), "five at once of ten, and a machine that is late for 20 ms has ten")
		}
	})

	It("a thousand instances that register at once do not hold running traffic up", func() {
		const herd, lasts = 1000, 12 * time.Second
		s := loaded("transports: {acceptRate: 100}\n", 1000, "GET /work", "GET /census")
		best := 0.0
		for range 3 {
			before := s.openloop(250, lasts, nothing)
			var crowd *process
			during := s.openloop(250, lasts, func() {
				crowd = start("herd", []string{"STELLA_GATEWAYS=" + s.listen}, filepath.Join(scratch, "fixture"),
					"-name", "herd", "-herd", strconv.Itoa(herd), "GET /items/{id}")
				Eventually(s.registered).WithTimeout(3 * lasts).WithPolling(500 * time.Millisecond).Should(Equal(herd + 1))
			})
			Expect(during.Statuses).To(HaveLen(1), "every request succeeds")
			ratio := float64(during.P99) / float64(before.P99)
			AddReportEntry(fmt.Sprintf("p99 %.2f times", ratio))
			if best == 0 || ratio < best {
				best = ratio
			}
			crowd.kill()
			Eventually(s.registered).Should(Equal(1))
		}
		Expect(best).To(BeNumerically("<=", 2))
		Expect(strings.Count(s.gateway.log(), "level=ERROR")).To(BeZero())
	})
})
