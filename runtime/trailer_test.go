package stella_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/spec"
)

var _ = Describe("The trailers", func() {
	It("of an answer follow its body, whether it is small, large or has begun", func() {
		g, _ := serve(answer(func(w *stella.Response) error {
			w.Header().Set("Trailer", "X-Sum")
			_, err := io.WriteString(w, "small")
			w.Trailer().Set("x-sum", "1")
			w.Trailer().Add("X-Sum", "2")
			return err
		}), public("GET", "/large", func(_ context.Context, _ *stella.Request, w *stella.Response) error {
			_, err := io.WriteString(w, strings.Repeat("x", spec.MaxInlineBody+1))
			w.Trailer().Set("X-Sum", "3")
			return err
		}), public("GET", "/flushed", func(_ context.Context, _ *stella.Request, w *stella.Response) error {
			err := w.Flush()
			w.Trailer().Set("X-Sum", "4")
			return err
		}))
		r := send(g, request{})
		Expect(r.body).To(Equal("small"))
		Expect(r.ContentLength).To(BeEquivalentTo(-1), "a length leaves HTTP/1.1 no room for trailers")
		Expect(r.header("Trailer")).To(Equal("X-Sum"))
		Expect(r.header("X-Sum")).To(BeEmpty())
		Expect(r.trailer).To(Equal(stella.Header{{Name: "X-Sum", Value: "1"}, {Name: "X-Sum", Value: "2"}}))
		r = send(g, request{Request: spec.Request{Endpoint: 2}})
		Expect(r.body).To(HaveLen(spec.MaxInlineBody + 1))
		Expect(r.trailer.Get("X-Sum")).To(Equal("3"))
		Expect(send(g, request{Request: spec.Request{Endpoint: 1}}).trailer.Get("X-Sum")).To(Equal("4"))
	})

	It("of a request are there once its body has been read", func() {
		g, _ := serve(public("POST", "/a", func(_ context.Context, r *stella.Request, w *stella.Response) error {
			body, err := r.ReadBody()
			_, errWrite := io.WriteString(w, string(body)+" "+r.Trailer().Get("x-sum")+r.Header.Get("X-Sum"))
			return errors.Join(err, errWrite)
		}))
		for _, body := range []string{"", "inline"} {
			c := begin(g, request{body: body}, true)
			if body == "" {
				stream(c, "streamed", false)
			}
			Expect(c.EndWith(stella.Header{{Name: "X-Sum", Value: "1"}})).To(Succeed())
			r, err := finish(c)
			Expect(err).NotTo(HaveOccurred())
			if body == "" {
				body = "streamed"
			}
			Expect(r.body).To(Equal(body + " 1"))
		}
		Expect(send(g, request{body: "none"}).body).To(Equal("none "))
		Expect((&stella.Request{}).Trailer()).To(BeEmpty())
	})

	It("of an interceptor follow the answer of an endpoint that knows of none", func() {
		g := listen("inmemory://runtime-test")
		m, list := service(answer(func(w *stella.Response) error { return w.JSON(200, "typed") }))
		run(m, list, stella.WithGateways(g.url), stella.WithInterceptor(
			func(ctx context.Context, r *stella.Request, w *stella.Response, next stella.Dispatch) error {
				err := next(ctx, r, w)
				w.Trailer().Set("X-Sum", "1")
				return err
			}))
		r := send(g.connected(), request{})
		Expect(r.body).To(Equal(`"typed"`))
		Expect(r.ContentLength).To(BeEquivalentTo(-1))
		Expect(r.trailer.Get("X-Sum")).To(Equal("1"))
	})

	DescribeTable("are not sent with an answer that has no body",
		func(method string, status int, length int64) {
			g, _ := serve(answer(func(w *stella.Response) error {
				w.WriteHeader(status)
				_, err := io.WriteString(w, "four")
				w.Trailer().Set("X-Sum", "1")
				if errors.Is(err, http.ErrBodyNotAllowed) {
					err = nil
				}
				return err
			}))
			r := send(g, request{Request: spec.Request{Method: method}})
			Expect(r.Status).To(Equal(status))
			Expect(r.whole).To(BeTrue())
			Expect(r.trailer).To(BeEmpty())
			Expect(r.ContentLength).To(Equal(length))
		},
		Entry("to HEAD", "HEAD", 200, int64(4)), Entry("with 204", "", 204, int64(0)), Entry("with 304", "", 304, int64(0)),
	)

	DescribeTable("are refused that cannot be sent", func(name, value, why string) {
		g, p := serve(answer(func(w *stella.Response) error {
			w.Trailer().Set(name, value)
			_, err := io.WriteString(w, "body")
			return err
		}))
		r := send(g, request{})
		Expect(r.Status).To(Equal(500))
		Expect(r.trailer).To(BeEmpty())
		Expect(p.log.String()).To(ContainSubstring(why))
	},
		Entry("with a name that is none", "not a name", "1", "is not a token"),
		Entry("with a value that breaks a line", "X-Sum", "1\n2", "control character"),
		Entry("since readers need it before the body", "Set-Cookie", "a=b", "must not be a trailer"),
		Entry("since they are too large", "X-Large", strings.Repeat("x", spec.MaxMetadata), "more than 65535 bytes"),
	)

	It("of an answer that has begun break it off where they cannot be sent", func() {
		g, _ := serve(answer(func(w *stella.Response) error {
			w.Trailer().Set("Content-Length", "1")
			return w.Flush()
		}))
		_, err := finish(begin(g, request{}, false))
		Expect(err).To(haveCode(spec.CodeInternal))
	})

	It("go with the answer that they belong to, and not with the problem that takes its place", func() {
		g, _ := serve(answer(func(w *stella.Response) error {
			w.Trailer().Set("X-Sum", "1")
			return &stella.Error{Status: 409}
		}))
		r := send(g, request{})
		Expect(r.Status).To(Equal(409))
		Expect(r.trailer).To(BeEmpty())
	})
})
