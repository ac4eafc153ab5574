package stella_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/spec"
)

var errSecret = errors.New("password is 1234")

var requestID = spec.RequestID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}

var _ = Describe("A call", func() {
	It("reaches the dispatcher of its index, with all that the gateway said of the request", func() {
		var got stella.Request
		var id, rest, body string
		g, _ := serve(
			public("GET", "/a", nothing),
			public("POST", "/b/{id}/{rest...}", func(_ context.Context, r *stella.Request, w *stella.Response) error {
				got, id, rest = *r, r.PathValue("id"), r.PathValue("rest")
				Expect(r.PathValue("none")).To(BeEmpty())
				Expect(r.Query()).To(HaveKeyWithValue("q", []string{"1", "2"}))
				b, err := r.ReadBody()
				Expect(r.ReadBody()).To(Equal(b))
				body = string(b) // the bytes end with the handler
				return errors.Join(err, w.Empty(http.StatusNoContent))
			}),
		)
		identity := &spec.Identity{Subject: "ann", Claims: []spec.Claim{{Type: "scope", Value: "a"}}}
		r := send(g, request{body: "hello", Request: spec.Request{
			Endpoint: 1, Params: []string{"x y", "p/q"}, Query: "q=1&q=2", Authority: "example.org", Peer: "192.0.2.1:99",
			TLS: true, ID: requestID, Identity: identity, Header: []spec.Field{{Name: "X-One", Value: "1"}},
		}})
		Expect(r.Status).To(Equal(204))
		Expect(r.body).To(BeEmpty())
		Expect(id).To(Equal("x y"))
		Expect(rest).To(Equal("p/q"))
		Expect(body).To(Equal("hello"))
		Expect(got.Method).To(Equal("POST"))
		Expect(got.Path).To(Equal("/b/x%20y/p/q"))
		Expect(got.Host).To(Equal("example.org"))
		Expect(got.RemoteAddr).To(Equal("192.0.2.1:99"))
		Expect(got.TLS).To(BeTrue())
		Expect(got.ID).To(Equal("01020304-0506-0708-090a-0b0c0d0e0f10"))
		Expect(got.ContentLength).To(BeEquivalentTo(5))
		Expect(got.Identity).To(Equal(identity))
		Expect(got.Header.Get("x-one")).To(Equal("1"))
	})

	It("of an unknown endpoint or generation is refused as STALE", func() {
		g, _ := serve(public("GET", "/a", nothing))
		_, err := finish(begin(g, request{Request: spec.Request{Endpoint: 1}}, false))
		Expect(err).To(haveCode(spec.CodeStale))
		_, err = finish(begin(g, request{Request: spec.Request{Generation: 1}}, false))
		Expect(err).To(haveCode(spec.CodeStale))
	})

	It("finds its request in the context, also in a derived one", func() {
		g, _ := serve(public("GET", "/a", func(ctx context.Context, r *stella.Request, w *stella.Response) error {
			derived, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			Expect(stella.RequestFromContext(derived)).To(BeIdenticalTo(r))
			return w.Empty(http.StatusOK)
		}))
		Expect(send(g, request{}).Status).To(Equal(200))
		Expect(stella.RequestFromContext(context.Background())).To(BeNil())
	})

	It("tells its endpoint's pattern, and its path's parameters in order", func() {
		var pattern string
		var got [][2]string
		g, _ := serve(public("GET", "/a/{id}/b/{rest...}", func(_ context.Context, r *stella.Request, w *stella.Response) error {
			pattern = r.Pattern()
			for name, value := range r.PathValues() {
				got = append(got, [2]string{name, value})
			}
			for range r.PathValues() {
				break
			}
			return w.Empty(http.StatusOK)
		}))
		send(g, request{Request: spec.Request{Params: []string{"x y", "p/q"}}})
		Expect(pattern).To(Equal("GET /a/{id}/b/{rest...}"))
		Expect(got).To(Equal([][2]string{{"id", "x y"}, {"rest", "p/q"}}))
		outside := new(stella.Request)
		Expect(outside.Pattern()).To(BeEmpty())
		Expect(outside.PathValue("id")).To(BeEmpty())
	})

	It("has a logger in its context that names the request and the endpoint", func() {
		g, p := serve(public("GET", "/a", func(ctx context.Context, _ *stella.Request, w *stella.Response) error {
			stella.LoggerFromContext(ctx).InfoContext(ctx, "from the handler")
			return w.Empty(http.StatusOK)
		}))
		send(g, request{Request: spec.Request{ID: requestID}})
		Expect(p.log.String()).To(ContainSubstring(`msg="from the handler" request_id=` + requestID.String() + ` endpoint="GET /a"`))
		Expect(stella.LoggerFromContext(context.Background())).To(BeIdenticalTo(slog.Default()))
	})

	It("answers a stella.Error as a problem with its request id, its faults and its header, and without its cause", func() {
		g, p := serve(public("GET", "/a", func(context.Context, *stella.Request, *stella.Response) error {
			return fmt.Errorf("wrapped: %w", &stella.Error{
				Status: 409, Code: "taken", Message: "The name is taken.", Cause: errSecret,
				Faults: []spec.Fault{{Pointer: "/name", In: spec.InBody, Detail: "is taken"}},
				Header: stella.Header{{Name: "Retry-After", Value: "7"}},
			})
		}))
		r := send(g, request{Request: spec.Request{ID: requestID}})
		Expect(r.Status).To(Equal(409))
		Expect(r.header("Retry-After")).To(Equal("7"))
		Expect(problem(r)).To(Equal(spec.Problem{
			Type: "about:blank", Title: "Conflict", Status: 409, Detail: "The name is taken.", Code: "taken",
			RequestID: requestID.String(), Origin: "service",
			Errors: []spec.Fault{{Pointer: "/name", In: spec.InBody, Detail: "is taken"}},
		}))
		Expect(r.body).NotTo(ContainSubstring("1234"))
		Eventually(p.log.String).WithTimeout(patience).Should(And(ContainSubstring("1234"), ContainSubstring(requestID.String())))
	})

	It("answers any other error with a 500 that tells nothing, and logs it with the request id", func() {
		g, p := serve(public("GET", "/a", func(context.Context, *stella.Request, *stella.Response) error { return errSecret }))
		r := send(g, request{Request: spec.Request{ID: requestID}})
		Expect(r.Status).To(Equal(500))
		Expect(problem(r).Code).To(Equal("internal"))
		Expect(r.body).NotTo(ContainSubstring("1234"))
		Expect(p.log.String()).To(And(ContainSubstring("1234"), ContainSubstring(requestID.String())))
	})

	It("answers a panic with a 500 that tells nothing, and logs it with its stack and the request id", func() {
		g, p := serve(public("GET", "/a", func(context.Context, *stella.Request, *stella.Response) error { panic(errSecret) }))
		r := send(g, request{Request: spec.Request{ID: requestID}})
		Expect(r.Status).To(Equal(500))
		Expect(problem(r).Code).To(Equal("internal"))
		Expect(r.body).NotTo(ContainSubstring("1234"))
		Expect(p.log.String()).To(And(ContainSubstring("1234"), ContainSubstring(requestID.String()), ContainSubstring("dispatch_test.go")))
	})

	It("is broken off without a word in the log by http.ErrAbortHandler", func() {
		g, p := serve(public("GET", "/a", func(context.Context, *stella.Request, *stella.Response) error { panic(http.ErrAbortHandler) }))
		_, err := finish(begin(g, request{}, false))
		Expect(err).To(haveCode(spec.CodeInternal))
		Expect(p.log.String()).NotTo(ContainSubstring("panicked"))
	})

	DescribeTable("takes back what was held when the handler fails", func(fail func() error) {
		g, _ := serve(public("GET", "/a", func(_ context.Context, _ *stella.Request, w *stella.Response) error {
			w.Header().Set("X-Half", "yes")
			w.WriteHeader(http.StatusAccepted)
			_, err := io.WriteString(w, "half of it")
			return errors.Join(err, fail())
		}))
		r := send(g, request{})
		Expect(r.Status).To(Equal(500))
		Expect(problem(r).Code).To(Equal("internal"))
		Expect(r.header("X-Half")).To(BeEmpty())
	},
		Entry("with an error", func() error { return errSecret }),
		Entry("with a panic", func() error { panic("oh") }),
	)

	DescribeTable("breaks off an answer that has begun when the handler fails", func(fail func() error) {
		g, p := serve(public("GET", "/a", func(_ context.Context, _ *stella.Request, w *stella.Response) error {
			_, err := io.WriteString(w, "half of it")
			return errors.Join(err, w.Flush(), fail())
		}))
		_, err := finish(begin(g, request{}, false))
		Expect(err).To(haveCode(spec.CodeInternal))
		Eventually(p.log.String).WithTimeout(patience).Should(ContainSubstring("oh"))
	},
		Entry("with an error", func() error { return stella.NewError(400, "oh", "oh") }),
		Entry("with a panic", func() error { panic("oh") }),
	)

	It("ends with DEADLINE when the handler's time is up", func() {
		g, _ := serve(public("GET", "/a", func(ctx context.Context, _ *stella.Request, _ *stella.Response) error {
			<-ctx.Done()
			return ctx.Err()
		}))
		// The gateway's end has no timer here: the service alone must notice. So the deadline goes out by hand.
		c := begin(g, request{timeout: 30 * time.Millisecond}, false)
		_, err := finish(c)
		Expect(err).To(haveCode(spec.CodeDeadline))
	})

	It("ends the handler's context when the caller leaves", func() {
		entered, causes := make(chan struct{}), make(chan error, 1)
		g, p := serve(public("GET", "/a", func(ctx context.Context, _ *stella.Request, _ *stella.Response) error {
			close(entered)
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return ctx.Err()
		}))
		c := begin(g, request{}, false)
		Eventually(entered).WithTimeout(patience).Should(BeClosed())
		c.Cancel(spec.CodeClientGone)
		Eventually(causes).WithTimeout(patience).Should(Receive(haveCode(spec.CodeClientGone)))
		Eventually(p.log.String).WithTimeout(patience).Should(ContainSubstring("call ended before its answer"))
		Expect(p.log.String()).NotTo(ContainSubstring("level=ERROR"))
	})
})

