package stellatest_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"

	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/runtime/stellatest"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

func TestStellatest(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Stellatest")
}

// show answers what it was called with.
func show(_ context.Context, r *stella.Request, w *stella.Response) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	subject := "nobody"
	if r.Identity != nil {
		subject = r.Identity.Subject
	}
	w.Header().Set("X-Seen", r.Header.Get("X-Sent"))
	return w.JSON(200, []string{r.Method, r.Path, r.RawQuery, r.PathValue("id"), r.PathValue("rest"), subject, strconv.Itoa(len(body))})
}

// ticks answers with numbers until its caller leaves, or to the one at which it is to fail.
func ticks(_ context.Context, r *stella.Request, w *stella.Response) error {
	return stella.SendSequence(r, w, 200, func(yield func(int, error) bool) {
		var err error
		for i := 0; err == nil; i++ {
			if strconv.Itoa(i) == r.Header.Get("X-Fail-At") {
				err = io.ErrUnexpectedEOF
			}
			if !yield(i, err) {
				return
			}
		}
	})
}

// start runs a service with these endpoints.
func start(endpoints ...string) (*stellatest.Service, error) {
	GinkgoHelper()
	m := spec.Manifest{Service: "test", Version: "1.0.0"}
	list := stella.Endpoints{Package: "test"}
	for _, e := range endpoints {
		method, path, _ := strings.Cut(e, " ")
		m.Endpoints = append(m.Endpoints, spec.Endpoint{
			Method: method, Path: path, Handler: "Show", Kind: spec.KindRaw, Status: 200, Stream: spec.StreamBoth,
			Public: "it is a test", Limits: spec.DefaultLimits,
		})
		dispatch := show
		if strings.Contains(path, "block") {
			dispatch = func(ctx context.Context, _ *stella.Request, _ *stella.Response) error {
				<-ctx.Done()
				return ctx.Err()
			}
		}
		if path == "/ticks" {
			dispatch = ticks
		}
		list.List = append(list.List, stella.Endpoint{Method: method, Path: path, Dispatch: dispatch})
	}
	b, err := m.Encode()
	Expect(err).NotTo(HaveOccurred())
	return stellatest.Start(context.Background(), stella.Manifest{JSON: string(b)}, list)
}

