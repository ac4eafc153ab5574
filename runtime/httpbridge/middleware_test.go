package httpbridge_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"

	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/runtime/httpbridge"
	"github.com/stella-ops/router/runtime/stellatest"
	"github.com/stella-ops/router/spec"
)

// behind runs a service that serves an endpoint, which is no bridged one, behind middleware, the outermost first.
func behind(endpoint string, dispatch stella.Dispatch, list ...func(http.Handler) http.Handler) (*stellatest.Service, *journal) {
	GinkgoHelper()
	method, path, _ := strings.Cut(endpoint, " ")
	m := spec.Manifest{Service: "test", Version: "1.0.0", Endpoints: []spec.Endpoint{{
		Method: method, Path: path, Handler: "Handler", Kind: spec.KindRaw, Status: 200, Stream: spec.StreamBoth,
		Public: "it is a test", Limits: spec.DefaultLimits,
	}}}
	p, err := spec.ParsePattern(path)
	Expect(err).NotTo(HaveOccurred())
	for _, name := range p.Params() {
		m.Endpoints[0].Params = append(m.Endpoints[0].Params, spec.Param{Name: name, In: spec.InPath, Required: true, Schema: &spec.Schema{Type: "string"}})
	}
	b, err := m.Encode()
	Expect(err).NotTo(HaveOccurred())
	before := gleak.Goroutines()
	log := new(journal)
	parts := []stella.Part{
		stella.Endpoints{Package: "test", List: []stella.Endpoint{{Method: method, Path: path, Dispatch: dispatch}}},
		stella.WithLogger(slog.New(slog.NewTextHandler(log, nil))),
	}
	for _, mw := range list {
		parts = append(parts, stella.WithInterceptor(httpbridge.Middleware(mw)))
	}
	s, err := stellatest.Start(context.Background(), stella.Manifest{JSON: string(b)}, parts...)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() {
		Expect(s.Close()).To(Succeed())
		Eventually(gleak.Goroutines).WithTimeout(patience).ShouldNot(gleak.HaveLeaked(before))
	})
	return s, log
}

// through is middleware of a function.
func through(f func(w http.ResponseWriter, r *http.Request, next http.Handler)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f(w, r, next) })
	}
}

// answers is a dispatcher that says what it sees.
func answers(_ context.Context, r *stella.Request, w *stella.Response) error {
	body, err := r.ReadBody()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s %s q=%s id=%s X=%s %s", r.Method, r.Path, r.Query().Get("q"), r.PathValue("id"), r.Header.Get("X-Seen"), body)
	return err
}

// counted is a writer that counts, as access logs do.
type counted struct {
	http.ResponseWriter

	status, bytes int
}

func (c *counted) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.bytes += n
	return n, err
}

func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

type middlewareKey struct{}

