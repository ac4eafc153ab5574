package httpbridge_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/runtime/httpbridge"
	"github.com/stella-ops/router/runtime/stellatest"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

// read waits for the next part of a streamed answer.
func read(st *stellatest.Stream) string {
	GinkgoHelper()
	b := make([]byte, 1024)
	n, err := st.Read(b)
	Expect(err).NotTo(HaveOccurred())
	return string(b[:n])
}

// haveCode matches the error of a call that was ended with code.
func haveCode(code spec.Code) OmegaMatcher {
	return WithTransform(func(err error) spec.Code {
		if e, ok := errors.AsType[*session.Error](err); ok {
			return e.Code
		}
		return spec.CodeNoError
	}, Equal(code))
}

var _ = Describe("A bridged handler", func() {
	It("is refused by name when it is nil", func() {
		Expect(httpbridge.Dispatch(nil)).To(BeNil())
	})

	It("finds the call in its context: request id, identity, logger", func() {
		s, log := bridge("GET /a", handle(func(w http.ResponseWriter, r *http.Request) {
			own := stella.RequestFromContext(r.Context())
			stella.LoggerFromContext(r.Context()).Info("hello")
			_, _ = io.WriteString(w, own.ID+" "+own.Identity.Subject)
		}))
		res := call(s, request{Path: "/a", Identity: &spec.Identity{Subject: "ann"}})
		id, subject, _ := strings.Cut(string(res.Body), " ")
		Expect(subject).To(Equal("ann"))
		Expect(log.String()).To(ContainSubstring("msg=hello request_id=" + id))
	})

	DescribeTable("sees whether its caller came by https", func(secure bool) {
		seen := make(chan bool, 1)
		dispatch := httpbridge.Dispatch(handle(func(_ http.ResponseWriter, r *http.Request) {
			seen <- r.TLS != nil
			panic(http.ErrAbortHandler)
		}))
		Expect(func() {
			_ = dispatch(context.Background(), &stella.Request{Method: "GET", Path: "/", TLS: secure, Body: http.NoBody}, new(stella.Response))
		}).To(PanicWith(http.ErrAbortHandler))
		Expect(seen).To(Receive(Equal(secure)))
	},
		Entry("which it did", true),
		Entry("which it did not", false),
	)

	It("is not called with a path that is no URL", func() {
		dispatch := httpbridge.Dispatch(handle(func(http.ResponseWriter, *http.Request) { panic("called") }))
		err := dispatch(context.Background(), &stella.Request{Method: "GET", Path: "/%zz"}, new(stella.Response))
		Expect(err).To(MatchError(ContainSubstring(`invalid URL escape "%zz"`)))
	})

	It("has what it flushes sent at once, and learns that its caller has left", func() {
		more, ended := make(chan struct{}), make(chan error, 1)
		s, log := bridge("GET /a", handle(func(w http.ResponseWriter, r *http.Request) {
			rc := http.NewResponseController(w)
			for _, part := range []string{"first", "second"} {
				_, _ = io.WriteString(w, part)
				if err := rc.Flush(); err != nil {
					panic(err)
				}
				<-more
			}
			<-r.Context().Done()
			_, _ = io.WriteString(w, "nobody reads this")
			ended <- rc.Flush()
		}))
		st, err := s.Open(context.Background(), request{Path: "/a"})
		Expect(err).NotTo(HaveOccurred())
		Expect(st.Header.Get("Content-Type")).To(Equal("text/plain; charset=utf-8"))
		Expect(st.ContentLength).To(BeEquivalentTo(-1))
		Expect(read(st)).To(Equal("first"))
		more <- struct{}{}
		Expect(read(st)).To(Equal("second"))
		more <- struct{}{}
		st.Close()
		Eventually(ended).WithTimeout(patience).Should(Receive(haveCode(spec.CodeClientGone)))
		Eventually(log.String).WithTimeout(patience).Should(ContainSubstring("call ended before its answer"))
		Expect(log.String()).NotTo(ContainSubstring("level=ERROR"))
	})

	It("reads the body as it comes", func() {
		got := make(chan string, 1)
		s, _ := bridge("POST /a", handle(func(_ http.ResponseWriter, r *http.Request) {
			b := make([]byte, 100)
			for {
				n, err := r.Body.Read(b)
				if err != nil {
					return
				}
				got <- string(b[:n])
			}
		}))
		src, dst := io.Pipe()
		answers := make(chan *stellatest.Response, 1)
		go func() {
			defer GinkgoRecover()
			answers <- call(s, request{Method: "POST", Path: "/a", Stream: src})
		}()
		for _, part := range []string{"first", "second"} {
			Expect(io.WriteString(dst, part)).To(Equal(len(part)))
			Eventually(got).WithTimeout(patience).Should(Receive(Equal(part)))
		}
		Expect(dst.Close()).To(Succeed())
		var res *stellatest.Response
		Eventually(answers).WithTimeout(patience).Should(Receive(&res))
		Expect(res.Status).To(Equal(200))
	})

	It("is told by the context that HEAD is answered once it flushes, so that a stream without end ends", func() {
		s, log := bridge("GET /a", handle(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "event")
			if err := http.NewResponseController(w).Flush(); err != nil {
				panic(err)
			}
			<-r.Context().Done()
		}))
		res := call(s, request{Method: "HEAD", Path: "/a"})
		Expect(res.Status).To(Equal(200))
		Expect(res.ContentLength).To(BeEquivalentTo(-1))
		Expect(log.String()).NotTo(ContainSubstring("level=ERROR"))
	})

	DescribeTable("gives HEAD the length that GET's answer has", func(parts int, want int64) {
		s, _ := bridge("GET /a", repeat(parts, 1000))
		Expect(call(s, request{Path: "/a"}).ContentLength).To(Equal(want))
		Expect(call(s, request{Method: "HEAD", Path: "/a"}).ContentLength).To(Equal(want))
	},
		Entry("of up to 16 KiB", 10, int64(10_000)),
		Entry("of more, which has none", 100, int64(-1)),
	)

	DescribeTable("breaks an answer off that has begun", func(fail func()) {
		s, log := bridge("GET /a", handle(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
			w.(http.Flusher).Flush() //nolint:forcetypeassert // that it is one is the rule
			fail()
		}))
		res, err := s.Call(context.Background(), request{Path: "/a"})
		Expect(err).To(haveCode(spec.CodeInternal))
		Expect(string(res.Body)).To(Equal("half"))
		Expect(log.String()).NotTo(ContainSubstring("aborted"))
	},
		Entry("by a panic", func() { panic("oh") }),
		Entry("by http.ErrAbortHandler", func() { panic(http.ErrAbortHandler) }),
		Entry("by less than it declared", func() {}),
	)

	It("is broken off without a word in the log by http.ErrAbortHandler", func() {
		s, log := bridge("GET /a", handle(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
		_, err := s.Call(context.Background(), request{Path: "/a"})
		Expect(err).To(haveCode(spec.CodeInternal))
		Expect(log.String()).NotTo(ContainSubstring("panic"))
	})

	It("has a second status and an invalid length logged with where they come from", func() {
		s, log := bridge("GET /a", handle(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "-1")
			w.WriteHeader(http.StatusOK)
			w.WriteHeader(http.StatusTeapot)
		}))
		Expect(call(s, request{Path: "/a"}).Status).To(Equal(200))
		Expect(log.String()).To(And(
			ContainSubstring("superfluous WriteHeader"), ContainSubstring("status=418"), ContainSubstring("httpbridge_test.go:"),
			ContainSubstring("invalid Content-Length"), ContainSubstring("request_id="),
		))
	})

	It("cannot take over the connection", func() {
		s, _ := bridge("GET /a", handle(func(w http.ResponseWriter, _ *http.Request) {
			_, hijacks := w.(http.Hijacker)
			_, pushes := w.(http.Pusher)
			_, _, err := http.NewResponseController(w).Hijack()
			if !hijacks && !pushes && errors.Is(err, errors.ErrUnsupported) {
				w.WriteHeader(http.StatusNoContent)
			}
		}))
		Expect(call(s, request{Path: "/a"}).Status).To(Equal(204))
	})

	It("reads until its deadline, and can still answer", func() {
		s, _ := bridge("POST /a", handle(func(w http.ResponseWriter, r *http.Request) {
			rc := http.NewResponseController(w)
			if err := rc.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
				panic(err)
			}
			_, late := io.ReadAll(r.Body)
			_, still := r.Body.Read(make([]byte, 1))
			_, _ = fmt.Fprint(w, errors.Is(late, os.ErrDeadlineExceeded), ", ", errors.Is(still, os.ErrDeadlineExceeded))
		}))
		src, dst := io.Pipe()
		defer dst.Close()
		Expect(string(call(s, request{Method: "POST", Path: "/a", Stream: src}).Body)).To(Equal("true, true"))
	})

	It("writes until its deadline, after which the answer is broken off, however it goes on", func() {
		told := make(chan error, 1)
		s, _ := bridge("GET /a", handle(func(w http.ResponseWriter, _ *http.Request) {
			rc := http.NewResponseController(w)
			_, err := io.WriteString(w, "in time")
			err = errors.Join(err, rc.Flush(), rc.SetWriteDeadline(time.Now().Add(10*time.Millisecond)))
			if err != nil {
				panic(err)
			}
			for err == nil { // nobody reads it
				_, err = w.Write(make([]byte, 100_000))
			}
			_, more := w.Write([]byte("x"))
			_, copied := io.Copy(w, strings.NewReader("x"))
			if rc.SetWriteDeadline(time.Time{}) != nil || !errors.Is(more, os.ErrDeadlineExceeded) || !errors.Is(copied, os.ErrDeadlineExceeded) ||
				!errors.Is(rc.Flush(), os.ErrDeadlineExceeded) {
				err = errors.Join(more, copied)
			}
			told <- err
		}))
		st, err := s.Open(context.Background(), request{Path: "/a"})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(st.Close)
		Expect(read(st)).To(Equal("in time"))
		Eventually(told).WithTimeout(patience).Should(Receive(MatchError(os.ErrDeadlineExceeded)))
		_, err = io.Copy(io.Discard, st)
		Expect(err).To(haveCode(spec.CodeInternal))
	})

	It("has not answered when its deadline has passed before it wrote: it is a problem", func() {
		s, _ := bridge("GET /a", handle(func(w http.ResponseWriter, _ *http.Request) {
			if err := http.NewResponseController(w).SetWriteDeadline(time.Unix(1, 0)); err != nil {
				panic(err)
			}
			_, _ = io.WriteString(w, "late")
		}))
		res := call(s, request{Path: "/a"})
		Expect(res.Status).To(Equal(500))
		Expect(string(res.Body)).NotTo(ContainSubstring("late"))
	})

	It("may copy a body that is late, and go on: the deadline is the reader's", func() {
		s, _ := bridge("POST /a", handle(func(w http.ResponseWriter, r *http.Request) {
			rc := http.NewResponseController(w)
			if err := errors.Join(rc.SetWriteDeadline(time.Now().Add(patience)), rc.SetReadDeadline(time.Now().Add(10*time.Millisecond))); err != nil {
				panic(err)
			}
			_, err := io.Copy(w, r.Body)
			_, _ = fmt.Fprint(w, "late ", errors.Is(err, os.ErrDeadlineExceeded))
		}))
		src, dst := io.Pipe()
		defer dst.Close()
		Expect(string(call(s, request{Method: "POST", Path: "/a", Stream: src}).Body)).To(Equal("late true"))
	})

	DescribeTable("leaves behind no way into its call: reading the body fails afterwards", func(size int) {
		bodies := make(chan io.Reader, 1)
		s, _ := bridge("POST /a", handle(func(_ http.ResponseWriter, r *http.Request) { bodies <- r.Body }))
		Expect(call(s, request{Method: "POST", Path: "/a", Body: make([]byte, size)}).Status).To(Equal(200))
		body := <-bodies
		Eventually(func() error {
			_, err := body.Read(make([]byte, 1))
			return err
		}).WithTimeout(patience).Should(MatchError(http.ErrBodyReadAfterClose))
	},
		Entry("of a body that came with the request", 100),
		Entry("of one that is streamed", 100_000),
	)

	It("may leave a goroutine behind that waits for the body: it is woken", func() {
		failed := make(chan error, 1)
		s, _ := bridge("POST /a", handle(func(_ http.ResponseWriter, r *http.Request) {
			waiting := make(chan struct{})
			go func() {
				close(waiting)
				_, err := io.ReadAll(r.Body)
				failed <- err
			}()
			<-waiting
		}))
		src, dst := io.Pipe()
		defer dst.Close()
		Expect(call(s, request{Method: "POST", Path: "/a", Stream: src}).Status).To(Equal(200))
		Eventually(failed).WithTimeout(patience).Should(Receive(HaveOccurred()))
	})

	It("has the files of its forms removed", func() {
		var form bytes.Buffer
		parts := multipart.NewWriter(&form)
		part, err := parts.CreateFormFile("f", "name")
		Expect(err).NotTo(HaveOccurred())
		_, err = part.Write(make([]byte, 100_000))
		Expect(errors.Join(err, parts.Close())).To(Succeed())
		names := make(chan string, 1)
		s, _ := bridge("POST /a", handle(func(_ http.ResponseWriter, r *http.Request) {
			if err := r.ParseMultipartForm(1); err != nil {
				panic(err)
			}
			f, err := r.MultipartForm.File["f"][0].Open()
			if err != nil {
				panic(err)
			}
			defer f.Close()
			names <- f.(*os.File).Name() //nolint:forcetypeassert // beyond the limit it is one
		}))
		call(s, request{Method: "POST", Path: "/a", Body: form.Bytes(), Header: fields("Content-Type", parts.FormDataContentType())})
		name := <-names
		Eventually(func() error {
			_, err := os.Stat(name)
			return err
		}).WithTimeout(patience).Should(MatchError(os.ErrNotExist))
	})

	It("ends at the endpoint's timeout as any handler", func() {
		causes := make(chan error, 1)
		s, _ := bridge("GET /a", handle(func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			causes <- r.Context().Err()
		}), func(e *spec.Endpoint) { e.Limits.TimeoutMS = 30 })
		_, err := s.Call(context.Background(), request{Path: "/a"})
		Expect(err).To(haveCode(spec.CodeDeadline))
		Eventually(causes).WithTimeout(patience).Should(Receive(MatchError(context.DeadlineExceeded)))
	})
})

