package edge_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/edge"
	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

// show answers with the request's body, and shows which trailers have come and which were announced.
func show(in *session.Incoming) {
	body, err := io.ReadAll(in)
	if err != nil {
		return
	}
	lines := []string{"body=" + strconv.Itoa(len(body))}
	for _, f := range in.Trailers() {
		lines = append(lines, f.Name+"="+f.Value)
	}
	for _, f := range in.Request().Header {
		if f.Name == "Trailer" || strings.HasPrefix(f.Name, "X-") {
			lines = append(lines, "header "+f.Name+"="+f.Value)
		}
	}
	slices.Sort(lines)
	_ = in.Respond(&spec.Response{Status: 200, ContentLength: -1}, []byte(strings.Join(lines, "\n")))
}

// trailing answers with a body of parts and then with trailers.
func trailing(r spec.Response, fields []spec.Field, parts ...string) func(*session.Incoming) {
	return func(in *session.Incoming) {
		if len(parts) == 1 {
			_ = in.RespondWith(&r, []byte(parts[0]), fields)
			return
		}
		_ = in.Head(&r)
		for _, p := range parts {
			_, _ = in.Write([]byte(p))
		}
		_ = in.EndWith(fields)
	}
}

// http2Client speaks HTTP/2 with prior knowledge. It ends with the spec.
func http2Client() *http.Client {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols, DisableCompression: true}
	DeferCleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// trailed sends a request with trailers, names and values in turn.
func (r *rig) trailed(client *http.Client, method, path string, body io.Reader, trailers ...string) answer {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, method, r.url(path), body)
	Expect(err).NotTo(HaveOccurred())
	for i := 0; i+1 < len(trailers); i += 2 {
		if q.Trailer == nil {
			q.Trailer = http.Header{}
		}
		q.Trailer.Add(trailers[i], trailers[i+1])
	}
	resp, err := client.Do(q)
	Expect(err).NotTo(HaveOccurred())
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp, string(b), err}
}

// came are the trailers that have values.
func came(trailer http.Header) http.Header {
	trailer = maps.Clone(trailer)
	maps.DeleteFunc(trailer, func(_ string, values []string) bool { return len(values) == 0 })
	if len(trailer) == 0 {
		return nil
	}
	return trailer
}

var takes = identity{trailers: true}

