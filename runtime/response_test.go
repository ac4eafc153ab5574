package stella_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing/iotest"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/spec"
)

// answer serves one endpoint for GET that writes an answer by f.
func answer(f func(w *stella.Response) error) endpoint {
	return public("GET", "/a", func(_ context.Context, _ *stella.Request, w *stella.Response) error { return f(w) })
}

var _ = Describe("An answer", func() {
	It("is whole, with its length, up to 16 KiB, however many writes it took", func() {
		g, _ := serve(answer(func(w *stella.Response) error {
			for range 16 {
				if _, err := io.WriteString(w, strings.Repeat("x", 1024)); err != nil {
					return err
				}
			}
			return nil
		}))
		r := send(g, request{})
		Expect(r.Status).To(Equal(200))
		Expect(r.whole).To(BeTrue())
		Expect(r.body).To(HaveLen(16 << 10))
		Expect(r.ContentLength).To(BeEquivalentTo(16 << 10))
	})

	It("is streamed beyond that, in order", func() {
		g, _ := serve(answer(func(w *stella.Response) error {
			for i := range 100_000 {
				if _, err := io.WriteString(w, strconv.Itoa(i)+","); err != nil {
					return err
				}
			}
			return nil
		}))
		r := send(g, request{})
		Expect(r.whole).To(BeFalse())
		Expect(r.ContentLength).To(BeEquivalentTo(-1))
		var want strings.Builder
		for i := range 100_000 {
			want.WriteString(strconv.Itoa(i) + ",")
		}
		Expect(r.body).To(Equal(want.String()))
	})

	It("gathers what is written after it has begun", func() {
		g, _ := serve(answer(func(w *stella.Response) error {
			err := w.Flush()
			for range 100 {
				_, e := io.WriteString(w, strings.Repeat("x", 100))
				err = errors.Join(err, e)
			}
			return err
		}))
		c := begin(g, request{}, false)
		f, err := c.Head(context.Background())
		Expect(err).NotTo(HaveOccurred())
		f.Release()
		f, err = c.Next(context.Background(), patience)
		Expect(err).NotTo(HaveOccurred())
		Expect(f.Body()).To(HaveLen(10_000))
		f.Release()
	})

	It("is streamed from the first Flush on", func() {
		more := make(chan struct{})
		g, _ := serve(answer(func(w *stella.Response) error {
			_, err := io.WriteString(w, "first,")
			if err := errors.Join(err, w.Flush(), w.Flush()); err != nil {
				return err
			}
			<-more
			_, err = io.WriteString(w, "second")
			return err
		}))
		c := begin(g, request{}, false)
		f, err := c.Head(context.Background())
		Expect(err).NotTo(HaveOccurred())
		f.Release()
		f, err = c.Next(context.Background(), patience)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(f.Body())).To(Equal("first,"))
		f.Release()
		close(more)
		f, err = c.Next(context.Background(), patience)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(f.Body())).To(Equal("second"))
		f.Release()
		_, err = c.Next(context.Background(), patience)
		Expect(err).To(Equal(io.EOF))
	})

	It("has the endpoint's status, until the handler says another; the first counts", func() {
		e := answer(func(w *stella.Response) error {
			_, err := io.WriteString(w, "x")
			return err
		})
		e.Status = 202
		other := public("GET", "/b", func(_ context.Context, _ *stella.Request, w *stella.Response) error {
			w.WriteHeader(http.StatusTeapot)
			w.WriteHeader(http.StatusOK)
			return nil
		})
		g, _ := serve(e, other)
		Expect(send(g, request{}).Status).To(Equal(202))
		r := send(g, request{Request: spec.Request{Endpoint: 1}})
		Expect(r.Status).To(Equal(418))
		Expect(r.ContentLength).To(BeZero())
	})

	DescribeTable("copies a reader", func(size int, length string, whole bool) {
		body := strings.Repeat("0123456789", size/10+1)[:size]
		g, _ := serve(answer(func(w *stella.Response) error {
			if length != "" {
				w.Header().Set("content-length", length)
			}
			n, err := io.Copy(w, iotest.HalfReader(strings.NewReader(body)))
			Expect(n).To(BeEquivalentTo(size))
			return err
		}))
		r := send(g, request{})
		Expect(r.body).To(Equal(body))
		Expect(r.whole).To(Equal(whole))
		if whole || length != "" {
			Expect(r.ContentLength).To(BeEquivalentTo(size))
		} else {
			Expect(r.ContentLength).To(BeEquivalentTo(-1))
		}
		Expect(r.header("Content-Length")).To(BeEmpty())
	},
		Entry("of nothing", 0, "", true),
		Entry("that is small", 100, "", true),
		Entry("that is small, of a known length", 100, "100", true),
		Entry("of just what is held", 16<<10, "", true),
		Entry("of one byte more", 16<<10+1, "", false),
		Entry("that is large", 1_000_000, "", false),
		Entry("that is large, of a known length", 1_000_000, "1000000", false),
	)

	DescribeTable("holds to its Content-Length", func(length string, write func(w *stella.Response) error, begun bool) {
		g, p := serve(answer(func(w *stella.Response) error {
			w.Header().Set("Content-Length", length)
			return write(w)
		}))
		r, err := finish(begin(g, request{}, false))
		if begun {
			Expect(err).To(haveCode(spec.CodeInternal))
		} else {
			Expect(err).NotTo(HaveOccurred())
			Expect(problem(r).Status).To(Equal(500))
		}
		Eventually(p.log.String).WithTimeout(patience).Should(ContainSubstring("Content-Length"))
	},
		Entry("when too little is held", "10", func(w *stella.Response) error {
			_, err := io.WriteString(w, "123456789")
			return err
		}, false),
		Entry("when too much is held", "10", func(w *stella.Response) error {
			_, err := io.WriteString(w, "12345678901")
			return err
		}, false),
		Entry("when too little is streamed", "100000", func(w *stella.Response) error {
			_, err := io.WriteString(w, strings.Repeat("x", 99_999))
			return err
		}, true),
		Entry("when too much is streamed", "100000", func(w *stella.Response) error {
			_, err := io.WriteString(w, strings.Repeat("x", 100_000))
			if err == nil {
				_, err = io.WriteString(w, "x")
			}
			return err
		}, true),
		Entry("when too much is copied", "100000", func(w *stella.Response) error {
			_, err := io.Copy(w, iotest.HalfReader(strings.NewReader(strings.Repeat("x", 100_001))))
			return err
		}, true),
		Entry("when it is not a number", "many", func(w *stella.Response) error { return w.Flush() }, false),
	)

	DescribeTable("to HEAD has the header of GET and no body", func(size int, declare bool, want int64) {
		ended := make(chan error, 1)
		g, p := serve(answer(func(w *stella.Response) error {
			if declare {
				w.Header().Set("Content-Length", strconv.Itoa(size))
			}
			w.Header().Set("X-One", "1")
			_, err := io.Copy(w, strings.NewReader(strings.Repeat("x", size)))
			ended <- err
			return err
		}))
		r := send(g, request{Request: spec.Request{Method: "HEAD"}})
		Expect(r.Status).To(Equal(200))
		Expect(r.header("X-One")).To(Equal("1"))
		Expect(r.ContentLength).To(Equal(want))
		Expect(r.body).To(BeEmpty())
		Expect(ended).To(Receive())
		Expect(p.log.String()).NotTo(ContainSubstring("level=ERROR"))
	},
		Entry("when it is small", 10, false, int64(10)),
		Entry("when it is large and its length unknown", 1_000_000, false, int64(-1)),
		Entry("when it is large and its length known", 1_000_000, true, int64(1_000_000)),
	)

	It("of a status without a body takes none", func() {
		g, _ := serve(answer(func(w *stella.Response) error {
			w.WriteHeader(http.StatusNoContent)
			_, err := io.WriteString(w, "x")
			Expect(err).To(MatchError(http.ErrBodyNotAllowed))
			return nil
		}))
		r := send(g, request{})
		Expect(r.Status).To(Equal(204))
		Expect(r.body).To(BeEmpty())
	})

	DescribeTable("that the wire cannot carry is a 500, and says why in the log", func(change func(w *stella.Response), why string) {
		g, p := serve(answer(func(w *stella.Response) error {
			change(w)
			return nil
		}))
		Expect(problem(send(g, request{})).Status).To(Equal(500))
		Expect(p.log.String()).To(ContainSubstring(why))
	},
		Entry("for its status", func(w *stella.Response) { w.WriteHeader(42) }, "status 42"),
		Entry("for a header's name", func(w *stella.Response) { w.Header().Set("a b", "x") }, "not a token"),
		Entry("for a header's value", func(w *stella.Response) { w.Header().Set("X-A", "x\r\nSet-Cookie: y") }, "control character"),
		Entry("for its number of headers", func(w *stella.Response) {
			for i := range spec.MaxFields + 1 {
				w.Header().Add("X-A", strconv.Itoa(i))
			}
		}, "128 fields"),
	)

	It("ends with its handler", func() {
		kept := make(chan *stella.Response, 1)
		g, p := serve(answer(func(w *stella.Response) error {
			kept <- w
			return nil
		}))
		Expect(send(g, request{}).Status).To(Equal(200))
		p.stop()
		Expect(p.result()).To(Succeed())
		_, err := (<-kept).Write([]byte("late"))
		Expect(err).To(MatchError(ContainSubstring("ended")))
	})

	It("may be given when the body has not come in time", func() {
		g, _ := serve(public("POST", "/a", func(_ context.Context, r *stella.Request, w *stella.Response) error {
			if err := w.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
				return err
			}
			_, late := io.ReadAll(r.Body)
			err := w.SetReadDeadline(time.Time{})
			return errors.Join(err, w.JSON(200, errors.Is(late, os.ErrDeadlineExceeded)))
		}))
		r, err := finish(begin(g, request{}, true))
		Expect(err).NotTo(HaveOccurred())
		Expect(r.body).To(Equal("true"))
	})

	It("fails to be written when its caller does not take it in time", func() {
		failed := make(chan error, 1)
		g, _ := serve(answer(func(w *stella.Response) error {
			err := w.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
			for part := make([]byte, 64<<10); err == nil; {
				_, err = w.Write(part)
			}
			failed <- err
			return err
		}))
		c := begin(g, request{}, false)
		Eventually(failed).WithTimeout(patience).Should(Receive(MatchError(os.ErrDeadlineExceeded)))
		_, err := finish(c)
		Expect(err).To(haveCode(spec.CodeInternal))
	})

	It("outside of a call has no deadlines", func() {
		w := new(stella.Response)
		Expect([]error{w.SetReadDeadline(time.Now()), w.SetWriteDeadline(time.Now())}).To(Equal([]error{errors.ErrUnsupported, errors.ErrUnsupported}))
	})

	It("fails to be written when the caller has left", func() {
		failed := make(chan error, 1)
		g, _ := serve(answer(func(w *stella.Response) error {
			for {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					failed <- err
					return err
				}
			}
		}))
		c := begin(g, request{}, false)
		f, err := c.Head(context.Background())
		Expect(err).NotTo(HaveOccurred())
		f.Release()
		c.Cancel(spec.CodeClientGone)
		Eventually(failed).WithTimeout(patience).Should(Receive(haveCode(spec.CodeClientGone)))
	})
})

