package telemetry_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/telemetry"
)

var _ = Describe("limits", func() {
	It("show their decisions by rule and source, the breaker's state, and what was refused", func() {
		t := start()
		Expect(values(t, "stella_gateway_rate_limit_decisions_total")).To(Equal(map[string]float64{
			"result=allowed rule=invoices source=valkey ": 7, "result=refused rule=invoices source=valkey ": 2,
		}))
		Expect(values(t, "stella_gateway_rate_limit_breaker")).To(Equal(map[string]float64{
			"state=closed ": 0, "state=half_open ": 0, "state=open ": 1,
		}))
		Expect(values(t, "stella_gateway_rate_limit_check_duration_seconds")).To(Equal(map[string]float64{
			"count": 9, "sum": 0.018, "le=0.001": 4, "le=0.05": 8,
		}))
		Expect(values(t, "stella_gateway_requests_shed_total")).To(Equal(map[string]float64{"class=background ": 4, "class=normal ": 0}))
		Expect(values(t, "stella_gateway_client_connections_refused_total")).To(Equal(map[string]float64{"reason=address ": 2, "reason=total ": 0}))
		for metric, value := range map[string]float64{
			"stella_gateway_rate_limit_keys": 5, "stella_gateway_rate_limit_keys_forgotten_total": 1, "stella_gateway_rate_limit_check_failures_total": 6,
			"stella_gateway_concurrency_limit": 64, "stella_gateway_admitted_requests": 3, "stella_gateway_client_connections": 11,
		} {
			Expect(values(t, metric)).To(Equal(map[string]float64{"": value}), metric)
		}
	})

	It("show nothing of rules, servers and limits that there are none of", func() {
		t, err := telemetry.New(telemetry.Config{Limits: func() telemetry.Limits { return telemetry.Limits{} }})
		Expect(err).NotTo(HaveOccurred())
		for _, metric := range []string{
			"stella_gateway_rate_limit_decisions_total", "stella_gateway_rate_limit_keys", "stella_gateway_rate_limit_breaker",
			"stella_gateway_rate_limit_check_duration_seconds", "stella_gateway_concurrency_limit",
		} {
			Expect(values(t, metric)).To(BeEmpty(), metric)
		}
	})
})