var _ = Describe("A request's body", func() {
	read := func(limit int64) (*endpoint, chan error) {
		errs := make(chan error, 4)
		e := public("POST", "/a", func(_ context.Context, r *stella.Request, w *stella.Response) error {
			b, err := r.ReadBody()
			errs <- err
			if err != nil {
				return err
			}
			_, err = w.Write(b)
			return err
		})
		e.Limits.MaxBodyBytes = limit
		return &e, errs
	}

	It("is read whole when it comes in parts", func() {
		e, _ := read(1 << 20)
		g, _ := serve(*e)
		c := begin(g, request{body: "first,"}, true)
		stream(c, "second,", false)
		stream(c, strings.Repeat("x", 60_000), true)
		r, err := finish(c)
		Expect(err).NotTo(HaveOccurred())
		Expect(r.body).To(Equal("first,second," + strings.Repeat("x", 60_000)))
	})

	It("is answered with 413 as soon as it is over the endpoint's limit", func() {
		e, errs := read(10)
		g, _ := serve(*e)
		c := begin(g, request{body: "first,"}, true)
		stream(c, "second,", false) // and never an end
		r, err := finish(c)
		Expect(err).NotTo(HaveOccurred())
		Expect(r.Status).To(Equal(413))
		Expect(problem(r).Code).To(Equal("payload_too_large"))
		Expect(<-errs).To(MatchError(ContainSubstring("10 bytes")))
	})

	It("is answered with 413 when it came with the request", func() {
		e, _ := read(10)
		g, _ := serve(*e)
		Expect(send(g, request{body: "0123456789"}).Status).To(Equal(200))
		Expect(send(g, request{body: "0123456789+"}).Status).To(Equal(413))
	})

	It("can be read in part first, and then whole what is left", func() {
		g, _ := serve(public("POST", "/a", func(_ context.Context, r *stella.Request, w *stella.Response) error {
			var first [2]byte
			if _, err := io.ReadFull(r.Body, first[:]); err != nil {
				return err
			}
			rest, err := r.ReadBody()
			if err != nil {
				return err
			}
			after, err := io.ReadAll(r.Body)
			Expect(after).To(BeEmpty())
			_, _ = fmt.Fprintf(w, "%s|%s", first, rest)
			return err
		}))
		Expect(send(g, request{body: "abcdef"}).body).To(Equal("ab|cdef"))
	})
})

