package edge_test

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

// http2 makes the rig's client speak HTTP/2 by prior knowledge.
func (r *rig) http2() {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: p}
	DeferCleanup(transport.CloseIdleConnections)
	r.client.Transport = transport
}

// quietly begins an answer, is silent for longer than a body may stall, and then goes on.
func quietly(silence time.Duration) func(*session.Incoming) {
	return func(in *session.Incoming) {
		_ = in.Head(&spec.Response{Status: 200, ContentLength: -1})
		_, _ = in.Write([]byte("before,"))
		<-time.After(silence)
		if in.Request().Query == "more" {
			_, _ = in.Write([]byte("after"))
		}
		_ = in.End()
	}
}

var _ = Describe("the stall limit", func() {
	const stall, longer = 200 * time.Millisecond, 500 * time.Millisecond

	for _, version := range []int{1, 2} {
		It("does not count the silence of a service within its answer, over HTTP/"+strconv.Itoa(version), func() {
			r := start(stallsAfter(stall))
			r.join(identity{}, quietly(longer), endpoint("GET", "/a", streams))
			if version == 2 {
				r.http2()
			}
			for query, body := range map[string]string{"": "before,", "?more": "before,after"} {
				got := r.do("GET", "/a"+query, "")
				Expect(got.err).NotTo(HaveOccurred())
				Expect(got.body).To(Equal(body))
			}
		})

		It("does not count the time that a service takes before it reads on, over HTTP/"+strconv.Itoa(version), func() {
			r := start(stallsAfter(stall))
			r.join(identity{}, func(in *session.Incoming) {
				<-time.After(longer)
				count(in)
			}, endpoint("POST", "/a", limits(spec.Limits{MaxBodyBytes: 4 << 20})))
			if version == 2 {
				r.http2()
			}
			got := r.send("POST", "/a", unsized{strings.NewReader(strings.Repeat("x", 3<<20))})
			Expect(got.body).To(Equal("3145728"))
		})
	}
})