var _ = Describe("A service under test", func() {
	var s *stellatest.Service

	BeforeEach(func() {
		before := gleak.Goroutines()
		var err error
		s, err = start("GET /a", "GET /a/{id}", "GET /a/{id}/{rest...}", "GET /a/b", "POST /a", "POST /block", "GET /ticks")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() {
			Expect(s.Close()).To(Succeed())
			Eventually(gleak.Goroutines).WithTimeout(5 * time.Second).ShouldNot(gleak.HaveLeaked(before))
		})
	})

	call := func(r stellatest.Request) []string {
		GinkgoHelper()
		answer, err := s.Call(context.Background(), r)
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.Status).To(Equal(200))
		var seen []string
		Expect(json.Unmarshal(answer.Body, &seen)).To(Succeed())
		return seen
	}

	DescribeTable("is called by method and path", func(r stellatest.Request, want ...string) {
		Expect(call(r)).To(Equal(want))
	},
		Entry("of a literal", stellatest.Request{Path: "/a"}, "GET", "/a", "", "", "", "nobody", "0"),
		Entry("of a parameter", stellatest.Request{Path: "/a/x%20y?q=1"}, "GET", "/a/x%20y", "q=1", "x y", "", "nobody", "0"),
		Entry("of a literal rather than a parameter", stellatest.Request{Path: "/a/b"}, "GET", "/a/b", "", "", "", "nobody", "0"),
		Entry("of the rest", stellatest.Request{Path: "/a/b/c/d"}, "GET", "/a/b/c/d", "", "b", "c/d", "nobody", "0"),
		Entry("with a body and an identity", stellatest.Request{Method: "POST", Path: "/a", Body: []byte("123"), Identity: &spec.Identity{Subject: "ann"}},
			"POST", "/a", "", "", "", "ann", "3"),
		Entry("with a large body", stellatest.Request{Method: "POST", Path: "/a", Body: make([]byte, 1_000_000)}, "POST", "/a", "", "", "", "nobody", "1000000"),
	)

	It("gets and gives headers", func() {
		answer, err := s.Call(context.Background(), stellatest.Request{Path: "/a", Header: stella.Header{{Name: "X-Sent", Value: "v"}}})
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.Header.Get("X-Seen")).To(Equal("v"))
		Expect(answer.ContentLength).To(BeEquivalentTo(len(answer.Body)))
	})

	It("answers HEAD by GET, without a body", func() {
		answer, err := s.Call(context.Background(), stellatest.Request{Method: "HEAD", Path: "/a"})
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.ContentLength).To(BeNumerically(">", 0))
		Expect(answer.Body).To(BeEmpty())
	})

	DescribeTable("has no endpoint", func(method, path string) {
		_, err := s.Call(context.Background(), stellatest.Request{Method: method, Path: path})
		Expect(err).To(MatchError(stellatest.ErrNoEndpoint))
	},
		Entry("of this path", "GET", "/b"),
		Entry("of this method", "PUT", "/a"),
		Entry("of a path that ends with a slash", "GET", "/a/"),
		Entry("of a longer path", "POST", "/a/b"),
	)

	It("takes a body of unknown length as it is read, and closes what it was read from", func() {
		src, dst := io.Pipe()
		go func() {
			for range 10 {
				_, _ = dst.Write(make([]byte, 30_000))
			}
			_ = dst.Close()
		}()
		Expect(call(stellatest.Request{Method: "POST", Path: "/a", Stream: src})).To(Equal([]string{"POST", "/a", "", "", "", "nobody", "300000"}))
		_, err := dst.Write([]byte("more"))
		Expect(err).To(MatchError(io.ErrClosedPipe))
	})

	It("sees a caller leave whose body cannot be read", func() {
		_, err := s.Call(context.Background(), stellatest.Request{Method: "POST", Path: "/a", Stream: iotest.ErrReader(io.ErrUnexpectedEOF)})
		var e *session.Error
		Expect(errors.As(err, &e)).To(BeTrue())
		Expect(e.Code).To(Equal(spec.CodeClientGone))
	})

	It("shows an answer while it comes, until the test has seen enough", func() {
		st, err := s.Open(context.Background(), stellatest.Request{Path: "/ticks"})
		Expect(err).NotTo(HaveOccurred())
		Expect(st.Status).To(Equal(200))
		Expect(st.ContentLength).To(BeEquivalentTo(-1))
		Expect(st.Header.Get("Content-Type")).To(Equal("application/x-ndjson"))
		b := make([]byte, 2) // one line: a Read may give more, when several are there
		for i := range 3 {
			_, err := io.ReadFull(st, b)
			Expect(err).NotTo(HaveOccurred())
			Expect(string(b)).To(Equal(strconv.Itoa(i) + "\n"))
		}
		st.Close()
	})

	It("gives what came of an answer that it breaks off", func() {
		answer, err := s.Call(context.Background(), stellatest.Request{Path: "/ticks", Header: stella.Header{{Name: "X-Fail-At", Value: "2"}}})
		var e *session.Error
		Expect(errors.As(err, &e)).To(BeTrue())
		Expect(e.Code).To(Equal(spec.CodeInternal))
		Expect(string(answer.Body)).To(HavePrefix("0\n1\n{\"error\":{"))
	})

	It("learns that its caller has left", func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		_, err := s.Call(ctx, stellatest.Request{Method: "POST", Path: "/block"})
		Expect(err).To(MatchError(context.DeadlineExceeded))
	})
})

var _ = Describe("Start", func() {
	It("reports what Run refuses", func() {
		_, err := stellatest.Start(context.Background(), stella.Manifest{})
		Expect(err).To(MatchError(ContainSubstring("the manifest cannot be used")))
	})
})
