//go:build !nobrokers

package e2e

import (
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("a gateway at a broker that is restarted by handover", func() {
	for _, b := range brokers() {
		It("fails no request: services find the next process as they find any, over "+b.name, func() {
			s := &stack{listen: b.start()}
			f := startFleetBy(form{gateway: relayProcess}, s)
			r, ok := s.gateway.(*relay)
			Expect(ok).To(BeTrue())
			for _, id := range []string{"i0", "i1"} {
				f.instance(id)
			}
			f.under(func() {
				for range 2 {
					r.handOver(r.signal)
					Expect(s.serves("i0")).To(BeTrue())
					Expect(s.serves("i1")).To(BeTrue())
				}
			})
			f.settled()
			Expect(f.large[http.StatusServiceUnavailable]).To(BeZero(), "large bodies")
			Expect(strings.Count(r.log(), "handover: the new process serves")).To(Equal(2))
			Expect(r.log()).NotTo(ContainSubstring("services have not come in time"))
		})
	}
})