var _ = Describe("trailers of a request", func() {
	for name, client := range map[string]func(*rig) *http.Client{
		"HTTP/1.1": func(r *rig) *http.Client { return r.client },
		"HTTP/2":   func(*rig) *http.Client { return http2Client() },
	} {
		It("reach the service behind its body, apart from the header, by "+name, func() {
			r := start()
			m := r.join(takes, show, endpoint("POST", "/a"))
			for _, n := range []int{1, 5, 100_000} {
				got := r.trailed(client(r), "POST", "/a", unsized{bytes.NewReader(make([]byte, n))}, "X-Sum", "1", "X-Sum", "2", "Etag", `"e"`)
				Expect(got.StatusCode).To(Equal(200))
				Expect(got.body).To(Equal(fmt.Sprintf("Etag=\"e\"\nX-Sum=1\nX-Sum=2\nbody=%d\nheader Trailer=Etag, X-Sum", n)))
			}
			Expect(m.tap.received(spec.TypeTrailers)).To(HaveLen(3))
		})
	}

	It("reach it behind a body of a known length by HTTP/2, inline as well as streamed", func() {
		r := start()
		m := r.join(takes, show, endpoint("POST", "/a"))
		for _, n := range []int{1, spec.MaxInlineBody, spec.MaxInlineBody + 1} {
			got := r.trailed(http2Client(), "POST", "/a", bytes.NewReader(make([]byte, n)), "X-Sum", "1")
			Expect(got.body).To(Equal(fmt.Sprintf("X-Sum=1\nbody=%d\nheader Trailer=X-Sum", n)))
		}
		Expect(m.tap.received(spec.TypeTrailers)).To(HaveLen(3))
		data := m.tap.received(spec.TypeRequestStreamData)
		Expect(data).NotTo(BeEmpty())
		Expect(data[0].Stream).To(Equal(m.tap.received(spec.TypeRequest)[2].Stream), "the smaller ones travel with REQUEST")
	})

	It("reach it though they were not announced, by HTTP/1.1", func() {
		r := start()
		r.join(takes, show, endpoint("POST", "/a"))
		_, in := r.raw("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-sum: 1\r\nX-Sum: 2\r\n\r\n")
		Expect(bodyOf(in)).To(Equal("X-Sum=1\nX-Sum=2\nbody=2"))
	})

	DescribeTable("do not reach it that are no trailers", func(fields string, want string) {
		r := start()
		r.join(takes, show, endpoint("POST", "/a"))
		_, in := r.raw("POST /a HTTP/1.1\r\nHost: h\r\nConnection: X-Mine\r\nX-Mine: hop\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n" +
			fields + "X-Plain: passes\r\n\r\n")
		Expect(bodyOf(in)).To(Equal("X-Plain=passes\nbody=2" + want))
	},
		Entry("since they frame the message", "Content-Length: 9\r\nTransfer-Encoding: identity\r\nTrailer: X-Other\r\nHost: other\r\n", ""),
		Entry("since they authenticate", "Authorization: Bearer evil\r\nCookie: a=evil\r\nProxy-Authorization: evil\r\n", ""),
		Entry("since they say how to read the body", "Content-Type: text/evil\r\nContent-Encoding: evil\r\nContent-Range: evil\r\n", ""),
		Entry("since they ask for conditions", "If-Match: evil\r\nRange: evil\r\nExpect: evil\r\nCache-Control: evil\r\n", ""),
		Entry("since they belong to the connection", "Connection: close\r\nX-Mine: evil\r\nKeep-Alive: evil\r\nTe: evil\r\nUpgrade: evil\r\n", ""),
		Entry("since the gateway says who calls, and in which trace", "X-User-Id: evil\r\nTraceparent: evil\r\nX-Request-Id: evil\r\n", ""),
		Entry("since readers may take them for others", "X_User_Id: evil\r\nContent_Length: 9\r\n", ""),
	)

	It("are announced to the service only as far as they pass", func() {
		r := start()
		r.join(takes, show, endpoint("POST", "/a"))
		_, in := r.raw("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X-User-Id, X-Sum, Authorization\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
		Expect(bodyOf(in)).To(Equal("body=2\nheader Trailer=X-Sum"))
		_, in = r.raw("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X-User-Id\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
		Expect(bodyOf(in)).To(Equal("body=2"))
	})

	It("with characters that no field may have break the body", func() {
		r := start()
		r.join(takes, show, endpoint("POST", "/a"))
		_, in := r.raw("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: a\x01b\r\n\r\n")
		Expect(status(in)).To(Equal(400))
	})

	It("that are more than the gateway passes on are 431", func() {
		r := start()
		r.join(takes, show, endpoint("POST", "/a"))
		body := "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n"
		_, in := r.raw(body + strings.Repeat("X-Sum: 1\r\n", spec.MaxFields+1) + "\r\n")
		Expect(status(in)).To(Equal(431))
		_, in = r.raw(body + strings.Repeat("X-Sum: 1\r\n", spec.MaxFields) + "\r\n")
		Expect(status(in)).To(Equal(200))
	})

	It("that were announced and do not come in time are 408", func() {
		r := start(func(c *gateway.Config) { c.Stall = 300 * time.Millisecond })
		r.join(takes, show, endpoint("POST", "/a"))
		conn := r.h2()
		_, err := conn.Write(slices.Concat(
			frame(h2Headers, h2EndHeaders, 1, asking("POST", "/a", "trailer", "x-sum", "content-length", "2")), frame(h2Data, 0, 1, []byte("ok")),
		))
		Expect(err).NotTo(HaveOccurred())
		f := conn.until(1, h2Headers, h2Reset)
		Expect(f.kind).To(BeEquivalentTo(h2Headers))
		Expect(string(f.payload)).To(ContainSubstring("408"))
	})

	It("that a client which leaves does not send end the call", func() {
		r := start()
		m := r.join(takes, show, endpoint("POST", "/a"))
		conn := r.h2()
		_, err := conn.Write(slices.Concat(
			frame(h2Headers, h2EndHeaders, 1, asking("POST", "/a", "trailer", "x-sum", "content-length", "2")), frame(h2Data, 0, 1, []byte("ok")),
			frame(h2Reset, 0, 1, []byte{0, 0, 0, 8}), // CANCEL
		))
		Expect(err).NotTo(HaveOccurred())
		Eventually(r.log).WithTimeout(patience).Should(gbytes.Say("status=499"))
		Expect(m.tap.received(spec.TypeRequest)).To(BeEmpty())
	})

	It("are dropped for a service that takes none, and its body ends as ever", func() {
		r := start()
		m := r.join(identity{}, show, endpoint("POST", "/a"))
		for _, client := range []*http.Client{r.client, http2Client()} {
			for _, body := range []io.Reader{strings.NewReader("known"), unsized{strings.NewReader("known")}} {
				got := r.trailed(client, "POST", "/a", body, "X-Sum", "1")
				Expect(got.StatusCode).To(Equal(200))
				Expect(got.body).To(HavePrefix("body=5"))
			}
		}
		Expect(m.tap.received(spec.TypeTrailers)).To(BeEmpty())
	})

	DescribeTable("go with the body to another instance", func(client func(*rig) *http.Client, body func() io.Reader) {
		r := start()
		var refused atomic.Int64
		for _, id := range []string{"a", "b"} {
			r.join(identity{id: id, trailers: true}, func(in *session.Incoming) {
				if refused.Add(1)%2 == 1 {
					_, _ = io.Copy(io.Discard, in)
					in.Cancel(spec.CodeRefused, "not now")
					return
				}
				show(in)
			}, endpoint("POST", "/a"))
		}
		for range 5 {
			got := r.trailed(client(r), "POST", "/a", body(), "X-Sum", "1")
			Expect(got.StatusCode).To(Equal(200))
			Expect(got.body).To(Equal("X-Sum=1\nbody=5\nheader Trailer=X-Sum"))
		}
		Expect(refused.Load()).To(BeEquivalentTo(10))
	},
		Entry("streamed", func(r *rig) *http.Client { return r.client }, func() io.Reader { return unsized{strings.NewReader("12345")} }),
		Entry("inline", func(*rig) *http.Client { return http2Client() }, func() io.Reader { return strings.NewReader("12345") }),
	)

	It("are dropped by an instance of old that takes the call over from one that takes them", func() {
		r := start()
		calls := make(chan string, 10)
		for _, who := range []identity{{id: "new", trailers: true}, {id: "old"}} {
			r.join(who, func(in *session.Incoming) {
				calls <- who.id
				if len(calls) == 1 {
					in.Cancel(spec.CodeRefused, "not now")
					return
				}
				show(in)
			}, endpoint("POST", "/a"))
		}
		got := r.trailed(http2Client(), "POST", "/a", strings.NewReader("12345"), "X-Sum", "1")
		Expect(got.StatusCode).To(Equal(200))
		Expect(calls).To(HaveLen(2))
		Expect(<-calls).NotTo(Equal(<-calls))
		Expect(got.body).To(ContainSubstring("body=5"))
	})

	It("go with a call that is hedged", func() {
		r := routed(routing.Policy{Hedge: routing.Hedge{After: 30 * time.Millisecond}, Balancer: routing.BalancerRoundRobin, SlowStart: routing.Off})
		r.join(identity{id: "slow", trailers: true}, func(in *session.Incoming) { <-in.Context().Done() }, endpoint("POST", "/a", idempotent))
		r.join(identity{id: "fast", trailers: true}, show, endpoint("POST", "/a", idempotent))
		client := http2Client()
		for range 6 {
			got := r.trailed(client, "POST", "/a", strings.NewReader("12345"), "X-Sum", "1")
			Expect(got.body).To(Equal("X-Sum=1\nbody=5\nheader Trailer=X-Sum"))
		}
	})
})

// bodyOf is the body of one response of a raw connection.
func bodyOf(in *bufio.Reader) string {
	GinkgoHelper()
	resp, err := http.ReadResponse(in, nil)
	Expect(err).NotTo(HaveOccurred())
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	Expect(err).NotTo(HaveOccurred())
	return string(b)
}

var _ = Describe("trailers", func() {
	sum := []spec.Field{{Name: "X-Sum", Value: "1"}, {Name: "X-Sum", Value: "2"}, {Name: "X-Late", Value: "3"}}
	want := http.Header{"X-Sum": {"1", "2"}, "X-Late": {"3"}}
	unknown := spec.Response{Status: 200, ContentLength: -1}
	declared := spec.Response{Status: 200, ContentLength: -1, Header: []spec.Field{
		{Name: "Trailer", Value: "x-sum, Content-Type"}, {Name: "Trailer", Value: "X-Stella-Secret"}, {Name: "X-Sum", Value: "a header"},
	}}
	known := spec.Response{Status: 200, ContentLength: 5, Header: declared.Header}

	DescribeTable("of an answer follow its body", func(response spec.Response, parts ...string) {
		r := start()
		r.join(takes, trailing(response, sum, parts...), endpoint("GET", "/a"))
		for _, client := range []*http.Client{r.client, http2Client()} {
			for range 2 { // the connection goes on
				got := r.trailed(client, "GET", "/a", nil)
				Expect(got.err).NotTo(HaveOccurred())
				Expect(got.body).To(Equal(strings.Join(parts, "")))
				Expect(came(got.Trailer)).To(Equal(want))
				Expect(got.Header).NotTo(HaveKey("X-Late"))
				Expect(got.Header.Get("X-Sum")).To(Equal(stringOf(response.Header, "X-Sum")))
				Expect(got.Close).To(BeFalse())
			}
		}
	},
		Entry("that is small", unknown, "small"),
		Entry("that is empty", unknown, ""),
		Entry("that is streamed", unknown, "str", "eamed"),
		Entry("that is large", unknown, strings.Repeat("x", 100_000), "!"),
		Entry("that is small, and announces them", declared, "small"),
		Entry("that is streamed, and announces them", declared, "str", "eamed"),
	)

	It("of an answer are announced only as far as they pass", func() {
		r := start()
		r.join(takes, trailing(declared, sum, "small"), endpoint("GET", "/a"))
		_, in := r.raw("GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
		text, err := io.ReadAll(in)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(text)).To(ContainSubstring("\r\nTrailer: X-Sum\r\n"))
		Expect(string(text)).To(HaveSuffix("0\r\nX-Late: 3\r\nX-Sum: 1\r\nX-Sum: 2\r\n\r\n"))
	})

	It("of an answer with a length follow it by HTTP/2, and by HTTP/1.1 the length stands", func() {
		r := start()
		r.join(takes, trailing(known, sum, "small"), endpoint("GET", "/a"))
		got := r.trailed(r.client, "GET", "/a", nil)
		Expect(got.ContentLength).To(BeEquivalentTo(5))
		Expect(came(got.Trailer)).To(BeNil())
		Expect(got.body).To(Equal("small"))
		got = r.trailed(http2Client(), "GET", "/a", nil)
		Expect(got.ContentLength).To(BeEquivalentTo(5))
		Expect(came(got.Trailer)).To(Equal(want))
		Expect(got.body).To(Equal("small"))
	})

	DescribeTable("are not sent with an answer that has no body", func(method string, code int) {
		r := start()
		r.join(takes, trailing(spec.Response{Status: code, ContentLength: -1, Header: declared.Header}, sum, "", ""), endpoint("GET", "/a"))
		for _, client := range []*http.Client{r.client, http2Client()} {
			got := r.trailed(client, method, "/a", nil)
			Expect(got.StatusCode).To(Equal(code))
			Expect(came(got.Trailer)).To(BeNil())
			Expect(got.body).To(BeEmpty())
			Expect(got.err).NotTo(HaveOccurred())
		}
	},
		Entry("to HEAD", "HEAD", 200), Entry("with 204", "GET", 204), Entry("with 304", "GET", 304),
	)

	It("are not sent to a client of HTTP/1.0", func() {
		r := start()
		r.join(takes, trailing(declared, sum, "small"), endpoint("GET", "/a"))
		_, in := r.raw("GET /a HTTP/1.0\r\nHost: h\r\n\r\n")
		text, err := io.ReadAll(in)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(text)).To(HaveSuffix("\r\n\r\nsmall"))
	})

	It("of an answer pass but for those that must not", func() {
		r := start()
		var fields []spec.Field
		for _, name := range []string{
			"Content-Length", "Transfer-Encoding", "Connection", "Content-Type", "Set-Cookie", "Location", "Server", "Date", "Www-Authenticate",
			"X-Request-Id", "Stella-Secret", "X-Stella-Secret", "Proxy-Status", "Cache-Control", "Trailer", "Upgrade", "Keep-Alive", "If-Match",
		} {
			fields = append(fields, spec.Field{Name: name, Value: evil})
		}
		fields = append(fields, spec.Field{Name: "Grpc-Status", Value: "0"})
		r.join(takes, trailing(unknown, fields, "small"), endpoint("GET", "/a"))
		for _, client := range []*http.Client{r.client, http2Client()} {
			got := r.trailed(client, "GET", "/a", nil)
			Expect(came(got.Trailer)).To(Equal(http.Header{"Grpc-Status": {"0"}}))
			Expect(fmt.Sprint(got.Header)).NotTo(ContainSubstring(evil))
		}
	})

	It("that a service announces and does not send are not made of its header", func() {
		r := start()
		r.join(takes, func(in *session.Incoming) { _ = in.Respond(&declared, []byte("small")) }, endpoint("GET", "/a"))
		for _, client := range []*http.Client{r.client, http2Client()} {
			got := r.trailed(client, "GET", "/a", nil)
			Expect(got.body).To(Equal("small"))
			Expect(got.Header.Get("X-Sum")).To(Equal("a header"))
			Expect(came(got.Trailer)).To(BeNil())
		}
	})

	It("that cannot be read break the answer off", func() {
		r := start()
		r.join(takes, func(in *session.Incoming) {
			_ = in.RespondWith(&spec.Response{Status: 200, ContentLength: -1}, []byte("small"), []spec.Field{{Name: "no name", Value: "1"}})
		}, endpoint("GET", "/a"))
		got := r.trailed(r.client, "GET", "/a", nil)
		Expect(got.StatusCode).To(Equal(200))
		Expect(got.err).To(MatchError(io.ErrUnexpectedEOF))
	})

	It("follow an answer that is compressed, but for digests of what was not sent", func() {
		r := start(compressing("text/*"))
		text := strings.Repeat("all work and no play ", 500)
		digests := append(slices.Clone(sum), spec.Field{Name: "Content-Digest", Value: "sha-256=:x:"})
		plain := spec.Response{Status: 200, ContentLength: -1, Header: []spec.Field{{Name: "Content-Type", Value: "text/plain"}}}
		fixed := plain
		fixed.Header = append(slices.Clone(plain.Header), spec.Field{Name: "Trailer", Value: "Content-Digest"})
		r.join(takes, trailing(plain, digests, text), endpoint("GET", "/plain"))
		r.join(identity{service: "other", trailers: true}, trailing(fixed, digests, text), endpoint("GET", "/fixed"))
		got := r.do("GET", "/plain", "", "Accept-Encoding", "gzip")
		Expect(unzip(got.body)).To(Equal(text))
		Expect(came(got.Trailer)).To(Equal(want))
		got = r.do("GET", "/fixed", "", "Accept-Encoding", "gzip")
		Expect(got.body).To(Equal(text), "whoever announces a digest means these octets")
		Expect(got.Trailer.Get("Content-Digest")).To(Equal("sha-256=:x:"))
	})

	It("of both directions are of one call", func() {
		r := start()
		r.join(takes, func(in *session.Incoming) {
			body, err := io.ReadAll(in)
			if err == nil {
				_ = in.RespondWith(&spec.Response{Status: 200, ContentLength: -1}, body, in.Trailers())
			}
		}, endpoint("POST", "/a", streams))
		for _, client := range []*http.Client{r.client, http2Client()} {
			got := r.trailed(client, "POST", "/a", unsized{strings.NewReader(strings.Repeat("x", 300_000))}, "X-Sum", "1")
			Expect(got.body).To(HaveLen(300_000))
			Expect(came(got.Trailer)).To(Equal(http.Header{"X-Sum": {"1"}}))
		}
	})

	It("of a page of another site are without the fields that the gateway decides on", func() {
		r := start(func(c *gateway.Config) {
			c.Policy.CORS = []edge.CORS{{Path: "/a", Origins: []string{"https://app.example"}}}
		})
		fields := []spec.Field{{Name: "Access-Control-Allow-Origin", Value: "*"}, {Name: "X-Sum", Value: "1"}}
		r.join(takes, trailing(unknown, fields, "small"), endpoint("GET", "/a"))
		got := r.do("GET", "/a", "", "Origin", "https://app.example")
		Expect(came(got.Trailer)).To(Equal(http.Header{"X-Sum": {"1"}}))
	})
})

func stringOf(fields []spec.Field, name string) string {
	for _, f := range fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}
