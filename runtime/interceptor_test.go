package stella_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/runtime/queue"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

// steps notes what happens in which order.
type steps struct {
	mu   sync.Mutex
	list []string
}

func (s *steps) add(step string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, step)
}

// take returns the steps so far, and forgets them.
func (s *steps) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.list
	s.list = nil
	return list
}

// around notes when it begins and ends.
func (s *steps) around(name string) stella.Interceptor {
	return func(ctx context.Context, r *stella.Request, w *stella.Response, next stella.Dispatch) error {
		s.add(name + "(")
		defer s.add(")" + name)
		return next(ctx, r, w)
	}
}

func (s *steps) handler(_ context.Context, _ *stella.Request, w *stella.Response) error {
	s.add("handler")
	return w.Empty(http.StatusOK)
}

func tagged(e endpoint, tags ...string) endpoint {
	e.Tags = tags
	return e
}

// serveWith is serve with further parts.
func serveWith(parts []stella.Part, endpoints ...endpoint) (*session.Gateway, *process) {
	GinkgoHelper()
	g := listen("inmemory://interceptor-test")
	m, list := service(endpoints...)
	p := run(m, append([]stella.Part{list, stella.WithGateways(g.url)}, parts...)...)
	return g.connected(), p
}

// intercepted serves GET /a behind interceptors, the outermost first.
func intercepted(dispatch stella.Dispatch, list ...stella.Interceptor) (*session.Gateway, *process) {
	GinkgoHelper()
	parts := make([]stella.Part, len(list))
	for i, in := range list {
		parts[i] = stella.WithInterceptor(in)
	}
	return serveWith(parts, public("GET", "/a", dispatch))
}

type contextKey struct{}

