package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/e2e/fixture"
)

var _ = Describe("a rogue process", func() {
	It("that wants another service's path, another contract for a version, or an instance's name is kept out, with the reason, and traffic goes on", func() {
		s := startStack(processes(), settings{service: fixture.Variant{Only: []string{"GET /census", "GET /items/{id}"}}})
		victim := s.services()[0].Instances[0].ID
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		var asked, wrong atomic.Int64
		var load sync.WaitGroup
		for range 2 {
			load.Go(func() {
				defer GinkgoRecover()
				for ctx.Err() == nil {
					var item fixture.Item
					a, err := try(http.MethodGet, s.url("/items/1"), http.NoBody)
					if err != nil || a.StatusCode != http.StatusOK || json.Unmarshal([]byte(a.body), &item) != nil || item.Owner != "fixture" {
						wrong.Add(1)
					}
					asked.Add(1)
				}
			})
		}
		rogue := func(service, instance string, endpoints ...string) {
			start("rogue", []string{"STELLA_GATEWAYS=" + s.listen, "STELLA_INSTANCE_ID=" + instance}, filepath.Join(scratch, "fixture"),
				append([]string{"-name", service}, endpoints...)...)
		}
		for _, r := range []struct {
			service, instance string
			endpoints         []string
			reason            string
		}{
			{"rival", "rogue-1", []string{"GET /items/{id}"}, "GET /items/{id}"},
			{"fixture", "rogue-2", []string{"GET /items/{id}", "GET /headers"}, "a changed contract needs a new version"},
			{"fixture", victim, []string{"GET /census", "GET /items/{id}"}, "instance ids have to differ"},
		} {
			rogue(r.service, r.instance, r.endpoints...)
			Eventually(s.quarantined).WithArguments(r.service).Should(ContainElement(ContainSubstring(r.reason)), "%+v %+v", r, s.services())
			before := asked.Load()
			Eventually(asked.Load).Should(BeNumerically(">", before+200))
		}
		cancel()
		load.Wait()
		Expect(wrong.Load()).To(BeZero(), "of %d", asked.Load())
	})
})
