package telemetry_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway/telemetry"
)

const (
	requests = "stella_gateway_requests_total"
	duration = "stella_gateway_request_duration_seconds"
	inFlight = "stella_gateway_requests_in_flight"
	invoice  = "endpoint=/invoices/{id} method=GET "
	billing  = "service=billing version=1.4.0 "
)

var keys = []telemetry.Key{{Method: "GET", Path: "/invoices/{id}"}, {Method: "POST", Path: "/invoices"}}

var _ = Describe("an endpoint's counters", func() {
	It("count requests by outcome, what they took, and the bytes of their bodies", func() {
		t := start()
		e := t.Offer("billing", "1.4.0", keys)[0]
		for range 3 {
			e.Begin()
		}
		e.End(ok, time.Millisecond, 10, 100)
		e.End(failed, time.Minute, 0, 5)
		Expect(values(t, requests)).To(Equal(map[string]float64{
			invoice + "outcome=ok " + billing: 1, invoice + "outcome=failed " + billing: 1,
		}))
		Expect(values(t, inFlight)).To(Equal(map[string]float64{invoice + billing: 1}))
		Expect(values(t, "stella_gateway_request_body_bytes_total")).To(Equal(map[string]float64{invoice + billing: 10}))
		Expect(values(t, "stella_gateway_response_body_bytes_total")).To(Equal(map[string]float64{invoice + billing: 105}))
		latencies := values(t, duration)
		prefix := invoice + "outcome=ok " + billing
		Expect(latencies).To(And(
			HaveKeyWithValue(prefix+"le=0.0005", 0.0), HaveKeyWithValue(prefix+"le=0.001", 1.0), HaveKeyWithValue(prefix+"le=30", 1.0),
			HaveKeyWithValue(prefix+"count", 1.0), HaveKeyWithValue(prefix+"sum", 0.001)), "a bound is inclusive, and buckets are cumulative")
		prefix = invoice + "outcome=failed " + billing
		Expect(latencies).To(And(HaveKeyWithValue(prefix+"le=30", 0.0), HaveKeyWithValue(prefix+"count", 1.0)))
	})

	It("have a bucket that ends where the objective does, and begin anew where it moves", func() {
		t := start()
		offer := func(within time.Duration) *telemetry.Endpoint {
			return t.Offer("billing", "1.4.0", []telemetry.Key{{Method: "GET", Path: "/invoices/{id}", Within: within}, keys[1]})[0]
		}
		e := offer(300 * time.Millisecond)
		for _, ms := range []int{250, 300, 301, 501} {
			e.Begin()
			e.End(ok, time.Duration(ms)*time.Millisecond, 0, 0)
		}
		prefix := invoice + "outcome=ok " + billing
		Expect(values(t, duration)).To(And(
			HaveKeyWithValue(prefix+"le=0.25", 1.0), HaveKeyWithValue(prefix+"le=0.3", 2.0),
			HaveKeyWithValue(prefix+"le=0.5", 3.0), HaveKeyWithValue(prefix+"le=1", 4.0), HaveKeyWithValue(prefix+"count", 4.0)))
		Expect(offer(300 * time.Millisecond)).To(BeIdenticalTo(e))

		e = offer(time.Second) // a bound that all have
		e.Begin()
		e.End(ok, 2*time.Second, 0, 0)
		e.End(ok, time.Second, 0, 0)
		Expect(values(t, duration)).To(And(
			Not(HaveKey(prefix+"le=0.3")), HaveKeyWithValue(prefix+"le=1", 1.0), HaveKeyWithValue(prefix+"count", 2.0)))

		e = offer(time.Minute) // beyond the last one
		e.Begin()
		e.End(ok, time.Minute, 0, 0)
		e.End(ok, time.Hour, 0, 0)
		Expect(values(t, duration)).To(And(HaveKeyWithValue(prefix+"le=60", 1.0), HaveKeyWithValue(prefix+"count", 2.0)))
	})

	It("make no series before the first request", func() {
		t := start()
		t.Offer("billing", "1.4.0", keys)
		Expect(values(t, requests)).To(BeEmpty())
		Expect(values(t, inFlight)).To(BeEmpty())
	})

	It("stay for endpoints that are offered again, and go with those that are not", func() {
		t := start()
		for _, e := range t.Offer("billing", "1.4.0", keys) {
			e.Begin()
			e.End(ok, 0, 0, 0)
		}
		again := t.Offer("billing", "1.4.0", keys[:1])
		again[0].Begin()
		again[0].End(ok, 0, 0, 0)
		Expect(values(t, requests)).To(Equal(map[string]float64{invoice + "outcome=ok " + billing: 2}))
	})

	It("go when their version is forgotten, and harm nobody who still has them", func() {
		t := start()
		e := t.Offer("billing", "1.4.0", keys)[0]
		other := t.Offer("billing", "2.0.0", keys)[0]
		e.Begin()
		other.Begin()
		t.Forget("billing", "1.4.0")
		e.End(ok, 0, 0, 0)
		Expect(values(t, requests)).To(BeEmpty())
		Expect(values(t, inFlight)).To(Equal(map[string]float64{invoice + "service=billing version=2.0.0 ": 1}))
	})

	It("have empty labels for requests that lead nowhere", func() {
		t := start()
		t.Unmatched().Begin()
		t.Unmatched().End(failed, 0, 0, 0)
		Expect(values(t, requests)).To(Equal(map[string]float64{"endpoint= method= outcome=failed service= version= ": 1}))
	})

	It("lose nothing when many requests end at once", func() {
		t := start()
		e := t.Offer("billing", "1.4.0", keys)[0]
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 1000 {
					e.Begin()
					e.End(failed, time.Second, 1, 1)
				}
			})
		}
		for range 20 {
			for _, n := range values(t, inFlight) {
				Expect(n).To(BeNumerically("<=", 8))
			}
		}
		wg.Wait()
		Expect(values(t, requests)).To(Equal(map[string]float64{invoice + "outcome=failed " + billing: 8000}))
		Expect(values(t, duration)).To(HaveKeyWithValue(invoice+"outcome=failed "+billing+"sum", 8000.0))
		Expect(values(t, inFlight)).To(Equal(map[string]float64{invoice + billing: 0}))
	})

	It("are none where there is no telemetry", func() {
		var t *telemetry.Telemetry
		found := t.Offer("billing", "1.4.0", keys)
		Expect(found).To(Equal(make([]*telemetry.Endpoint, 2)))
		found[0].Begin()
		found[0].End(ok, 0, 0, 0)
		t.Unmatched().Begin()
		t.Forget("billing", "1.4.0")
	})
})

