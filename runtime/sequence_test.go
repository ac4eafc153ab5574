package stella_test

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

// watch serves one endpoint for GET that answers with a sequence.
func watch[T any](open func(ctx context.Context) iter.Seq2[T, error]) endpoint {
	return public("GET", "/a", func(ctx context.Context, r *stella.Request, w *stella.Response) error {
		return stella.SendSequence(r, w, http.StatusOK, open(ctx))
	})
}

// yields is a sequence of these items, and then err unless that is nil.
func yields[T any](err error, items ...T) func(context.Context) iter.Seq2[T, error] {
	return func(context.Context) iter.Seq2[T, error] {
		return func(yield func(T, error) bool) {
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if err != nil {
				yield(*new(T), err)
			}
		}
	}
}

// accept is a request with Accept headers.
func accept(values ...string) request {
	r := request{Request: spec.Request{ID: requestID}}
	for _, v := range values {
		r.Header = append(r.Header, spec.Field{Name: "Accept", Value: v})
	}
	return r
}

const (
	events = "text/event-stream"
	lines  = "application/x-ndjson"
)

// head waits for the head of a streamed answer.
func head(c *session.Call) spec.Response {
	GinkgoHelper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	f, err := c.Head(ctx)
	Expect(err).NotTo(HaveOccurred())
	defer f.Release()
	var r spec.Response
	Expect(r.Decode(f.Meta())).To(Succeed())
	return r
}

// next waits for the next frame of a streamed answer.
func next(c *session.Call) string {
	GinkgoHelper()
	f, err := c.Next(context.Background(), patience)
	Expect(err).NotTo(HaveOccurred())
	defer f.Release()
	c.Consumed(len(f.Body()))
	return string(f.Body())
}