var _ = Describe("Middleware around an endpoint", func() {
	It("sees the request as a net/http handler does, and passes it on as it came", func() {
		s, _ := behind("POST /a/{id}", answers, through(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			Expect([]string{r.Method, r.URL.Path, r.Pattern, r.PathValue("id"), r.Header.Get("X-Seen")}).To(
				Equal([]string{"POST", "/a/7", "POST /a/{id}", "7", "sent"}))
			w.Header().Set("X-Middleware", "yes")
			next.ServeHTTP(w, r)
		}))
		res := call(s, request{Method: "POST", Path: "/a/7?q=1", Header: fields("X-Seen", "sent"), Body: []byte("hello")})
		Expect(string(res.Body)).To(Equal("POST /a/7 q=1 id=7 X=sent hello"))
		Expect(res.Header.Get("X-Middleware")).To(Equal("yes"))
	})

	It("may change what the endpoint sees: header fields, query, body, and the context", func() {
		s, _ := behind("POST /a", func(ctx context.Context, r *stella.Request, w *stella.Response) error {
			value, _ := ctx.Value(middlewareKey{}).(string)
			_, _ = io.WriteString(w, value+" ")
			return answers(ctx, r, w)
		}, through(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			body, err := io.ReadAll(r.Body)
			Expect(err).NotTo(HaveOccurred())
			r = r.WithContext(context.WithValue(r.Context(), middlewareKey{}, "value"))
			r.Header.Set("X-Seen", "changed")
			r.URL.RawQuery = "q=2"
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(bytes.ToUpper(body))), int64(len(body))
			next.ServeHTTP(w, r)
		}))
		res := call(s, request{Method: "POST", Path: "/a?q=1", Header: fields("X-Seen", "sent"), Body: []byte("hello")})
		Expect(string(res.Body)).To(Equal("value POST /a q=2 id= X=changed HELLO"))
	})

	It("may set fields under any spelling, each of which is sent once", func() {
		s, _ := behind("GET /a", answers, through(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			w.Header()["x-lower"] = []string{"once"}
			w.Header().Add("X-Twice", "1")
			w.Header().Add("X-Twice", "2")
			next.ServeHTTP(w, r)
		}))
		res := call(s, request{Path: "/a"})
		Expect(res.Header.Values("X-Lower")).To(Equal([]string{"once"}))
		Expect(res.Header.Values("X-Twice")).To(Equal([]string{"1", "2"}))
	})

	It("may refuse, and the endpoint is not called", func() {
		s, _ := behind("GET /a", func(context.Context, *stella.Request, *stella.Response) error { panic("called") },
			through(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
				http.Error(w, "no", http.StatusUnauthorized)
			}))
		res := call(s, request{Path: "/a"})
		Expect(res.Status).To(Equal(http.StatusUnauthorized))
		Expect(string(res.Body)).To(Equal("no\n"))
	})

	DescribeTable("may wrap the writer, through which all of the answer passes", func(dispatch stella.Dispatch, status, size int) {
		c := new(counted)
		s, _ := behind("GET /a", dispatch, through(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			c.ResponseWriter = w
			next.ServeHTTP(c, r)
		}))
		res := call(s, request{Path: "/a"})
		Expect(res.Status).To(Equal(status))
		Expect(c.status).To(Equal(status))
		if size < 0 {
			size = len(res.Body)
		}
		Expect(c.bytes).To(Equal(size))
		Expect(res.Body).To(HaveLen(size))
	},
		Entry("a small one", func(_ context.Context, _ *stella.Request, w *stella.Response) error { return w.JSON(201, "a") }, 201, 3),
		Entry("one of no body", func(_ context.Context, _ *stella.Request, w *stella.Response) error { return w.Empty(204) }, 204, 0),
		Entry("a long one", func(_ context.Context, _ *stella.Request, w *stella.Response) error {
			_, err := w.ReadFrom(strings.NewReader(strings.Repeat("x", 300_000)))
			return err
		}, 200, 300_000),
		Entry("the problem that an error becomes", func(context.Context, *stella.Request, *stella.Response) error {
			return stella.NewError(409, "taken", "It is taken.")
		}, 409, -1),
	)

	It("runs in order, the first one outermost, and around a bridged handler", func() {
		var order []string
		noting := func(name string) func(http.Handler) http.Handler {
			return through(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				order = append(order, name)
				next.ServeHTTP(w, r)
			})
		}
		s, _ := behind("GET /a", httpbridge.Dispatch(handle(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.URL.Path)
		})), noting("outer"), noting("inner"))
		Expect(string(call(s, request{Path: "/a"}).Body)).To(Equal("/a"))
		Expect(order).To(Equal([]string{"outer", "inner"}))
	})

	It("lets streams flow", func() {
		more := make(chan struct{})
		s, _ := behind("GET /a", func(ctx context.Context, _ *stella.Request, w *stella.Response) error {
			for _, part := range []string{"one", "two"} {
				if _, err := io.WriteString(w, part); err != nil {
					return err
				}
				if err := w.Flush(); err != nil {
					return err
				}
				select {
				case <-more:
				case <-ctx.Done():
				}
			}
			return nil
		}, through(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			next.ServeHTTP(&counted{ResponseWriter: w}, r)
		}))
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		st, err := s.Open(ctx, request{Path: "/a"})
		Expect(err).NotTo(HaveOccurred())
		Expect(read(st)).To(Equal("one"), "before the second was written")
		more <- struct{}{}
		Expect(read(st)).To(Equal("two"))
		more <- struct{}{}
		_, err = io.ReadAll(st)
		Expect(err).NotTo(HaveOccurred())
	})

	It("may recover from a panic, and answer", func() {
		s, _ := behind("GET /a", func(context.Context, *stella.Request, *stella.Response) error { panic("oh") },
			through(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				defer func() {
					Expect(recover()).To(Equal("oh"))
					w.WriteHeader(http.StatusTeapot)
				}()
				next.ServeHTTP(w, r)
			}))
		Expect(call(s, request{Path: "/a"}).Status).To(Equal(http.StatusTeapot))
	})

	It("may bound the body: what is over is 413 to the endpoint's caller", func() {
		s, _ := behind("POST /a", answers, through(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			r.Body = http.MaxBytesReader(w, r.Body, 3)
			next.ServeHTTP(w, r)
		}))
		Expect(call(s, request{Method: "POST", Path: "/a", Body: []byte("hello")}).Status).To(Equal(http.StatusRequestEntityTooLarge))
		Expect(call(s, request{Method: "POST", Path: "/a", Body: []byte("hey")}).Status).To(Equal(http.StatusOK))
	})

	It("of the standard library's time limit answers in time, and the endpoint's context ends", func() {
		ended := make(chan error, 1)
		s, _ := behind("GET /a", func(ctx context.Context, _ *stella.Request, _ *stella.Response) error {
			<-ctx.Done()
			ended <- ctx.Err()
			return ctx.Err()
		}, func(next http.Handler) http.Handler { return http.TimeoutHandler(next, 20*time.Millisecond, "late") })
		res := call(s, request{Path: "/a"})
		Expect(res.Status).To(Equal(http.StatusServiceUnavailable))
		Expect(string(res.Body)).To(Equal("late"))
		Eventually(ended).WithTimeout(patience).Should(Receive(HaveOccurred()))
	})

	It("has to pass a request on whose context comes from its own", func() {
		s, log := behind("GET /a", answers, through(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			next.ServeHTTP(w, r.WithContext(context.Background()))
		}))
		Expect(call(s, request{Path: "/a"}).Status).To(Equal(http.StatusInternalServerError))
		Expect(log.String()).To(ContainSubstring("whose context does not come from the one that it got"))
	})

	DescribeTable("may call its next handler twice, which answers twice: the first status counts, and the bodies are one",
		func(dispatch stella.Dispatch, status int, body string) {
			var seen counted
			s, log := behind("POST /a", dispatch, through(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				seen = counted{ResponseWriter: w}
				next.ServeHTTP(&seen, r)
				next.ServeHTTP(&seen, r)
			}))
			res := call(s, request{Method: "POST", Path: "/a", Body: []byte("hello")})
			Expect([]any{res.Status, string(res.Body)}).To(Equal([]any{status, body}))
			Expect(seen.bytes).To(Equal(len(body)))
			Expect(log.String()).To(ContainSubstring("superfluous WriteHeader"))
		},
		Entry("of JSON", func(_ context.Context, _ *stella.Request, w *stella.Response) error { return w.JSON(201, "a") }, 201, `"a""a"`),
		Entry("of the request's body, which is kept for it", answers, 200, "POST /a q= id= X= helloPOST /a q= id= X= hello"),
		Entry("of a bridged one", httpbridge.Dispatch(handle(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			w.WriteHeader(202 + len(body))
			_, _ = w.Write(body)
			_, _ = io.WriteString(w, ".")
		})), 207, "hello.."),
		Entry("of a stream", func(_ context.Context, _ *stella.Request, w *stella.Response) error {
			_, err := io.WriteString(w, "part")
			return errors.Join(err, w.Flush())
		}, 200, "partpart"),
		Entry("of the problem that an error becomes", func(context.Context, *stella.Request, *stella.Response) error {
			return stella.NewError(409, "taken", "")
		}, 409, strings.Repeat(
			`{"type":"about:blank","title":"Conflict","status":409,"code":"taken","requestId":"00000000-0000-7000-8000-000000000000","origin":"service"}`, 2)),
	)

	It("that calls its next handler twice has an answer whose length is declared broken off, as there is more than that", func() {
		s, log := behind("GET /a", func(_ context.Context, _ *stella.Request, w *stella.Response) error {
			return w.JSON(200, strings.Repeat("x", 100_000))
		}, through(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			next.ServeHTTP(w, r)
			next.ServeHTTP(w, r)
		}))
		_, err := s.Call(context.Background(), request{Path: "/a"})
		Expect(err).To(haveCode(spec.CodeInternal))
		Expect(log.String()).To(ContainSubstring("wrote more than the declared Content-Length"))
		Expect(log.String()).NotTo(ContainSubstring("panic"))
	})

	It("has its next handler called one after the other, also by goroutines", func() {
		var calls, both atomic.Int64
		s, _ := behind("GET /a", func(_ context.Context, _ *stella.Request, w *stella.Response) error {
			if calls.Add(1) > 1 {
				both.Add(1)
			}
			defer calls.Add(-1)
			_, err := io.WriteString(w, "x")
			return err
		}, through(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() { next.ServeHTTP(w, r.Clone(r.Context())) })
			}
			wg.Wait()
		}))
		Expect(string(call(s, request{Path: "/a"}).Body)).To(Equal("xxxxxxxx"))
		Expect(both.Load()).To(BeZero())
	})

	DescribeTable("leaves an endpoint its deadlines if its writer has any", func(wrap func(http.ResponseWriter) http.ResponseWriter, want error) {
		s, _ := behind("GET /a", func(_ context.Context, _ *stella.Request, w *stella.Response) error {
			_, err := fmt.Fprint(w, errors.Is(w.SetReadDeadline(time.Time{}), want), ", ", errors.Is(w.SetWriteDeadline(time.Time{}), want))
			return err
		}, through(func(w http.ResponseWriter, r *http.Request, next http.Handler) { next.ServeHTTP(wrap(w), r) }))
		Expect(string(call(s, request{Path: "/a"}).Body)).To(Equal("true, true"))
	},
		Entry("as it does by Unwrap", func(w http.ResponseWriter) http.ResponseWriter { return &counted{ResponseWriter: w} }, nil),
		Entry("as it does not without", func(w http.ResponseWriter) http.ResponseWriter { return struct{ http.ResponseWriter }{w} }, errors.ErrUnsupported),
	)

	It("that is nil is refused when the service starts", func() {
		Expect(httpbridge.Middleware(nil)).To(BeNil())
	})

	It("may not take the connection over: there is none", func() {
		s, _ := behind("GET /a", answers, through(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			var conn net.Conn
			var buffer *bufio.ReadWriter
			conn, buffer, err := http.NewResponseController(w).Hijack()
			Expect([]any{conn, buffer}).To(Equal([]any{nil, (*bufio.ReadWriter)(nil)}))
			Expect(errors.Is(err, http.ErrNotSupported)).To(BeTrue())
			w.WriteHeader(http.StatusNotImplemented)
		}))
		Expect(call(s, request{Path: "/a"}).Status).To(Equal(http.StatusNotImplemented))
	})
})