var _ = Describe("sessions", func() {
	It("are counted by service, version and state, with the age of the oldest HEARTBEAT", func() {
		now := time.Now()
		t := start(
			telemetry.Session{Service: "a", Version: "1.0.0", State: telemetry.StateLive, Beat: now},
			telemetry.Session{Service: "a", Version: "1.0.0", State: telemetry.StateLive, Beat: now.Add(-time.Hour)},
			telemetry.Session{Service: "a", Version: "1.0.0", State: telemetry.StateDraining, Beat: now},
			telemetry.Session{Service: "b", Version: "2.0.0", State: telemetry.StateQuarantined, Beat: now},
		)
		Expect(values(t, "stella_gateway_sessions")).To(Equal(map[string]float64{
			"service=a state=live version=1.0.0 ": 2, "service=a state=draining version=1.0.0 ": 1,
			"service=b state=quarantined version=2.0.0 ": 1,
		}))
		ages := values(t, "stella_gateway_heartbeat_age_seconds")
		Expect(ages["service=a version=1.0.0 "]).To(BeNumerically("~", 3600, 60))
		Expect(ages["service=b version=2.0.0 "]).To(BeNumerically("<", 60))
	})
})

var _ = Describe("those turned away", func() {
	It("are counted by reason, from zero on", func() {
		t := start()
		t.Refuse(telemetry.RefusedUnsupported)
		t.Reject(telemetry.RejectedSilent)
		t.Reject(telemetry.RejectedSilent)
		refused, rejected := values(t, "stella_gateway_registrations_refused_total"), values(t, "stella_gateway_connections_rejected_total")
		Expect(refused).To(HaveLen(len(telemetry.Refusals())))
		Expect(refused).To(And(HaveKeyWithValue("reason=unsupported ", 1.0), HaveKeyWithValue("reason=protocol ", 0.0)))
		Expect(rejected).To(HaveLen(len(telemetry.Rejections())))
		Expect(rejected).To(And(HaveKeyWithValue("reason=silent ", 2.0), HaveKeyWithValue("reason=preamble ", 0.0)))
	})
})

var _ = Describe("datagrams that were thrown away", func() {
	It("are counted by transport and reason, from zero on", func() {
		Expect(values(start(), "stella_transport_datagrams_dropped_total")).To(Equal(map[string]float64{
			"reason=malformed transport=udp ": 3, "reason=full transport=udp ": 0,
		}))
	})
})

var _ = Describe("what sessions see", func() {
	It("is counted by who and why", func() {
		Expect(values(start(), "stella_gateway_cancels_total")).To(Equal(map[string]float64{
			"by=gateway code=CLIENT_GONE ": 3, "by=service code=INTERNAL ": 1,
		}))
		Expect(values(start(), "stella_gateway_credit_stalls_total")).To(Equal(map[string]float64{"": 5}))
		Expect(values(start(), "stella_gateway_sessions_opened_total")).To(Equal(map[string]float64{"kind=new ": 7, "kind=renewed ": 2}))
	})
})