var _ = Describe("A sequence", func() {
	pairs := []pair{{"a\nb\r", 1}, {"<&>", 2}}

	It("is a line of JSON for each item as NDJSON", func() {
		g, _ := serve(watch(yields(nil, pairs...)))
		r := send(g, accept(lines))
		Expect(r.Status).To(Equal(200))
		Expect(r.header("Content-Type")).To(Equal(lines))
		Expect(r.header("Cache-Control")).To(Equal("no-cache"))
		Expect(r.header("Vary")).To(Equal("Accept"))
		Expect(r.body).To(Equal(`{"name":"a\nb\r","n":1}` + "\n" + `{"name":"<&>","n":2}` + "\n"))
	})

	It("is an event with one line of data for each item as SSE", func() {
		g, _ := serve(watch(yields(nil, pairs...)))
		r := send(g, accept(events))
		Expect(r.Status).To(Equal(200))
		Expect(r.header("Content-Type")).To(Equal(events))
		Expect(r.header("Cache-Control")).To(Equal("no-cache"))
		Expect(r.header("Vary")).To(Equal("Accept"))
		Expect(r.body).To(Equal(`data: {"name":"a\nb\r","n":1}` + "\n\n" + `data: {"name":"<&>","n":2}` + "\n\n"))
	})

	DescribeTable("has the format that Accept asks for", func(want string, values ...string) {
		g, _ := serve(watch(yields(nil, 1)))
		Expect(send(g, accept(values...)).header("Content-Type")).To(Equal(want))
	},
		Entry("not at all", lines),
		Entry("with an empty list", lines, "", " , "),
		Entry("with anything", lines, "*/*"),
		Entry("as EventSource does", events, "text/event-stream"),
		Entry("as a browser's address bar does", lines, "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
		Entry("in any letter case, with parameters", events, "Text/Event-Stream;charset=UTF-8"),
		Entry("by quality", events, "application/x-ndjson;q=0.5, text/event-stream;q=0.501"),
		Entry("by quality, the other way round", lines, "application/x-ndjson;q=0.5, text/event-stream;q=0.499"),
		Entry("with quality 1 unless it says less", events, "application/x-ndjson;q=0.999, text/event-stream"),
		Entry("with equal quality", lines, "text/event-stream, application/x-ndjson"),
		Entry("by name rather than by wildcard", events, "*/*, text/event-stream"),
		Entry("with a wildcard for the subtype", events, "text/*"),
		Entry("where the more precise range counts, whatever its quality", events, "application/x-ndjson;q=0.1, */*;q=0.9"),
		Entry("where one is excluded", events, "application/x-ndjson;q=0, */*;q=0.1"),
		Entry("in several fields", events, "text/html", "text/event-stream;q=0.3"),
		Entry("after a quoted comma", events, `text/html;x="a,\"b", text/event-stream`),
		Entry("beside elements that are malformed", events, "text/, application/x-ndjson;q=2, application/x-ndjson;q=0.0001, text/event-stream"),
	)

	DescribeTable("that the caller cannot take is a 406, and neither opened nor ranged", func(values ...string) {
		ranged := false
		g, _ := serve(watch(func(context.Context) iter.Seq2[int, error] {
			return func(func(int, error) bool) { ranged = true }
		}))
		r := send(g, accept(values...))
		p := problem(r)
		Expect(p.Status).To(Equal(406))
		Expect(p.Code).To(Equal("not_acceptable"))
		Expect(p.Detail).To(And(ContainSubstring(events), ContainSubstring(lines)))
		Expect(ranged).To(BeFalse())
		asked := &stella.Request{Header: fields("Accept", strings.Join(values, ","))}
		Expect(stella.AcceptsSequence(asked)).To(MatchError(ContainSubstring("406 not_acceptable")))
	},
		Entry("for its type", "application/json"),
		Entry("for its quality", "*/*;q=0"),
		Entry("because one is excluded and the other not named", "text/event-stream;q=0.000, image/*"),
		Entry("because nothing is well-formed", "text"),
	)

	It("that the caller can take is no error to ask for", func() {
		Expect(stella.AcceptsSequence(new(stella.Request))).To(Succeed())
	})

	DescribeTable("that is empty is an answer without items", func(open func(context.Context) iter.Seq2[int, error]) {
		g, _ := serve(watch(open))
		r := send(g, accept(events))
		Expect(r.Status).To(Equal(200))
		Expect(r.header("Content-Type")).To(Equal(events))
		Expect(r.body).To(BeEmpty())
		Expect(r.whole).To(BeTrue())
	},
		Entry("because it is nil", func(context.Context) iter.Seq2[int, error] { return nil }),
		Entry("because it yields nothing", yields[int](nil)),
	)

	It("sends each item as it comes, in a frame of its own", func() {
		more := make(chan struct{})
		g, _ := serve(watch(func(context.Context) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				for i := 0; yield(i, nil); i++ {
					<-more
				}
			}
		}))
		c := begin(g, accept(lines), false)
		Expect(head(c).Status).To(Equal(200))
		for i := range 3 {
			Expect(next(c)).To(Equal(strconv.Itoa(i) + "\n"))
			more <- struct{}{}
		}
		Expect(next(c)).To(Equal("3\n"))
		c.Cancel(spec.CodeClientGone)
		close(more)
	})

	It("carries items larger than a frame and more of them than the window, whole and in order", func() {
		items := slices.Repeat([]string{strings.Repeat("x", 100_000)}, 10)
		g, _ := serve(watch(yields(nil, items...)))
		r := send(g, accept(lines))
		Expect(r.body).To(Equal(strings.Repeat(`"`+items[0]+`"`+"\n", len(items))))
	})

	It("sends the head after a short silence without an item", func() {
		release := make(chan struct{})
		g, _ := serve(watch(func(context.Context) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				<-release
				yield(1, nil)
			}
		}))
		since := time.Now()
		c := begin(g, accept(events), false)
		r := head(c)
		Expect(time.Since(since)).To(BeNumerically(">=", 90*time.Millisecond))
		Expect(r.Status).To(Equal(200))
		Expect(stella.Header(r.Header).Get("Content-Type")).To(Equal(events))
		close(release)
		Expect(next(c)).To(Equal("data: 1\n\n"))
	})

	It("is answered with a problem when it fails before its first item", func() {
		g, _ := serve(watch(yields[int](stella.NewError(410, "archived", "The invoice is archived."))))
		p := problem(send(g, accept(events)))
		Expect(p.Status).To(Equal(410))
		Expect(p.Code).To(Equal("archived"))
	})

	DescribeTable("that fails after an item ends with the problem and is broken off", func(format, item, before, behind string) {
		g, p := serve(watch(yields(&stella.Error{Status: 410, Code: "archived", Message: "The invoice is archived.", Cause: errSecret}, 1)))
		r, err := finish(begin(g, accept(format), false))
		Expect(err).To(haveCode(spec.CodeInternal))
		want := `{"type":"about:blank","title":"Gone","status":410,"detail":"The invoice is archived.","code":"archived","requestId":"` +
			requestID.String() + `","origin":"service"}`
		Expect(r.Status).To(Equal(200))
		Expect(r.body).To(Equal(item + before + want + behind))
		Eventually(p.log.String).WithTimeout(patience).Should(And(ContainSubstring("1234"), ContainSubstring(requestID.String())))
	},
		Entry("as SSE", events, "data: 1\n\n", "event: error\ndata: ", "\n\n"),
		Entry("as NDJSON", lines, "1\n", `{"error":`, "}\n"),
	)

	DescribeTable("tells nothing of an error that is not meant for callers", func(open func(context.Context) iter.Seq2[any, error], logged string) {
		g, p := serve(watch(open))
		r, err := finish(begin(g, accept(events), false))
		Expect(err).To(haveCode(spec.CodeInternal))
		Expect(r.body).To(And(HavePrefix("data: 1\n\nevent: error\n"), ContainSubstring(`"code":"internal"`)))
		Expect(r.body).NotTo(Or(ContainSubstring("1234"), ContainSubstring("chan")))
		Eventually(p.log.String).WithTimeout(patience).Should(ContainSubstring(logged))
	},
		Entry("of its own", yields[any](errSecret, 1), "1234"),
		Entry("of an item that cannot be encoded", yields[any](nil, 1, make(chan int), 2), "chan int"),
	)

	It("is a 500 when its first item cannot be encoded", func() {
		g, p := serve(watch(yields[any](nil, make(chan int))))
		Expect(problem(send(g, accept())).Code).To(Equal("internal"))
		Expect(p.log.String()).To(ContainSubstring("chan int"))
	})

	It("is ranged no further after an error", func() {
		went := make(chan bool, 1)
		g, _ := serve(watch(func(context.Context) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) { went <- yield(0, errSecret) }
		}))
		Expect(send(g, accept()).Status).To(Equal(500))
		Expect(<-went).To(BeFalse())
	})

	DescribeTable("that panics is answered, or broken off, as any handler that does", func(items []int, status int) {
		g, p := serve(watch(func(context.Context) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				for _, i := range items {
					yield(i, nil)
				}
				panic(errSecret)
			}
		}))
		r, err := finish(begin(g, accept(lines), false))
		Expect(r.Status).To(Equal(status))
		Expect(r.body).NotTo(ContainSubstring("1234"))
		if len(items) > 0 {
			Expect(err).To(haveCode(spec.CodeInternal))
			Expect(r.body).To(Equal("7\n"))
		} else {
			Expect(err).NotTo(HaveOccurred())
		}
		Eventually(p.log.String).WithTimeout(patience).Should(And(ContainSubstring("handler panicked"), ContainSubstring("sequence_test.go")))
	},
		Entry("before its first item", nil, 500),
		Entry("after an item", []int{7}, 200),
	)

	It("ends when its caller leaves, by its context and by yield", func() {
		causes, went := make(chan error, 1), make(chan bool, 1)
		g, p := serve(watch(func(ctx context.Context) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				yield(1, nil)
				<-ctx.Done()
				causes <- context.Cause(ctx)
				went <- yield(2, nil)
			}
		}))
		c := begin(g, accept(lines), false)
		head(c)
		Expect(next(c)).To(Equal("1\n"))
		c.Cancel(spec.CodeClientGone)
		Eventually(causes).WithTimeout(patience).Should(Receive(haveCode(spec.CodeClientGone)))
		Eventually(went).WithTimeout(patience).Should(Receive(BeFalse()))
		Eventually(p.log.String).WithTimeout(patience).Should(ContainSubstring("call ended before its answer"))
		Expect(p.log.String()).NotTo(ContainSubstring("level=ERROR"))
	})

	It("ends when its caller leaves while an item waits for credit", func() {
		went := make(chan struct{})
		g, _ := serve(watch(func(context.Context) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				defer close(went)
				for yield(strings.Repeat("x", 10_000), nil) {
				}
			}
		}))
		c := begin(g, accept(lines), false)
		head(c)
		Consistently(went, "50ms").ShouldNot(BeClosed())
		c.Cancel(spec.CodeClientGone)
		Eventually(went).WithTimeout(patience).Should(BeClosed())
	})

	It("reports the caller's leaving as such, not as an error of its own", func() {
		g, p := serve(watch(func(ctx context.Context) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				yield(1, nil)
				<-ctx.Done()
				yield(0, errors.Join(ctx.Err(), errSecret))
			}
		}))
		c := begin(g, accept(lines), false)
		head(c)
		c.Cancel(spec.CodeClientGone)
		Eventually(p.log.String).WithTimeout(patience).Should(ContainSubstring("call ended before its answer"))
		Expect(p.log.String()).NotTo(ContainSubstring("level=ERROR"))
	})

	It("lives beyond the endpoint's timeout once its head has left", func() {
		g, _ := serve(watch(func(ctx context.Context) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				if !yield(1, nil) {
					return
				}
				select {
				case <-ctx.Done():
				case <-time.After(400 * time.Millisecond):
					yield(2, nil)
				}
			}
		}))
		r := accept(lines)
		r.timeout = 250 * time.Millisecond
		got, err := finish(begin(g, r, false))
		Expect(err).NotTo(HaveOccurred())
		Expect(got.body).To(Equal("1\n2\n"))
	})

	It("is not ranged for HEAD, which has the header of GET", func() {
		ranged := false
		g, p := serve(watch(func(context.Context) iter.Seq2[int, error] {
			return func(func(int, error) bool) { ranged = true }
		}))
		r := accept(events)
		r.Method = http.MethodHead
		got := send(g, r)
		Expect(got.Status).To(Equal(200))
		Expect(got.header("Content-Type")).To(Equal(events))
		Expect(got.ContentLength).To(BeEquivalentTo(-1))
		Expect(ranged).To(BeFalse())
		Expect(p.log.String()).NotTo(ContainSubstring("level=ERROR"))
	})

	It("must be the whole answer", func() {
		g, _ := serve(public("GET", "/a", func(_ context.Context, r *stella.Request, w *stella.Response) error {
			if _, err := w.Write([]byte("before")); err != nil {
				return err
			}
			return stella.SendSequence(r, w, http.StatusOK, yields(nil, 1)(nil))
		}))
		Expect(send(g, accept()).Status).To(Equal(500))
	})

	It("honours how items encode themselves through a pointer", func() {
		g, _ := serve(watch(yields(nil, loud{"a"}, loud{"b"})))
		Expect(send(g, accept()).body).To(Equal("\"A!\"\n\"B!\"\n"))
	})
})

// loud encodes itself, when it is addressable.
type loud struct{ word string }

func (l *loud) MarshalJSON() ([]byte, error) {
	return []byte(strconv.Quote(strings.ToUpper(l.word) + "!")), nil
}