func nothing(_ context.Context, _ *stella.Request, w *stella.Response) error {
	return w.Empty(http.StatusOK)
}

type pair struct {
	Name string `json:"name"`
	N    int    `json:"n"`
}

var _ = Describe("JSON", func() {
	It("is one frame with its type and length, and without HTML escapes", func() {
		g, _ := serve(public("GET", "/a", func(_ context.Context, _ *stella.Request, w *stella.Response) error {
			return w.JSON(http.StatusCreated, pair{"<&>", 1})
		}))
		r := send(g, request{})
		Expect(r.Status).To(Equal(201))
		Expect(r.body).To(Equal(`{"name":"<&>","n":1}`))
		Expect(r.header("Content-Type")).To(Equal("application/json"))
		Expect(r.ContentLength).To(BeEquivalentTo(len(r.body)))
		Expect(r.whole).To(BeTrue())
	})

	It("that is large has its length too", func() {
		big := strings.Repeat("x", 300_000)
		g, _ := serve(public("GET", "/a", func(_ context.Context, _ *stella.Request, w *stella.Response) error {
			return w.JSON(http.StatusOK, big)
		}))
		r := send(g, request{})
		Expect(r.ContentLength).To(BeEquivalentTo(len(big) + 2))
		var got string
		Expect(json.Unmarshal([]byte(r.body), &got)).To(Succeed())
		Expect(got).To(Equal(big))
	})

	It("that cannot be encoded is a 500", func() {
		g, p := serve(public("GET", "/a", func(_ context.Context, _ *stella.Request, w *stella.Response) error {
			return w.JSON(http.StatusOK, make(chan int))
		}))
		Expect(problem(send(g, request{})).Code).To(Equal("internal"))
		Expect(p.log.String()).To(ContainSubstring("chan int"))
	})

	It("must be the whole answer", func() {
		g, _ := serve(public("GET", "/a", func(_ context.Context, _ *stella.Request, w *stella.Response) error {
			if err := w.JSON(http.StatusOK, 1); err != nil {
				return err
			}
			return w.JSON(http.StatusOK, 2)
		}))
		Expect(send(g, request{}).Status).To(Equal(500))
	})
})
