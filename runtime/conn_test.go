package stella_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gleak"

	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/runtime/stellatest"
	"github.com/stella-ops/router/spec"
)

// upgradable is an endpoint that may change to another protocol.
func upgradable(dispatch stella.Dispatch) endpoint {
	e := public("GET", "/chat", dispatch)
	e.Stream, e.Status = spec.StreamUpgrade, http.StatusSwitchingProtocols
	return e
}

// underTest runs a service of one endpoint that may change to another protocol.
func underTest(dispatch stella.Dispatch) *stellatest.Service {
	GinkgoHelper()
	before := gleak.Goroutines()
	m, list := service(upgradable(dispatch))
	svc, err := stellatest.Start(context.Background(), m, list)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() {
		Expect(svc.Close()).To(Succeed())
		Eventually(gleak.Goroutines).WithTimeout(patience).ShouldNot(gleak.HaveLeaked(before))
	})
	return svc
}

// caller is whoever has opened the connection.
type caller struct {
	*stellatest.Stream

	say   *io.PipeWriter
	leave func() // closes the stream once
}

// dial opens a connection.
func dial(svc *stellatest.Service) caller {
	GinkgoHelper()
	heard, say := io.Pipe()
	st, err := svc.Open(context.Background(), stellatest.Request{Path: "/chat", Upgrade: "websocket", Stream: heard})
	Expect(err).NotTo(HaveOccurred())
	leave := sync.OnceFunc(st.Close)
	DeferCleanup(leave)
	Expect(st.Status).To(Equal(http.StatusSwitchingProtocols))
	return caller{st, say, leave}
}

