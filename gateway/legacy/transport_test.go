package legacy_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"

	"github.com/stella-ops/router/gateway/legacy"
	"github.com/stella-ops/router/spec"
)

const patience = 5 * time.Second

var errMine = errors.New("a test")

var _ = Describe("a transport", func() {
	var transport *legacy.Transport
	BeforeEach(func() {
		before := gleak.Goroutines()
		transport = legacy.NewTransport()
		DeferCleanup(func() {
			transport.Close()
			Eventually(gleak.Goroutines).WithTimeout(patience).ShouldNot(gleak.HaveLeaked(before))
		})
	})
	// soon is a context that ends with the spec, or with its patience.
	soon := func() context.Context {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		DeferCleanup(cancel)
		return ctx
	}
	request := func(url string) *legacy.Request {
		GinkgoHelper()
		s, err := legacy.NewServer(&legacy.Upstream{Name: "shop", URL: url})
		Expect(err).NotTo(HaveOccurred())
		Expect(s.URL()).To(Equal(url))
		return &legacy.Request{
			Server: s, Method: http.MethodGet, Path: "/a%20b", Plain: "/a b", Authority: "shop.example", Peer: "192.0.2.1:1234", Timeout: patience,
			Header: []spec.Field{{Name: "X", Value: "1"}, {Name: "X", Value: "2"}},
		}
	}
	whole := func(a *legacy.Answer) (string, error) {
		var text []byte
		for b := make([]byte, 1000); ; {
			n, err := a.Read(b, patience)
			text = append(text, b[:n]...)
			if errors.Is(err, io.EOF) {
				return string(text), nil
			}
			if err != nil {
				return string(text), err
			}
		}
	}
	// raw is a server that answers each connection's requests with texts, one after the other, and then closes it.
	raw := func(texts ...string) string {
		GinkgoHelper()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		Expect(err).NotTo(HaveOccurred())
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				r := bufio.NewReader(conn)
				for _, text := range texts {
					q, err := http.ReadRequest(r)
					if err != nil {
						break
					}
					_, _ = io.Copy(io.Discard, q.Body)
					_, _ = io.WriteString(conn, text)
				}
				_ = conn.Close()
			}
		}()
		DeferCleanup(func() {
			_ = l.Close()
			Eventually(done).WithTimeout(patience).Should(BeClosed())
		})
		return "http://" + l.Addr().String()
	}

	It("asks by TLS where the URL says so, and trusts nobody whom the machine does not", func() {
		s := httptest.NewTLSServer(http.NotFoundHandler())
		defer s.Close()
		_, err := transport.Send(soon(), request(s.URL), nil)
		Expect(err).To(MatchError(legacy.ErrUnreachable), "its certificate is nobody's: nothing was sent")
	})

	It("sends a safe request again where the server has closed the connection that it kept", func() {
		url := raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") // and then closes it, without a word
		for range 50 {
			a, err := transport.Send(soon(), request(url), nil)
			Expect(err).NotTo(HaveOccurred())
			Expect(whole(a)).To(Equal("ok"))
			a.Close()
		}
	})

	It("takes an answer that ends with the connection for whole, and one that ends before its length for none", func() {
		a, err := transport.Send(soon(), request(raw("HTTP/1.1 200 OK\r\n\r\nall")), nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(a.Length).To(BeEquivalentTo(-1))
		Expect(whole(a)).To(Equal("all"))
		a.Close()
		a, err = transport.Send(soon(), request(raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nsome")), nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(a.Length).To(BeEquivalentTo(10))
		_, err = whole(a)
		Expect(err).To(MatchError(legacy.ErrLost))
		a.Close()
	})

	It("waits for the header and for each part of the body as long as it is told", func() {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RawQuery == "begun" {
				_ = http.NewResponseController(w).Flush()
			}
			<-r.Context().Done()
		}))
		defer s.Close()
		q := request(s.URL)
		q.Timeout = 20 * time.Millisecond
		_, err := transport.Send(soon(), q, nil)
		Expect(err).To(MatchError(legacy.ErrTimeout))
		q = request(s.URL)
		q.Query = "begun"
		a, err := transport.Send(soon(), q, nil)
		Expect(err).NotTo(HaveOccurred())
		_, err = a.Read(make([]byte, 1), 20*time.Millisecond)
		Expect(err).To(MatchError(legacy.ErrTimeout))
		a.Close()
	})

	It("breaks off with the context's cause", func() {
		entered := make(chan struct{}, 1)
		s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			entered <- struct{}{}
			<-r.Context().Done()
		}))
		defer s.Close()
		inner, cancel := context.WithCancelCause(soon())
		go func() {
			<-entered
			cancel(errMine)
		}()
		_, err := transport.Send(inner, request(s.URL), nil)
		Expect(err).To(MatchError(errMine))
	})

	It("follows no redirect", func() {
		s := httptest.NewServer(http.RedirectHandler("/elsewhere", http.StatusFound))
		defer s.Close()
		a, err := transport.Send(soon(), request(s.URL), nil)
		Expect(err).NotTo(HaveOccurred())
		defer a.Close()
		Expect(a.Status).To(Equal(http.StatusFound))
		Expect(a.Header).To(ContainElement(spec.Field{Name: "Location", Value: "/elsewhere"}))
	})
})