// fields is a header of names and values in turn.
func fields(namesAndValues ...string) stella.Header {
	var h stella.Header
	for f := range slices.Chunk(namesAndValues, 2) {
		h = append(h, spec.Field{Name: f[0], Value: f[1]})
	}
	return h
}

var _ = Describe("A header", func() {
	It("compares names without case, and keeps them in canonical form and order", func() {
		var h stella.Header
		h.Set("content-TYPE", "a")
		h.Add("x-many", "1")
		h.Add("X-MANY", "2")
		h.Add("x-last", "z")
		Expect(h).To(Equal(fields("Content-Type", "a", "X-Many", "1", "X-Many", "2", "X-Last", "z")))
		Expect(h.Get("CONTENT-type")).To(Equal("a"))
		Expect(h.Values("x-MANY")).To(Equal([]string{"1", "2"}))
		Expect(h.Values("none")).To(BeNil())
		h.Set("x-many", "3")
		Expect(h.Values("X-Many")).To(Equal([]string{"3"}))
		h.Del("content-type")
		Expect(h).To(Equal(fields("X-Many", "3", "X-Last", "z")))
		Expect(h.Has("Content-Type")).To(BeFalse())
	})
})

var _ = Describe("An error", func() {
	It("says its status, code and cause, and unwraps to the cause", func() {
		err := &stella.Error{Status: 404, Message: "No such invoice.", Cause: errSecret}
		Expect(err.Error()).To(Equal("stella: 404 not_found: No such invoice.: password is 1234"))
		Expect(errors.Is(err, errSecret)).To(BeTrue())
	})

	It("with a status that is no error is a 500", func() {
		g, _ := serve(answer(func(*stella.Response) error { return new(stella.Error) }))
		p := problem(send(g, request{}))
		Expect(p.Status).To(Equal(500))
		Expect(p.Code).To(Equal("internal_server_error"))
	})
})
