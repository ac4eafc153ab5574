package edge_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/gateway"
	"github.com/stella-ops/router/gateway/coding"
	"github.com/stella-ops/router/gateway/edge"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

func compressing(types ...string) func(*gateway.Config) {
	return func(c *gateway.Config) { c.Policy.Compression = coding.Rule{Types: types, MinSize: 1000} }
}

// answers has every request answered so.
func answers(status int, body string, fields ...spec.Field) func(*session.Incoming) {
	return func(in *session.Incoming) {
		_ = in.Respond(&spec.Response{Status: status, ContentLength: int64(len(body)), Header: fields}, []byte(body)) // the test may be over
	}
}

func unzip(body string) string {
	GinkgoHelper()
	r, err := gzip.NewReader(strings.NewReader(body))
	Expect(err).NotTo(HaveOccurred())
	plain, err := io.ReadAll(r)
	Expect(err).NotTo(HaveOccurred())
	return string(plain)
}

var _ = Describe("compression", func() {
	var (
		text  = strings.Repeat("all work and no play ", 500)
		plain = spec.Field{Name: "Content-Type", Value: "text/plain; charset=utf-8"}
	)

	It("is for callers that take it, and tells caches", func() {
		r := start(compressing("application/json", "text/*"))
		r.join(identity{}, answers(200, text, plain, spec.Field{Name: "Etag", Value: `"one"`}, spec.Field{Name: "Vary", Value: "Accept"}), endpoint("GET", "/a"))
		for _, takes := range []string{"gzip", "br, gzip;q=0.5", "x-gzip", "*", "identity;q=0, * ; q=0.1", "GZIP"} {
			got := r.do("GET", "/a", "", "Accept-Encoding", takes)
			Expect(got.Header.Values("Content-Encoding")).To(Equal([]string{"gzip"}), takes)
			Expect(got.Header.Values("Vary")).To(Equal([]string{"Accept", "Accept-Encoding"}))
			Expect(got.Header.Get("Etag")).To(Equal(`W/"one"`))
			Expect(got.ContentLength).To(BeEquivalentTo(len(got.body)), "it is short")
			Expect(len(got.body)).To(BeNumerically("<", len(text)/10))
			Expect(unzip(got.body)).To(Equal(text))
		}
		for _, takes := range []string{"", "br", "gzip;q=0", "gzip; q=0.0, *", "*;q=0", "gzip;q=much", "gzipped"} {
			got := r.do("GET", "/a", "", "Accept-Encoding", takes)
			Expect(got.Header).NotTo(HaveKey("Content-Encoding"), takes)
			Expect(got.Header.Values("Vary")).To(Equal([]string{"Accept", "Accept-Encoding"}))
			Expect(got.Header.Get("Etag")).To(Equal(`"one"`))
			Expect(got.ContentLength).To(BeEquivalentTo(len(text)))
			Expect(got.body).To(Equal(text))
		}
		head := r.do("HEAD", "/a", "", "Accept-Encoding", "gzip")
		Expect(head.Header.Get("Content-Encoding")).To(Equal("gzip"))
		Expect(head.ContentLength).To(BeEquivalentTo(-1))
		Expect(head.body).To(BeEmpty())
	})

	DescribeTable("leaves alone",
		func(answer func(*session.Incoming)) {
			r := start(compressing("application/json", "text/*"))
			r.join(identity{}, answer, endpoint("GET", "/a"))
			got := r.do("GET", "/a", "", "Accept-Encoding", "gzip")
			Expect(got.Header.Get("Content-Encoding")).NotTo(Equal("gzip"))
			Expect(got.body).NotTo(HavePrefix("\x1f\x8b"))
		},
		Entry("what is small", answers(200, strings.Repeat("a", 999), plain)),
		Entry("another type", answers(200, text, spec.Field{Name: "Content-Type", Value: "image/png"})),
		Entry("no type", answers(200, text)),
		Entry("what is no type", answers(200, text, spec.Field{Name: "Content-Type", Value: "text/"})),
		Entry("what is encoded already", answers(200, text, plain, spec.Field{Name: "Content-Encoding", Value: "br"})),
		Entry("a part", answers(206, text, plain, spec.Field{Name: "Content-Range", Value: "bytes 0-10499/20000"})),
		Entry("what has a digest", answers(200, text, plain, spec.Field{Name: "Content-Digest", Value: "sha-256=:AA==:"})),
		Entry("what is not to be transformed", answers(200, text, plain, spec.Field{Name: "Cache-Control", Value: "max-age=3, No-Transform"})),
		Entry("204", answers(204, "", plain)),
		Entry("304", answers(304, "", plain)),
	)

	It("is not there unless it is asked for, nor of streams", func() {
		r := start()
		r.join(identity{}, answers(200, text, plain), endpoint("GET", "/a"))
		Expect(r.do("GET", "/a", "", "Accept-Encoding", "gzip").body).To(Equal(text))
		s := start(compressing("text/*"))
		e := endpoint("GET", "/a")
		e.Stream = spec.StreamResponse
		s.join(identity{}, answers(200, text, plain), e)
		got := s.do("GET", "/a", "", "Accept-Encoding", "gzip")
		Expect(got.body).To(Equal(text))
		Expect(got.Header).NotTo(HaveKey("Vary"))
	})

	It("of an answer in many parts has all of them, and ends when that does; one that is broken off has no end", func() {
		r := start(compressing("text/*"))
		r.join(identity{}, func(in *session.Incoming) {
			if in.Head(&spec.Response{Status: 200, ContentLength: -1, Header: []spec.Field{plain}}) != nil {
				return
			}
			for range 20 {
				if _, err := in.Write([]byte(text)); err != nil {
					return
				}
			}
			if in.Request().Query == "whole" {
				_ = in.End() // the test may be over
				return
			}
			in.Cancel(spec.CodeInternal, "")
		}, endpoint("GET", "/a"))
		got := r.do("GET", "/a?whole", "", "Accept-Encoding", "gzip")
		Expect(unzip(got.body)).To(Equal(strings.Repeat(text, 20)))
		q, err := http.NewRequest(http.MethodGet, "http://"+r.g.HTTPAddr()+"/a?broken", http.NoBody)
		Expect(err).NotTo(HaveOccurred())
		q.Header.Set("Accept-Encoding", "gzip")
		resp, err := http.DefaultClient.Do(q)
		Expect(err).NotTo(HaveOccurred())
		defer resp.Body.Close()
		var b bytes.Buffer
		_, err = io.Copy(&b, resp.Body)
		Expect(err).To(MatchError(io.ErrUnexpectedEOF))
	})

	DescribeTable("is told what is wrong with it",
		func(types []string, least int64, want string) {
			Expect((&edge.Policy{Compression: coding.Rule{Types: types, MinSize: least}}).Check()).To(MatchError(ContainSubstring(want)))
		},
		Entry("no type", []string{"json"}, int64(0), `got "json"`),
		Entry("everything", []string{"*/*"}, int64(0), `got "*/*"`),
		Entry("a part of a subtype", []string{"application/*+json"}, int64(0), `got "application/*+json"`),
		Entry("a parameter", []string{"text/plain; charset=utf-8"}, int64(0), "charset"),
		Entry("less than nothing", []string{"text/*"}, int64(-1), "negative"),
	)
})