var _ = Describe("Trailers of a bridged handler", func() {
	It("follow a small answer though they were not declared", func() {
		s, _ := bridge("GET /a", handle(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "small")
			w.Header().Set(http.TrailerPrefix+"X-Late", "1")
			w.Header().Set(http.TrailerPrefix+"Set-Cookie", "a=b")
		}))
		res := call(s, request{Path: "/a"})
		Expect(string(res.Body)).To(Equal("small"))
		Expect(res.ContentLength).To(BeEquivalentTo(-1))
		Expect(res.Trailer).To(Equal(fields("X-Late", "1")))
	})

	It("are announced with the answer", func() {
		s, _ := bridge("GET /a", handle(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Trailer", "x-sum, X-Other") }))
		Expect(call(s, request{Path: "/a"}).Header.Get("Trailer")).To(Equal("x-sum, X-Other"))
	})

	It("come with a body of no bytes", func() {
		s, _ := bridge("POST /a", handle(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(w, r.Trailer.Get("X-Sum"))
		}))
		res := call(s, request{Method: "POST", Path: "/a", Header: fields("Trailer", "X-Sum"), Trailer: fields("X-Sum", "1")})
		Expect(string(res.Body)).To(Equal("1"))
	})

	It("do not come to a handler that has closed the body", func() {
		s, _ := bridge("POST /a", handle(func(w http.ResponseWriter, r *http.Request) {
			err := r.Body.Close()
			_, errRead := io.Copy(io.Discard, r.Body)
			_, _ = fmt.Fprint(w, err, errRead, r.Trailer)
		}))
		res := call(s, request{Method: "POST", Path: "/a", Body: []byte("x"), Trailer: fields("X-Sum", "1")})
		Expect(string(res.Body)).To(Equal(fmt.Sprint(nil, http.ErrBodyReadAfterClose, http.Header(nil))))
	})
})
