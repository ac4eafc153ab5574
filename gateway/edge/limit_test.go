package edge_test

import (
	"net/http"
	"os"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/gateway/limit"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/brokertest"
	"github.com/stella-ops/router/transports/session"
)

// limitedBy has the gateway limit.
func limitedBy(c limit.Config) func(*gateway.Config) {
	return func(g *gateway.Config) { g.Limits = c }
}

// hourly is a rule whose burst lasts as long as a spec.
func hourly(name, by string, burst int) limit.Rule {
	return limit.Rule{Name: name, By: by, Rate: 1, Per: time.Hour, Burst: burst}
}

const (
	rateDecisions = "stella_gateway_rate_limit_decisions_total"
	shedTotal     = "stella_gateway_requests_shed_total"
)

var _ = Describe("a rate limit", func() {
	It("answers 429 with Retry-After once the burst is spent, before anything reaches the service", func() {
		r := start(limitedBy(limit.Config{Rules: []limit.Rule{{Name: "a", Endpoint: "POST /a/{name}", Rate: 1, Per: 90 * time.Second, Burst: 2}}}))
		m := r.join(identity{}, echo, endpoint("POST", "/a/{id}"), endpoint("GET", "/b"))
		for range 2 {
			got := r.do("POST", "/a/1", "x")
			Expect(got.StatusCode).To(Equal(200))
			Expect(got.Header).NotTo(HaveKey("Ratelimit"))
		}
		got := r.do("POST", "/a/2", "x")
		Expect(got.StatusCode).To(Equal(429))
		Expect(got.Header.Get("Retry-After")).To(Equal("90"))
		Expect(got.body).To(And(ContainSubstring(`"code":"rate_limited"`), ContainSubstring(`"retryable":true`), ContainSubstring("rate limit a")))
		Expect(r.do("GET", "/b", "").StatusCode).To(Equal(200), "another endpoint")
		Expect(m.tap.received(spec.TypeRequest)).To(HaveLen(3))
		Expect(r.counted(requestsTotal)).To(HaveKeyWithValue(labels("rate_limited"), 1.0))
		Expect(r.counted(rateDecisions)).To(Equal(map[string]float64{
			`result="allowed",rule="a",source="memory"`: 2, `result="refused",rule="a",source="memory"`: 1,
		}))
	})

	It("says what is left in every answer where that is configured", func() {
		r := start(limitedBy(limit.Config{Headers: true, Rules: []limit.Rule{hourly("all", "all", 3)}}))
		r.join(identity{}, echo, endpoint("GET", "/a"))
		for _, want := range []string{`"all";r=2;t=3600`, `"all";r=1;t=7200`, `"all";r=0;t=10800`, `"all";r=0;t=10800`} {
			got := r.do("GET", "/a", "")
			Expect(got.Header.Get("RateLimit-Policy")).To(Equal(`"all";q=3;w=10800`))
			Expect(got.Header.Get("RateLimit")).To(Equal(want))
		}
		Expect(r.do("GET", "/none", "").Header.Get("RateLimit")).To(BeEmpty())
	})

	It("counts subjects of verified tokens, also on public endpoints, and those without one together", func() {
		dir := GinkgoT().TempDir()
		r := start(limitedBy(limit.Config{Rules: []limit.Rule{hourly("subjects", "claim:team", 2)}}), func(c *gateway.Config) {
			c.Dev = &gateway.Dev{TokenFile: dir + "/token"}
		})
		key, err := auth.LoadDevKey(dir + "/token.key")
		Expect(err).NotTo(HaveOccurred())
		bearer := func(team string) []string {
			t, err := key.Token([]spec.Claim{{Type: "team", Value: team}}, time.Now(), time.Minute)
			Expect(err).NotTo(HaveOccurred())
			return []string{"Authorization", "Bearer " + t}
		}
		r.join(identity{}, echo, endpoint("GET", "/public"), endpoint("GET", "/claimed", claims("team")))
		Expect(r.do("GET", "/public", "", bearer("red")...).StatusCode).To(Equal(200))
		Expect(r.do("GET", "/claimed", "", bearer("red")...).StatusCode).To(Equal(200))
		Expect(r.do("GET", "/claimed", "", bearer("red")...).StatusCode).To(Equal(429))
		Expect(r.do("GET", "/public", "", bearer("red")...).StatusCode).To(Equal(429))
		Expect(r.do("GET", "/public", "", bearer("blue")...).StatusCode).To(Equal(200))
		for _, want := range []int{200, 200, 429} {
			Expect(r.do("GET", "/public", "", "Authorization", "Bearer rubbish").StatusCode).To(Equal(want))
		}
	})

	It("does not count who may not call, nor a body that is too large", func() {
		r := start(limitedBy(limit.Config{Rules: []limit.Rule{hourly("all", "all", 1)}}))
		r.join(identity{}, echo, endpoint("GET", "/claimed", claims("team")), endpoint("POST", "/a", limits(spec.Limits{MaxBodyBytes: 3})))
		Expect(r.do("GET", "/claimed", "").StatusCode).To(Equal(401))
		Expect(r.do("POST", "/a", "four").StatusCode).To(Equal(413))
		Expect(r.do("POST", "/a", "two").StatusCode).To(Equal(200))
		Expect(r.do("POST", "/a", "two").StatusCode).To(Equal(429))
	})

	It("of an environment that is closed answers 503 while its server cannot be asked, and is shared otherwise", func() {
		server := brokertest.Valkey(GinkgoT())
		rule := hourly("all", "all", 3)
		rule.Scope, rule.Failure = limit.ScopeEnvironment, limit.FailureClosed
		shared := limitedBy(limit.Config{Store: "valkey://" + server.Addr, Rules: []limit.Rule{rule}})
		one, other := start(shared), start(shared)
		for _, r := range []*rig{one, other} {
			r.join(identity{}, echo, endpoint("GET", "/a"))
		}
		DeferCleanup(func() { // before the other one looks for what is left
			one.client.CloseIdleConnections()
			one.stop()
		})
		Expect(one.do("GET", "/a", "").StatusCode).To(Equal(200))
		Expect(other.do("GET", "/a", "").StatusCode).To(Equal(200))
		Expect(one.do("GET", "/a", "").StatusCode).To(Equal(200))
		Expect(other.do("GET", "/a", "").StatusCode).To(Equal(429))
		server.Kill()
		got := one.do("GET", "/a", "")
		Expect(got.StatusCode).To(Equal(503))
		Expect(got.Header.Get("Retry-After")).To(Equal("1"))
		Expect(got.body).To(And(ContainSubstring(`"code":"limits_unavailable"`), ContainSubstring(`"retryable":true`)))
		Expect(one.counted(rateDecisions)).To(HaveKeyWithValue(`result="refused",rule="all",source="fallback"`, 1.0))
	})
})