var _ = Describe("An upgraded connection", func() {
	It("carries what either end writes, until both have ended", func() {
		svc := underTest(func(_ context.Context, r *stella.Request, w *stella.Response) error {
			if r.Upgrade != "websocket" || r.ContentLength != 0 {
				return errors.New("not as it was asked for")
			}
			if body, err := r.ReadBody(); err != nil || len(body) > 0 {
				return errors.New("the request has a body")
			}
			w.Header().Set("Sec-WebSocket-Protocol", "chat")
			w.Header().Set("Content-Length", "7") // has no meaning, and does no harm
			c, err := w.Upgrade()
			if err != nil {
				return err
			}
			_, err = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
			return err
		})
		c := dial(svc)
		Expect(c.Status).To(Equal(http.StatusSwitchingProtocols))
		Expect(c.ContentLength).To(Equal(int64(-1)))
		Expect(c.Header.Get("Sec-WebSocket-Protocol")).To(Equal("chat"))
		for _, text := range []string{"one", "two"} {
			_, err := io.WriteString(c.say, text)
			Expect(err).NotTo(HaveOccurred())
			back := make([]byte, 3)
			_, err = io.ReadFull(c, back)
			Expect(err).NotTo(HaveOccurred())
			Expect(string(back)).To(Equal(text))
		}
		Expect(c.say.Close()).To(Succeed())
		Expect(io.ReadAll(c)).To(BeEmpty())
	})

	It("is closed half by CloseWrite, and whole by Close or the handler's return", func() {
		results := make(chan error, 4)
		svc := underTest(func(_ context.Context, _ *stella.Request, w *stella.Response) error {
			c, err := w.Upgrade()
			if err != nil {
				return err
			}
			if _, err := c.Write([]byte("bye")); err != nil {
				return err
			}
			results <- c.CloseWrite()
			rest, err := io.ReadAll(c)
			if err == nil && string(rest) != "good bye" {
				err = errors.New("got " + string(rest))
			}
			results <- err
			_, err = c.Write([]byte("x"))
			if err == nil {
				return errors.New("wrote after CloseWrite")
			}
			results <- c.Close()
			_, err = c.Read(make([]byte, 1))
			results <- err
			return c.Close()
		})
		c := dial(svc)
		Expect(io.ReadAll(c)).To(Equal([]byte("bye")))
		_, err := io.WriteString(c.say, "good bye")
		Expect(err).NotTo(HaveOccurred())
		Expect(c.say.Close()).To(Succeed())
		for _, want := range []error{nil, nil, nil, net.ErrClosed} {
			var got error
			Eventually(results).WithTimeout(patience).Should(Receive(&got))
			if want == nil {
				Expect(got).NotTo(HaveOccurred())
			} else {
				Expect(got).To(MatchError(want))
			}
		}
	})

	It("keeps its deadlines, and goes on after them", func() {
		failed := make(chan error, 3)
		svc := underTest(func(_ context.Context, _ *stella.Request, w *stella.Response) error {
			c, err := w.Upgrade()
			if err != nil {
				return err
			}
			waits := make(chan struct{})
			go func() { // sets the deadline of a read that waits already
				<-waits
				_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			}()
			close(waits)
			_, err = c.Read(make([]byte, 1))
			failed <- err
			if err := c.SetDeadline(time.Unix(1, 0)); err != nil {
				return err
			}
			_, err = c.Write([]byte("x"))
			failed <- err
			_, err = c.Read(make([]byte, 1))
			failed <- err
			if err := c.SetDeadline(time.Time{}); err != nil {
				return err
			}
			if _, err := c.Write([]byte("on")); err != nil {
				return err
			}
			_, err = c.Read(make([]byte, 1))
			return err
		})
		c := dial(svc)
		for range 3 {
			var err error
			Eventually(failed).WithTimeout(patience).Should(Receive(&err))
			Expect(err).To(MatchError(os.ErrDeadlineExceeded))
			timeout, ok := errors.AsType[net.Error](err)
			Expect(ok).To(BeTrue())
			Expect(timeout.Timeout()).To(BeTrue())
		}
		_, err := io.WriteString(c.say, "x")
		Expect(err).NotTo(HaveOccurred())
		Expect(io.ReadAll(c)).To(Equal([]byte("on")))
	})

	It("ends a write that waits for a caller who does not read, by its deadline", func() {
		failed := make(chan error, 1)
		svc := underTest(func(_ context.Context, _ *stella.Request, w *stella.Response) error {
			c, err := w.Upgrade()
			if err != nil {
				return err
			}
			if err := c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
				return err
			}
			for err == nil {
				_, err = c.Write(make([]byte, 64<<10))
			}
			failed <- err
			return nil
		})
		dial(svc)
		var err error
		Eventually(failed).WithTimeout(patience).Should(Receive(&err))
		Expect(err).To(MatchError(os.ErrDeadlineExceeded))
	})

	It("is broken off by an error of the handler, and by its caller", func() {
		ended := make(chan error, 1)
		svc := underTest(func(ctx context.Context, _ *stella.Request, w *stella.Response) error {
			c, err := w.Upgrade()
			if err != nil {
				return err
			}
			if _, err = io.ReadFull(c, make([]byte, 1)); err == nil {
				return errors.New("a mess")
			}
			<-ctx.Done()
			ended <- err
			return err
		})
		c := dial(svc)
		_, err := io.WriteString(c.say, "x")
		Expect(err).NotTo(HaveOccurred())
		_, err = io.ReadAll(c)
		Expect(err).To(MatchError(ContainSubstring("INTERNAL")))
		c = dial(svc)
		c.leave()
		Eventually(ended).WithTimeout(patience).Should(Receive(&err))
		Expect(err).To(MatchError(ContainSubstring("CLIENT_GONE")))
	})

	It("is there once, for a request that asks for it, as long as nothing has been answered", func() {
		second := make(chan error, 1)
		svc := underTest(func(_ context.Context, r *stella.Request, w *stella.Response) error {
			if r.Upgrade == "" {
				_, err := w.Upgrade()
				if !errors.Is(err, stella.ErrNoUpgrade) {
					return err
				}
				_, err = w.Write([]byte("plain"))
				return err
			}
			if r.RawQuery == "refuse" {
				return stella.NewError(http.StatusForbidden, "not_here", "Another origin.")
			}
			if _, err := w.Upgrade(); err != nil {
				return err
			}
			_, err := w.Upgrade()
			second <- err
			_, err = w.Write([]byte("x"))
			if err == nil {
				return errors.New("wrote an answer after 101")
			}
			return nil
		})
		answer, err := svc.Call(context.Background(), stellatest.Request{Path: "/chat"})
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.Status).To(Equal(http.StatusOK))
		Expect(string(answer.Body)).To(Equal("plain"))
		answer, err = svc.Call(context.Background(), stellatest.Request{Path: "/chat?refuse", Upgrade: "websocket"})
		Expect(err).NotTo(HaveOccurred())
		Expect(answer.Status).To(Equal(http.StatusForbidden))
		c := dial(svc)
		Expect(io.ReadAll(c)).To(BeEmpty())
		Expect(<-second).To(HaveOccurred())
	})
})
