package edge_test

import (
	"net/http"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

var _ = Describe("request headers", func() {
	It("that belong to the connection stay there, and so do those that Connection names", func() {
		r := start()
		r.join(identity{}, describe, endpoint("GET", "/a"))
		_, in := r.raw("GET /a HTTP/1.1\r\nHost: h\r\nConnection: close, X-Mine\r\nX-Mine: hop\r\nKeep-Alive: hop\r\nTE: trailers\r\n" +
			"Upgrade: hop\r\nHTTP2-Settings: hop\r\nX-Other: passes\r\n\r\n")
		resp, err := http.ReadResponse(in, nil)
		Expect(err).NotTo(HaveOccurred())
		b := new(strings.Builder)
		Expect(resp.Write(b)).To(Succeed())
		Expect(b.String()).To(ContainSubstring("header X-Other: passes"))
		Expect(b.String()).NotTo(ContainSubstring("hop"))
		Expect(b.String()).NotTo(ContainSubstring("header Te:"))
	})

	DescribeTable("must not be hidden by naming them in Connection",
		func(name string) {
			r := start()
			m := r.join(identity{}, describe, endpoint("GET", "/a"))
			_, in := r.raw("GET /a HTTP/1.1\r\nHost: h\r\nConnection: " + name + "\r\n\r\n")
			Expect(status(in)).To(Equal(http.StatusBadRequest))
			Expect(m.tap.received(spec.TypeRequest)).To(BeEmpty())
		},
		Entry(nil, "Host"), Entry(nil, "authorization"), Entry(nil, "Content-Type"), Entry(nil, "X-User-Id"), Entry(nil, "x_user_id"),
		Entry(nil, "close, X-Forwarded-For"),
	)

	It("over the limits are refused with 431", func() {
		r := start()
		r.join(identity{}, describe, endpoint("GET", "/a"))
		_, in := r.raw("GET /a HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("X-Many: 1\r\n", spec.MaxFields+1) + "\r\n")
		Expect(status(in)).To(Equal(http.StatusRequestHeaderFieldsTooLarge))
		_, in = r.raw("GET /a HTTP/1.1\r\nHost: h\r\nX-Long: " + strings.Repeat("x", 200<<10) + "\r\n\r\n")
		Expect(status(in)).To(Equal(http.StatusRequestHeaderFieldsTooLarge))
	})

	It("carry a trace context into typed metadata, if it keeps to the grammar", func() {
		r := start()
		r.join(identity{}, describe, endpoint("GET", "/a"))
		const id, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
		none := "trace=00000000000000000000000000000000-0000000000000000-0 "
		for parent, want := range map[string]string{
			"00-" + id + "-" + span + "-01":                        "trace=" + id + "-" + span + "-1 k=v\n",
			"cc-" + id + "-" + span + "-01-what-the-future-brings": "trace=" + id + "-" + span + "-1 k=v\n",
			"00-" + id + "-" + span + "-01-x":                      none,
			"00-" + strings.ToUpper(id) + "-" + span + "-01":       none,
			"ff-" + id + "-" + span + "-01":                        none,
			"00-" + strings.Repeat("0", 32) + "-" + span + "-01":   none,
			"00-" + id + "-" + strings.Repeat("0", 16) + "-01":     none,
			"00-" + id + "-" + span:                                none,
			"rubbish":                                              none,
			"cc-" + id + "-" + span + "-01x":                       none,
			"00-" + strings.Repeat("g", 32) + "-" + span + "-01":   none,
		} {
			got := r.do("GET", "/a", "", "traceparent", parent, "tracestate", "k=v")
			Expect(got.body).To(ContainSubstring(want), parent)
			Expect(got.body).NotTo(ContainSubstring("header Trace"))
		}
	})

	It("begin a trace that services leave alone, where the gateway traces and they have none", func() {
		r := start(func(c *gateway.Config) { c.Traces = gateway.Traces{Endpoint: "http://127.0.0.1:4318"} })
		r.join(identity{}, describe, endpoint("GET", "/a"))
		seen := map[string]bool{}
		for range 20 {
			found := regexp.MustCompile("trace=([0-9a-f]{32}-[0-9a-f]{16})-2 \n").FindStringSubmatch(r.do("GET", "/a", "").body)
			Expect(found).To(HaveLen(2), "random, and not sampled")
			Expect(seen).NotTo(HaveKey(found[1]))
			seen[found[1]] = true
		}
		const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
		Expect(r.do("GET", "/a", "", "traceparent", parent).body).To(MatchRegexp("trace=4bf92f3577b34da6a3ce929d0e0e4736-[0-9a-f]{16}-0 "))
		Expect(r.do("GET", "/a", "", "traceparent", parent).body).NotTo(ContainSubstring("00f067aa0ba902b7"), "the parent is the gateway's span")
	})

	It("never choose the request's id", func() {
		r := start()
		r.join(identity{}, describe, endpoint("GET", "/a"))
		got := r.do("GET", "/a", "", "X-Request-Id", "mine")
		Expect(got.Header["X-Request-Id"]).To(HaveLen(1))
		Expect(got.Header.Get("X-Request-Id")).NotTo(Equal("mine"))
		Expect(got.body).To(ContainSubstring("id=" + got.Header.Get("X-Request-Id")))
		Expect(got.body).NotTo(ContainSubstring("mine"))
		Eventually(r.log).Should(gbytes.Say("clientRequestId=mine"))
	})

	It("in trailers are dropped", func() {
		r := start()
		r.join(identity{}, describe, endpoint("POST", "/a"))
		_, in := r.raw("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-User-Id: evil\r\n\r\n")
		resp, err := http.ReadResponse(in, nil)
		Expect(err).NotTo(HaveOccurred())
		b := new(strings.Builder)
		Expect(resp.Write(b)).To(Succeed())
		Expect(b.String()).NotTo(ContainSubstring("evil"))
	})
})

var _ = Describe("response headers", func() {
	It("pass, but those of the connection, the server and the gateway", func() {
		r := start()
		r.join(identity{}, func(in *session.Incoming) {
			_ = in.Respond(&spec.Response{Status: 201, ContentLength: -1, Header: []spec.Field{
				{Name: "Set-Cookie", Value: "a=1"}, {Name: "Set-Cookie", Value: "b=2"}, {Name: "Location", Value: "/a/1"},
				{Name: "Connection", Value: "close"}, {Name: "Transfer-Encoding", Value: "chunked"}, {Name: "Server", Value: "inner"},
				{Name: "X-Request-Id", Value: "forged"}, {Name: "Content-Length", Value: "99"}, {Name: "X-Stella-Inner", Value: "secret"},
			}}, []byte("ok"))
		}, endpoint("POST", "/a"))
		got := r.do("POST", "/a", "x")
		Expect(got.StatusCode).To(Equal(201))
		Expect(got.Header["Set-Cookie"]).To(Equal([]string{"a=1", "b=2"}))
		Expect(got.Header.Get("Location")).To(Equal("/a/1"))
		Expect(got.Header).NotTo(HaveKey("Server"))
		Expect(got.Header).NotTo(HaveKey("X-Stella-Inner"))
		Expect(got.Header).NotTo(HaveKey("Content-Type"), "the gateway does not guess")
		Expect(got.Header["X-Request-Id"]).NotTo(ContainElement("forged"))
		Expect(got.Close).To(BeFalse())
		Expect(got.body).To(Equal("ok"))
	})

	DescribeTable("say no length and carry no body where the status forbids it",
		func(code int) {
			r := start()
			r.join(identity{}, func(in *session.Incoming) {
				_ = in.Respond(&spec.Response{Status: code, ContentLength: -1}, []byte("surplus"))
			}, endpoint("GET", "/a"))
			got := r.do("GET", "/a", "")
			Expect(got.StatusCode).To(Equal(code))
			Expect(got.body).To(BeEmpty())
			Expect(got.err).NotTo(HaveOccurred())
			Expect(r.do("GET", "/a", "").StatusCode).To(Equal(code))
		},
		Entry(nil, 204), Entry(nil, 304),
	)
})