var _ = Describe("keys of issuers", func() {
	It("have an age once they have been had, and say whether the issuer's tokens are taken", func() {
		Expect(values(start(), "stella_gateway_issuer_keys_age_seconds")).To(Equal(map[string]float64{"issuer=https://a ": 60}))
		Expect(values(start(), "stella_gateway_issuer_closed")).To(Equal(map[string]float64{"issuer=https://a ": 0, "issuer=https://b ": 1}))
	})
})

var _ = Describe("legacy routes", func() {
	It("count both sides, go on where the route stays, and are gone with it", func() {
		t := start()
		first := t.LegacyRoutes([]string{"/a", "/b"}, []int{90, 0})
		first[0].End(telemetry.SideLegacy, ok, time.Millisecond)
		first[0].End(telemetry.SideService, failed, time.Millisecond)
		first[1].End(telemetry.SideService, ok, time.Millisecond)
		again := t.LegacyRoutes([]string{"/a"}, []int{50})
		again[0].End(telemetry.SideLegacy, ok, time.Second)
		Expect(again[0].Count(telemetry.SideLegacy, ok)).To(BeEquivalentTo(2))
		w := httptest.NewRecorder()
		t.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		Expect(w.Body.String()).To(And(
			ContainSubstring(`stella_gateway_legacy_requests_total{outcome="ok",route="/a",side="legacy"} 2`),
			ContainSubstring(`stella_gateway_legacy_requests_total{outcome="failed",route="/a",side="service"} 1`),
			ContainSubstring(`stella_gateway_legacy_request_duration_seconds_bucket{outcome="ok",route="/a",side="legacy",le="0.001"} 1`),
			ContainSubstring(`stella_gateway_legacy_weight_percent{route="/a"} 50`),
			Not(ContainSubstring(`route="/b"`)),
		))
	})

	It("count nothing where nobody counts", func() {
		var none *telemetry.Telemetry
		r := none.LegacyRoutes([]string{"/a"}, []int{1})[0]
		r.End(telemetry.SideLegacy, ok, time.Second)
		Expect(r.Count(telemetry.SideLegacy, ok)).To(BeZero())
	})
})

var _ = Describe("what is served", func() {
	It("is every metric of the table, with its kind, labels and help, and beside them only Go's and the process's", func() {
		t := start(telemetry.Session{Service: "a", Version: "1.0.0", State: telemetry.StateLive, Beat: time.Now()})
		e := t.Offer("billing", "1.4.0", keys)[0]
		e.Begin()
		e.End(ok, 0, 1, 1)
		t.LegacyRoutes([]string{"/books"}, []int{90})[0].End(telemetry.SideLegacy, ok, 0)
		families, err := t.Gatherer().Gather()
		Expect(err).NotTo(HaveOccurred())
		var found []telemetry.Metric
		for _, f := range families {
			if strings.HasPrefix(f.GetName(), "go_") || strings.HasPrefix(f.GetName(), "process_") {
				continue
			}
			m := telemetry.Metric{Name: f.GetName(), Kind: telemetry.Kind(strings.ToLower(f.GetType().String())), Help: f.GetHelp()}
			for _, l := range f.GetMetric()[0].GetLabel() {
				m.Labels = append(m.Labels, l.GetName())
			}
			found = append(found, m)
		}
		table := telemetry.Metrics()
		for i := range table {
			slices.Sort(table[i].Labels) // as they are served
		}
		Expect(found).To(ConsistOf(table))
	})

	It("is text that Prometheus reads", func() {
		w := httptest.NewRecorder()
		start().Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		Expect(w.Code).To(Equal(http.StatusOK))
		Expect(w.Header().Get("Content-Type")).To(HavePrefix("text/plain; version=0.0.4"))
		Expect(w.Body.String()).To(And(
			ContainSubstring("# TYPE stella_gateway_connections_rejected_total counter\n"),
			ContainSubstring("\ngo_goroutines "), ContainSubstring("\nprocess_open_fds ")))
	})
})

// TestCountingDoesNotAllocate holds the hot path to its promise.
func TestCountingDoesNotAllocate(t *testing.T) {
	tel, err := telemetry.New(telemetry.Config{Outcomes: []telemetry.Value{{Name: "ok"}}})
	if err != nil {
		t.Fatal(err)
	}
	e := tel.Offer("billing", "1.4.0", keys)[0]
	e.End(ok, 0, 0, 0) // makes the room for the outcome
	if n := testing.AllocsPerRun(100, func() { e.Begin(); e.End(ok, time.Millisecond, 1, 1) }); n != 0 {
		t.Errorf("a request takes %v allocations, expected none", n)
	}
}

func BenchmarkEndpoint(b *testing.B) {
	tel, err := telemetry.New(telemetry.Config{Outcomes: []telemetry.Value{{Name: "ok"}}})
	if err != nil {
		b.Fatal(err)
	}
	e := tel.Offer("billing", "1.4.0", keys)[0]
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			e.Begin()
			e.End(ok, time.Millisecond, 128, 128)
		}
	})
}