var _ = Describe("Trailers through middleware", func() {
	echoTrailers := func(_ context.Context, r *stella.Request, w *stella.Response) error {
		body, err := r.ReadBody()
		if err != nil {
			return err
		}
		w.Header().Set("Trailer", "X-Sum")
		_, err = w.Write(body)
		for _, f := range r.Trailer() {
			w.Trailer().Add(f.Name, f.Value)
		}
		return err
	}
	sent := request{Method: "POST", Path: "/a", Body: []byte("hello"), Header: fields("Trailer", "X-Sum"), Trailer: fields("X-Sum", "1", "X-Sum", "2", "X-Late", "3")}

	It("pass both ways, of an endpoint that is no bridged one", func() {
		var header http.Header
		var before []string
		s, _ := behind("POST /a", echoTrailers, through(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			header, before = r.Header.Clone(), slices.Collect(maps.Keys(r.Trailer))
			w.Header().Set(http.TrailerPrefix+"X-Early", "0")
			next.ServeHTTP(&counted{ResponseWriter: w}, r)
			w.Header().Set(http.TrailerPrefix+"X-Middleware", "4")
		}))
		res := call(s, sent)
		Expect(string(res.Body)).To(Equal("hello"))
		Expect(res.Trailer).To(ConsistOf(fields("X-Sum", "1", "X-Sum", "2", "X-Late", "3", "X-Early", "0", "X-Middleware", "4")))
		Expect(res.Header.Get("Trailer")).To(Equal("X-Sum"))
		Expect(header).NotTo(HaveKey("Trailer"))
		Expect(before).To(Equal([]string{"X-Sum"}))
	})

	It("pass both ways, of a bridged one, whatever the middleware changes of the header", func() {
		inner := httpbridge.Dispatch(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			w.Header().Set("X-Sum", "a header")
			_, before := r.Trailer["X-Sum"]
			_, _ = io.Copy(w, r.Body)
			_, _ = fmt.Fprint(w, before, r.Header["X-Changed"])
			w.Header()["X-Sum"] = r.Trailer["X-Sum"]
			w.Header().Set(http.TrailerPrefix+"X-Late", r.Trailer.Get("X-Late"))
		}))
		s, _ := behind("POST /a", inner, through(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			r.Header.Set("X-Changed", "yes")
			next.ServeHTTP(w, r)
		}))
		res := call(s, sent)
		Expect(string(res.Body)).To(Equal("hellotrue [yes]"))
		Expect(res.Trailer).To(ConsistOf(fields("X-Sum", "1", "X-Sum", "2", "X-Late", "3")))
	})

	It("are those of the request when the middleware has read the body and sets it anew", func() {
		s, _ := behind("POST /a", echoTrailers, through(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			body, err := io.ReadAll(r.Body)
			Expect(err).NotTo(HaveOccurred())
			Expect(r.Trailer.Get("X-Late")).To(Equal("3"))
			r.Body = io.NopCloser(bytes.NewReader(bytes.ToUpper(body)))
			next.ServeHTTP(w, r)
		}))
		res := call(s, sent)
		Expect(string(res.Body)).To(Equal("HELLO"))
		Expect(res.Trailer).To(ConsistOf(fields("X-Sum", "1", "X-Sum", "2", "X-Late", "3")))
	})
})
