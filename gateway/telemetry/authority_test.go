package telemetry_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/telemetry"
)

var _ = Describe("an authority", func() {
	It("shows whether it answers, since when not, and how much it says", func() {
		for metric, value := range map[string]float64{
			"stella_gateway_authority_up": 1, "stella_gateway_authority_age_seconds": 90, "stella_gateway_authority_rules": 3,
		} {
			Expect(values(start(), metric)).To(Equal(map[string]float64{"": value}), metric)
		}
	})

	It("that has never answered has no age, and one that is not there shows nothing", func() {
		var now *telemetry.Authority
		t, err := telemetry.New(telemetry.Config{Authority: func() *telemetry.Authority { return now }})
		Expect(err).NotTo(HaveOccurred())
		Expect(values(t, "stella_gateway_authority_up")).To(BeEmpty())
		now = &telemetry.Authority{}
		Expect(values(t, "stella_gateway_authority_up")).To(Equal(map[string]float64{"": 0}))
		Expect(values(t, "stella_gateway_authority_age_seconds")).To(BeEmpty())
	})
})