var _ = Describe("Interceptors", func() {
	It("run for all endpoints, for a tag or for one endpoint, the first one outermost", func() {
		var s steps
		g, _ := serveWith([]stella.Part{
			stella.WithInterceptor(s.around("all")),
			stella.WithInterceptor(s.around("admin"), stella.OfTag("admin")),
			stella.WithInterceptor(s.around("one"), stella.OfEndpoint("GET /b/{other}")),
			stella.WithInterceptor(s.around("some"), stella.OfTag("admin"), stella.OfTag("audit"), stella.OfEndpoint("GET /c")),
		},
			public("GET", "/a", s.handler), public("GET", "/b/{id}", s.handler), public("GET", "/c", s.handler),
			tagged(public("GET", "/d", s.handler), "audit", "admin"), tagged(public("GET", "/e", s.handler), "audit"))
		for i, want := range [][]string{
			{"all(", "handler", ")all"},
			{"all(", "one(", "handler", ")one", ")all"},
			{"all(", "some(", "handler", ")some", ")all"},
			{"all(", "admin(", "some(", "handler", ")some", ")admin", ")all"},
			{"all(", "some(", "handler", ")some", ")all"},
		} {
			r := request{Request: spec.Request{Endpoint: uint32(i)}}
			if i == 1 {
				r.Params = []string{"7"}
			}
			Expect(send(g, r).Status).To(Equal(200))
			Expect(s.take()).To(Equal(want), "endpoint %d", i)
		}
	})

	DescribeTable("that name nothing are refused, with what there is", func(p stella.Part, want string) {
		m, list := service(tagged(public("GET", "/a", nothing), "billing"), tagged(public("POST", "/b/{id}", nothing), "billing", "admin"))
		err := stella.New(m, list, p).Run(context.Background())
		Expect(err).To(MatchError(want))
	},
		Entry("a tag", stella.WithInterceptor(new(steps).around(""), stella.OfTag("amdin")),
			`stella: WithInterceptor: no endpoint of test has the tag "amdin"; there are admin, billing`),
		Entry("an endpoint", stella.WithInterceptor(new(steps).around(""), stella.OfEndpoint("POST /a")),
			`stella: WithInterceptor: test has no endpoint POST /a; there are GET /a, POST /b/{id}`),
		Entry("no name of an endpoint", stella.WithInterceptor(new(steps).around(""), stella.OfEndpoint("/a")),
			`stella: WithInterceptor: spec: endpoint "/a": expected a method and a path, such as POST /invoices`),
		Entry("nothing", stella.WithInterceptor(new(steps).around(""), stella.Scope{}),
			`stella: WithInterceptor: no endpoint of test has the tag ""; there are admin, billing`),
		Entry("no interceptor", stella.WithInterceptor(nil), `stella: WithInterceptor: the interceptor is nil`),
	)

	It("that name a tag where no endpoint has any are refused with that", func() {
		m, list := service(public("GET", "/a", nothing))
		err := stella.New(m, list, stella.WithInterceptor(new(steps).around(""), stella.OfTag("x"))).Run(context.Background())
		Expect(err).To(MatchError(`stella: WithInterceptor: no endpoint of test has the tag "x", nor any other: give endpoints tags=`))
	})

	It("see and change the request, and give the handler a context with more in it", func() {
		g, _ := intercepted(func(ctx context.Context, r *stella.Request, w *stella.Response) error {
			value, _ := ctx.Value(contextKey{}).(string)
			_, err := fmt.Fprint(w, value, " ", r.Header.Get("X-Added"), " ", r.Query().Get("q"), " ", stella.RequestFromContext(ctx) == r)
			return err
		}, func(ctx context.Context, r *stella.Request, w *stella.Response, next stella.Dispatch) error {
			Expect(r.Pattern()).To(Equal("GET /a"))
			Expect(r.Query().Get("q")).To(Equal("1"))
			r.RawQuery = "q=2"
			r.Header.Set("X-Added", r.Header.Get("X-Sent")+"!")
			return next(context.WithValue(ctx, contextKey{}, "value"), r, w)
		})
		r := send(g, request{Request: spec.Request{Query: "q=1", Header: []spec.Field{{Name: "X-Sent", Value: "sent"}}}})
		Expect(r.body).To(Equal("value sent! 2 true"))
	})

	It("may read the body, and leave it to the handler", func() {
		both := func(_ context.Context, r *stella.Request, w *stella.Response) error {
			streamed, err := io.ReadAll(r.Body)
			if err != nil {
				return err
			}
			r.Body = bytes.NewReader(streamed)
			whole, err := r.ReadBody()
			_, _ = fmt.Fprintf(w, "%s %s", streamed, whole)
			return err
		}
		g, _ := intercepted(both, func(ctx context.Context, r *stella.Request, w *stella.Response, next stella.Dispatch) error {
			seen, err := r.ReadBody()
			if err != nil {
				return err
			}
			r.Body = bytes.NewReader(bytes.ToUpper(seen))
			return next(ctx, r, w)
		})
		Expect(send(g, request{body: "hello"}).body).To(Equal("HELLO HELLO")) //nolint:dupword // it is read twice
	})

	It("may refuse, as a handler does, and with a header", func() {
		var s steps
		g, _ := intercepted(s.handler, func(_ context.Context, _ *stella.Request, w *stella.Response, _ stella.Dispatch) error {
			w.Header().Set("X-Set", "yes")
			return stella.NewError(http.StatusTooManyRequests, "too_many", "Later.")
		})
		r := send(g, request{})
		Expect(problem(r).Code).To(Equal("too_many"))
		Expect(r.header("X-Set")).To(Equal("yes"))
		Expect(s.take()).To(BeEmpty())
	})

	DescribeTable("keep what they have said where the handler fails, of which nothing stays", func(fail func() error, status int) {
		g, _ := intercepted(func(_ context.Context, _ *stella.Request, w *stella.Response) error {
			w.Header().Set("X-Handler", "yes")
			w.Header().Set("X-Changed", "by the handler")
			_, _ = io.WriteString(w, "half of it")
			return fail()
		}, func(ctx context.Context, r *stella.Request, w *stella.Response, next stella.Dispatch) error {
			w.Header().Set("X-Changed", "no")
			w.Header().Set("X-Twice", "no")
			err := next(ctx, r, w)
			w.Header().Set("X-After", strconv.Itoa(w.StatusOf(err)))
			return err
		})
		r := send(g, request{})
		Expect(r.Status).To(Equal(status))
		Expect(problem(r).Status).To(Equal(status))
		Expect([]string{r.header("X-Handler"), r.header("X-Changed")}).To(Equal([]string{"", "no"}))
		if status == http.StatusConflict {
			Expect(r.header("X-After")).To(Equal("409"))
			Expect(stella.Header(r.Header).Values("X-Twice")).To(Equal([]string{"the error's"}))
		}
	},
		Entry("with an error that callers see", func() error {
			return &stella.Error{Status: http.StatusConflict, Header: stella.Header{{Name: "X-Twice", Value: "the error's"}}}
		}, 409),
		Entry("with another error", func() error { return errSecret }, 500),
		Entry("with a panic", func() error { panic("oh") }, 500),
	)

	It("may answer instead of an error, with nothing left of the handler's answer", func() {
		g, p := intercepted(func(_ context.Context, _ *stella.Request, w *stella.Response) error {
			_, _ = io.WriteString(w, "half of it")
			return errSecret
		}, func(ctx context.Context, r *stella.Request, w *stella.Response, next stella.Dispatch) error {
			if err := next(ctx, r, w); !errors.Is(err, errSecret) {
				return err
			}
			return w.JSON(http.StatusOK, "instead")
		})
		r := send(g, request{})
		Expect(r.body).To(Equal(`"instead"`))
		Expect(p.log.String()).NotTo(ContainSubstring("1234"))
	})

	It("may call the handler again when it has failed", func() {
		var s steps
		g, _ := intercepted(func(_ context.Context, _ *stella.Request, w *stella.Response) error {
			s.add("handler")
			w.Header().Add("X-Handler", "yes")
			_, _ = io.WriteString(w, "an answer")
			if len(s.take()) == 1 && w.Header().Has("X-Retried") {
				return nil
			}
			return errSecret
		}, func(ctx context.Context, r *stella.Request, w *stella.Response, next stella.Dispatch) error {
			if err := next(ctx, r, w); !errors.Is(err, errSecret) {
				return err
			}
			w.Header().Set("X-Retried", "yes")
			return next(ctx, r, w)
		})
		r := send(g, request{})
		Expect([]any{r.Status, r.body}).To(Equal([]any{200, "an answer"}))
		Expect(stella.Header(r.Header).Values("X-Handler")).To(Equal([]string{"yes"}))
	})

	DescribeTable("that call the handler again though it has answered get an error, and its answer stands", func(write func(*stella.Response) error, want string) {
		var s steps
		again := make(chan error, 1)
		g, _ := intercepted(func(_ context.Context, _ *stella.Request, w *stella.Response) error {
			s.add("handler")
			return write(w)
		}, func(ctx context.Context, r *stella.Request, w *stella.Response, next stella.Dispatch) error {
			err := next(ctx, r, w)
			again <- next(ctx, r, w)
			return err
		})
		r := send(g, request{})
		Expect(<-again).To(MatchError(ContainSubstring("called next again though its call is answered")))
		Expect([]any{r.Status, r.body}).To(Equal([]any{200, want}))
		Expect(s.take()).To(HaveLen(1))
	},
		Entry("with nothing", func(*stella.Response) error { return nil }, ""),
		Entry("with JSON", func(w *stella.Response) error { return w.JSON(200, "a") }, `"a"`),
		Entry("with a stream", func(w *stella.Response) error {
			_, err := io.WriteString(w, "streamed")
			return errors.Join(err, w.Flush())
		}, "streamed"),
	)

	It("that return the error of calling the handler again have it answered as any other", func() {
		g, p := intercepted(nothing, func(ctx context.Context, r *stella.Request, w *stella.Response, next stella.Dispatch) error {
			return errors.Join(next(ctx, r, w), next(ctx, r, w))
		})
		Expect(problem(send(g, request{})).Code).To(Equal("internal"))
		Expect(p.log.String()).To(ContainSubstring("called next again"))
	})

	It("have their panics answered and logged as those of handlers", func() {
		g, p := intercepted(nothing, func(context.Context, *stella.Request, *stella.Response, stella.Dispatch) error { panic("oh no") })
		Expect(problem(send(g, request{})).Code).To(Equal("internal"))
		Expect(p.log.String()).To(And(ContainSubstring("oh no"), ContainSubstring("interceptor_test.go")))
	})

	DescribeTable("know how a call has ended", func(dispatch stella.Dispatch, want string, method string) {
		ended := make(chan string, 1)
		e := public(method, "/a", dispatch)
		e.Status = http.StatusAccepted
		g, _ := serveWith([]stella.Part{stella.WithInterceptor(
			func(ctx context.Context, r *stella.Request, w *stella.Response, next stella.Dispatch) error {
				err := next(ctx, r, w)
				ended <- fmt.Sprint(w.StatusOf(err), " ", w.Written())
				return err
			})}, e)
		_, _ = finish(begin(g, request{}, false)) // how it ended is what the interceptor is to say
		Eventually(ended).WithTimeout(patience).Should(Receive(Equal(want)))
	},
		Entry("with the endpoint's status", func(context.Context, *stella.Request, *stella.Response) error { return nil }, "202 0", "GET"),
		Entry("with a status and a body", func(_ context.Context, _ *stella.Request, w *stella.Response) error {
			w.WriteHeader(http.StatusTeapot)
			_, err := io.WriteString(w, "tea")
			return err
		}, "418 3", "GET"),
		Entry("with JSON", func(_ context.Context, _ *stella.Request, w *stella.Response) error { return w.JSON(201, "a") }, "201 3", "GET"),
		Entry("to HEAD, early", func(_ context.Context, _ *stella.Request, w *stella.Response) error { return w.Flush() }, "202 0", "HEAD"),
		Entry("with much", func(_ context.Context, _ *stella.Request, w *stella.Response) error {
			_, err := io.WriteString(w, strings.Repeat("x", 100_000))
			return err
		}, "202 100000", "GET"),
		Entry("with an error", func(context.Context, *stella.Request, *stella.Response) error { return stella.NewError(404, "", "") }, "404 0", "GET"),
		Entry("with a declared error", func(_ context.Context, _ *stella.Request, w *stella.Response) error {
			w.DeclareErrors(func(error) *stella.Error { return stella.NewError(410, "gone", "") })
			return errSecret
		}, "410 0", "GET"),
		Entry("broken off", func(_ context.Context, _ *stella.Request, w *stella.Response) error {
			_, _ = io.WriteString(w, "half")
			return errors.Join(w.Flush(), errSecret)
		}, "0 4", "GET"),
	)

	It("run around jobs", func() {
		var s steps
		e := public("POST", "/a", func(ctx context.Context, r *stella.Request, w *stella.Response) error {
			job, ok := stella.JobFromContext(ctx)
			s.add(fmt.Sprint(job.Attempt, ok))
			return s.handler(ctx, r, w)
		})
		queueing := spec.DefaultQueueing
		e.Stream, e.Idempotent, e.Queue = spec.StreamNone, true, &queueing
		g, _ := serveWith([]stella.Part{stella.WithInterceptor(s.around("all"))}, e)
		send(g, request{Request: spec.Request{Header: []spec.Field{{Name: queue.HeaderAttempt, Value: "2"}}}})
		Expect(s.take()).To(Equal([]string{"all(", "2 true", "handler", ")all"}))
	})
})