var _ = Describe("a limit of concurrency", func() {
	// full is a gateway that serves as many at once, with that many calls in flight at /slow; leave lets them end.
	full := func(c limit.Config, busy int, mods ...func(*spec.Endpoint)) (r *rig, leave func()) {
		GinkgoHelper()
		r = start(limitedBy(c))
		entered, left := make(chan struct{}, busy), make(chan struct{})
		leave = sync.OnceFunc(func() { close(left) })
		DeferCleanup(leave)
		r.join(identity{}, func(in *session.Incoming) {
			entered <- struct{}{}
			select {
			case <-left:
			case <-in.Context().Done():
			}
			echo(in)
		}, endpoint("GET", "/slow", mods...))
		r.join(identity{service: "other"}, echo, endpoint("GET", "/quick"), endpoint("GET", "/vital"), endpoint("GET", "/background"))
		for range busy {
			conn, _ := r.raw("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
			DeferCleanup(conn.Close)
			Eventually(entered).WithTimeout(patience).Should(Receive())
		}
		return r, leave
	}

	It("answers 503 while as many are served as there may be, streams among them, and none after", func() {
		r, leave := full(limit.Config{Concurrency: limit.Concurrency{Total: 3}}, 3, streams)
		got := r.do("GET", "/quick", "")
		Expect(got.StatusCode).To(Equal(503))
		Expect(got.Header.Get("Retry-After")).To(Equal("1"))
		Expect(got.body).To(And(ContainSubstring(`"code":"overloaded"`), ContainSubstring(`"retryable":true`)))
		Expect(r.counted(shedTotal)).To(HaveKeyWithValue(`class="normal"`, 1.0))
		leave()
		Eventually(func() int { return r.do("GET", "/quick", "").StatusCode }).WithTimeout(patience).Should(Equal(200))
	})

	It("refuses background first, and critical last", func() {
		r, _ := full(limit.Config{
			Concurrency: limit.Concurrency{Total: 10},
			Priorities: []limit.Priority{
				{Service: "test", Class: limit.ClassCritical}, {Endpoint: "GET /vital", Class: limit.ClassCritical},
				{Service: "other", Endpoint: "GET /background", Class: limit.ClassBackground},
			},
		}, 7)
		Expect(r.do("GET", "/background", "").StatusCode).To(Equal(503))
		Expect(r.do("GET", "/quick", "").StatusCode).To(Equal(200))
		for range 2 {
			r.raw("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
		}
		Eventually(func() int { return r.do("GET", "/quick", "").StatusCode }).WithTimeout(patience).Should(Equal(503))
		Expect(r.do("GET", "/vital", "").StatusCode).To(Equal(200))
	})

	It("counts every request out again: those that are refused, that fail, and whose client leaves", func() {
		r := start(limitedBy(limit.Config{Concurrency: limit.Concurrency{Total: 100, Adaptive: true}, Rules: []limit.Rule{hourly("few", "all", 40)}}))
		r.join(identity{}, func(in *session.Incoming) {
			if in.Request().Query == "wait" {
				<-in.Context().Done()
			}
		}, endpoint("GET", "/a"), endpoint("POST", "/a", streams))
		for range 10 {
			Expect(r.do("GET", "/a", "").StatusCode).To(Equal(502))
			conn, _ := r.raw("POST /a?wait HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nabc")
			Expect(conn.Close()).To(Succeed())
		}
		for range 30 {
			r.do("GET", "/a", "")
		}
		Eventually(func() float64 { return r.value("stella_gateway_admitted_requests") }).WithTimeout(patience).Should(BeZero())
	})
})

var _ = Describe("a limit of connections", func() {
	It("closes those of an address that has as many as it may, and takes new ones when others end", func() {
		r := start(limitedBy(limit.Config{Connections: limit.Connections{PerAddress: 2}}))
		r.join(identity{}, echo, endpoint("GET", "/a"))
		const ask = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
		first, in := r.raw(ask)
		Expect(status(in)).To(Equal(200))
		_, in = r.raw(ask)
		Expect(status(in)).To(Equal(200))
		_, in = r.raw("")
		_, err := in.ReadByte()
		Expect(err).To(HaveOccurred())
		Expect(err).NotTo(MatchError(os.ErrDeadlineExceeded))
		Expect(first.Close()).To(Succeed())
		Eventually(func() error {
			_, in := r.raw(ask)
			_, err := http.ReadResponse(in, nil)
			return err
		}).WithTimeout(patience).Should(Succeed())
		Expect(r.counted("stella_gateway_client_connections_refused_total")).To(HaveKeyWithValue(`reason="address"`, BeNumerically(">=", 1)))
	})
})
