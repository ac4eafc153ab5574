package edge_test

import (
	"bufio"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/edge"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

// counted are the samples of a metric as the admin address shows them, by what stands between their braces.
func (r *rig) counted(metric string) map[string]float64 {
	GinkgoHelper()
	resp, err := r.client.Get("http://" + r.g.AdminAddr() + "/metrics")
	Expect(err).NotTo(HaveOccurred())
	defer resp.Body.Close()
	Expect(resp.StatusCode).To(Equal(http.StatusOK))
	found := map[string]float64{}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		labels, value, ok := strings.Cut(strings.TrimPrefix(lines.Text(), metric+"{"), "} ")
		if !ok || !strings.HasPrefix(lines.Text(), metric+"{") {
			continue
		}
		found[labels], err = strconv.ParseFloat(value, 64)
		Expect(err).NotTo(HaveOccurred())
	}
	return found
}

// value is a metric without labels as the admin address shows it.
func (r *rig) value(metric string) float64 {
	GinkgoHelper()
	resp, err := r.client.Get("http://" + r.g.AdminAddr() + "/metrics")
	Expect(err).NotTo(HaveOccurred())
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), metric+" "); ok {
			v, err := strconv.ParseFloat(text, 64)
			Expect(err).NotTo(HaveOccurred())
			return v
		}
	}
	Fail("there is no " + metric)
	return 0
}

const (
	requestsTotal = "stella_gateway_requests_total"
	onA           = `endpoint="/a/{id}",method="POST",%service="test",version="1.0.0"`
)

// labels are those of POST /a/{id}, with an outcome or without.
func labels(outcome string) string {
	if outcome != "" {
		outcome = `outcome="` + outcome + `",`
	}
	return strings.Replace(onA, "%", outcome, 1)
}

// answering answers with a status.
func answering(status int) func(*session.Incoming) {
	return func(in *session.Incoming) { _ = in.Respond(&spec.Response{Status: status, ContentLength: -1}, nil) }
}

var _ = Describe("what becomes of a request", func() {
	DescribeTable("is counted once, under the endpoint's template",
		func(outcome string, serve func(*session.Incoming), mods ...func(*spec.Endpoint)) {
			r := start()
			r.join(identity{}, serve, endpoint("POST", "/a/{id}", mods...))
			r.do("POST", "/a/1?q=2", "body")
			Eventually(func() map[string]float64 { return r.counted(requestsTotal) }).WithTimeout(patience).Should(Equal(map[string]float64{
				labels(outcome): 1,
			}))
			Expect(r.counted("stella_gateway_request_duration_seconds_count")).To(Equal(map[string]float64{labels(outcome): 1}))
			Expect(r.counted("stella_gateway_requests_in_flight")).To(Equal(map[string]float64{labels(""): 0}))
		},
		Entry("ok", "ok", answering(201)),
		Entry("a redirect", "ok", answering(304)),
		Entry("a service's client error", "client_error", answering(404)),
		Entry("a service's server error", "server_error", answering(503)),
		Entry("a service's failure", "service_failed", func(*session.Incoming) {}),
		Entry("a timeout", "timeout", func(in *session.Incoming) { <-in.Context().Done() }, limits(spec.Limits{TimeoutMS: 50})),
		Entry("missing claims", "unauthenticated", echo, claims("scope=x")),
		Entry("a body over the limit", "payload_too_large", echo, limits(spec.Limits{MaxBodyBytes: 3})),
		Entry("a unary answer that does not end in time", "broken_off", func(in *session.Incoming) {
			_ = in.Head(&spec.Response{Status: 200, ContentLength: -1})
			<-in.Context().Done()
		}, limits(spec.Limits{TimeoutMS: 50})),
	)

	It("without an endpoint has empty labels, whatever the client sends", func() {
		r := start()
		r.join(identity{}, echo, endpoint("POST", "/a/{id}"))
		r.do("GET", "/nobody/has/this", "")
		r.do("PROPFIND", "/nor/this", "")
		r.do("GET", "/a/1", "")
		r.do("POST", "/a/%00", "")
		r.do("POST", "/a/1", "", "Stella-Version", "9.9.9")
		r.do("OPTIONS", "/a/1", "")
		none := func(outcome string) string {
			return `endpoint="",method="",outcome="` + outcome + `",service="",version=""`
		}
		Eventually(func() map[string]float64 { return r.counted(requestsTotal) }).WithTimeout(patience).Should(Equal(map[string]float64{
			none("not_found"): 2, none("method_not_allowed"): 1, none("bad_path"): 1, none("version_not_found"): 1, none("ok"): 1,
		}))
	})

	It("by HEAD counts as the GET that serves it", func() {
		r := start()
		r.join(identity{}, echo, endpoint("GET", "/a"))
		r.do("HEAD", "/a", "")
		Eventually(func() map[string]float64 { return r.counted(requestsTotal) }).WithTimeout(patience).Should(Equal(map[string]float64{
			`endpoint="/a",method="GET",outcome="ok",service="test",version="1.0.0"`: 1,
		}))
	})

	DescribeTable("adds the bytes of both bodies, inline and streamed",
		func(size int) {
			r := start()
			r.join(identity{}, echo, endpoint("POST", "/a/{id}", streams))
			for _, body := range []io.Reader{strings.NewReader(strings.Repeat("x", size)), io.MultiReader(strings.NewReader(strings.Repeat("x", size)))} {
				r.send("POST", "/a/1", body) // of known length, and of unknown
			}
			for _, metric := range []string{"stella_gateway_request_body_bytes_total", "stella_gateway_response_body_bytes_total"} {
				Eventually(func() map[string]float64 { return r.counted(metric) }).WithTimeout(patience).Should(Equal(map[string]float64{
					labels(""): float64(2 * size),
				}))
			}
		},
		Entry("none", 0), Entry("small", 100), Entry("large", 300_000),
	)

	It("is in flight until then", func() {
		r := start()
		entered, leave := make(chan struct{}), make(chan struct{})
		r.join(identity{}, func(in *session.Incoming) {
			close(entered)
			<-leave
			echo(in)
		}, endpoint("POST", "/a/{id}"))
		answered := make(chan answer, 1)
		go func() {
			defer GinkgoRecover()
			answered <- r.do("POST", "/a/1", "body")
		}()
		Eventually(entered).WithTimeout(patience).Should(BeClosed())
		Expect(r.counted("stella_gateway_requests_in_flight")).To(Equal(map[string]float64{labels(""): 1}))
		Expect(r.counted(requestsTotal)).To(BeEmpty())
		close(leave)
		Eventually(answered).WithTimeout(patience).Should(Receive())
	})

	DescribeTable("is client_gone when the client leaves",
		func(text string, head bool) {
			r := start()
			entered, ended := make(chan struct{}), make(chan struct{})
			r.join(identity{}, func(in *session.Incoming) {
				defer close(ended)
				if head {
					_ = in.Head(&spec.Response{Status: 200, ContentLength: -1})
				}
				close(entered)
				<-in.Context().Done()
			}, endpoint("POST", "/a/{id}", streams))
			conn, in := r.raw("POST /a/1 HTTP/1.1\r\nHost: h\r\n" + text)
			Eventually(entered).WithTimeout(patience).Should(BeClosed())
			if head {
				resp, err := http.ReadResponse(in, nil)
				Expect(err).NotTo(HaveOccurred())
				defer resp.Body.Close()
			}
			Expect(conn.Close()).To(Succeed())
			Eventually(ended).WithTimeout(patience).Should(BeClosed())
			Eventually(func() map[string]float64 { return r.counted(requestsTotal) }).WithTimeout(patience).Should(Equal(map[string]float64{
				labels("client_gone"): 1,
			}))
		},
		Entry("before the answer, without a body", "Content-Length: 0\r\n\r\n", false),
		Entry("before the answer, during the body", "Content-Length: 100000\r\n\r\nabc", false),
		Entry("during the answer", "Content-Length: 3\r\n\r\nabc", true),
		Entry("during the answer, after a chunked body", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", true),
		Entry("during the answer and the body", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", true),
	)

	DescribeTable("is broken_off when the service is lost after the head of its answer, however the body came",
		func(text string) {
			r := start()
			sent := make(chan struct{})
			m := r.join(identity{}, func(in *session.Incoming) {
				_ = in.Head(&spec.Response{Status: 200, ContentLength: -1})
				close(sent)
				<-in.Context().Done()
			}, endpoint("POST", "/a/{id}", streams))
			_, in := r.raw("POST /a/1 HTTP/1.1\r\nHost: h\r\n" + text)
			resp, err := http.ReadResponse(in, nil)
			Expect(err).NotTo(HaveOccurred())
			defer resp.Body.Close()
			Eventually(sent).WithTimeout(patience).Should(BeClosed())
			Expect(m.tap.Close()).To(Succeed())
			_, err = io.Copy(io.Discard, resp.Body)
			Expect(err).To(MatchError(io.ErrUnexpectedEOF))
			Eventually(func() map[string]float64 { return r.counted(requestsTotal) }).WithTimeout(patience).Should(Equal(map[string]float64{
				labels("broken_off"): 1,
			}))
		},
		Entry("none", "Content-Length: 0\r\n\r\n"),
		Entry("whole", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
		Entry("still coming", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
	)

	It("is body_stalled when the client stops", func() {
		r := start(stallsAfter(100 * time.Millisecond))
		r.join(identity{}, echo, endpoint("POST", "/a/{id}"))
		_, in := r.raw("POST /a/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nabc")
		Expect(status(in)).To(Equal(408))
		Eventually(func() map[string]float64 { return r.counted(requestsTotal) }).WithTimeout(patience).Should(Equal(map[string]float64{
			labels("body_stalled"): 1,
		}))
	})

	It("is what the request's body did when that is why the answer was broken off", func() {
		r := start(stallsAfter(200 * time.Millisecond))
		r.join(identity{}, func(in *session.Incoming) {
			_ = in.Head(&spec.Response{Status: 200, ContentLength: -1})
			<-in.Context().Done()
		}, endpoint("POST", "/a/{id}", streams))
		_, in := r.raw("POST /a/1 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
		resp, err := http.ReadResponse(in, nil)
		Expect(err).NotTo(HaveOccurred())
		defer resp.Body.Close()
		Eventually(func() map[string]float64 { return r.counted(requestsTotal) }).WithTimeout(patience).Should(Equal(map[string]float64{
			labels("body_stalled"): 1,
		}))
	})

	It("ends with the version's series when that is forgotten", func() {
		r := start(func(c *gateway.Config) { c.Retain, c.Heartbeat = 100*time.Millisecond, 100*time.Millisecond })
		m := r.join(identity{}, echo, endpoint("POST", "/a/{id}"))
		r.do("POST", "/a/1", "")
		Eventually(func() map[string]float64 { return r.counted(requestsTotal) }).WithTimeout(patience).Should(HaveLen(1))
		Expect(r.counted("stella_gateway_sessions")).To(Equal(map[string]float64{`service="test",state="live",version="1.0.0"`: 1}))
		Expect(m.Close()).To(Succeed())
		Eventually(func() map[string]float64 { return r.counted(requestsTotal) }).WithTimeout(patience).Should(BeEmpty())
		Expect(r.counted("stella_gateway_sessions")).To(BeEmpty())
	})

	It("has a name for every problem, none twice", func() {
		seen := map[string]bool{}
		for _, o := range edge.Outcomes() {
			Expect(o.Name).To(MatchRegexp("^[a-z_]+$"))
			Expect(o.Meaning).To(HaveSuffix("."), o.Name)
			Expect(seen).NotTo(HaveKey(o.Name))
			seen[o.Name] = true
		}
		for _, k := range edge.Problems() {
			Expect(seen).To(HaveKey(k.Code))
		}
	})
})
