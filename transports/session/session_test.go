package session_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	_ "github.com/stella-ops/router/transports/inmemory"
	"github.com/stella-ops/router/transports/session"
	_ "github.com/stella-ops/router/transports/tcp"
)

func echo(c *session.Incoming) {
	body, err := io.ReadAll(c)
	if err != nil {
		return
	}
	respond(c, 200, string(body))
}

// block waits for the call's context and tells its cause.
func block(entered chan<- struct{}, causes chan<- error) func(*session.Incoming) {
	return func(c *session.Incoming) {
		entered <- struct{}{}
		<-c.Context().Done()
		causes <- context.Cause(c.Context())
	}
}

func haveCode(code spec.Code) func(error) bool {
	return func(err error) bool {
		var e *session.Error
		return errors.As(err, &e) && e.Code == code
	}
}

// sendAll sends body in chunks and ends it.
func sendAll(c *session.Call, body []byte) error {
	for {
		n, err := c.Acquire(spec.MaxChunk)
		if err != nil {
			return err
		}
		take := min(n, len(body))
		f := transports.NewFrame(take)
		f.SetBytes(append(f.Bytes(), body[:take]...))
		body = body[take:]
		if err := c.Send(f, n, len(body) == 0); err != nil || len(body) == 0 {
			return err
		}
	}
}

// readAll reads a streamed answer.
func readAll(c *session.Call) ([]byte, error) {
	var all []byte
	for {
		f, err := c.Next(context.Background(), patience)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, f.Body()...)
		c.Consumed(len(f.Body()))
		f.Release()
	}
}

var _ = Describe("A session", func() {
	for name, newLinks := range links {
		Context("over "+name, func() { behaviour(newLinks) })
	}
})

func behaviour(newLinks func() (gateway, service transports.Link)) {
	It("serves a small call with one frame each way (invariant 5: one session carries every kind of frame)", func() {
		g, s := pair(newLinks, echo)
		c := start(g, "hello", patience)
		status, body := answer(c)
		Expect(status).To(Equal(200))
		Expect(body).To(Equal("hello"))
		Expect(c.Ended()).To(BeTrue())
		c.Close()
		Expect(g.InFlight()).To(BeZero())
		Eventually(s.InFlight).WithTimeout(patience).Should(BeZero())
	})

	It("gives the service the request's metadata", func() {
		seen := make(chan *spec.Request, 1)
		g, _ := pair(newLinks, func(c *session.Incoming) {
			seen <- c.Request()
			respond(c, 204, "")
		})
		c := start(g, "", patience)
		defer c.Close()
		status, _ := answer(c)
		Expect(status).To(Equal(204))
		var r *spec.Request
		Expect(seen).To(Receive(&r))
		Expect(r.Header).To(Equal([]spec.Field{{Name: "X-Test", Value: "yes"}}))
	})

	It("carries many calls at once, each with its own answer", func() {
		g, _ := pair(newLinks, echo)
		var wg sync.WaitGroup
		failed := make(chan error, 32)
		for w := range 32 {
			wg.Go(func() {
				for i := range 200 {
					body := fmt.Sprintf("%d-%d", w, i)
					c, err := tryStart(g, body, patience)
					if err != nil {
						failed <- err
						return
					}
					f, err := c.Head(context.Background())
					if err != nil {
						failed <- err
						return
					}
					if got := string(f.Body()); got != body {
						failed <- fmt.Errorf("sent %q, got %q", body, got)
					}
					f.Release()
					c.Close()
				}
			})
		}
		wg.Wait()
		Expect(failed).To(BeEmpty())
		Expect(g.InFlight()).To(BeZero())
	})

	It("streams bodies many times the window both ways, whole and in order", func() {
		body := bytes.Repeat([]byte("0123456789abcdef"), 5<<16) // 5 MiB
		g, _ := pair(newLinks, func(c *session.Incoming) {
			if c.Head(&spec.Response{Status: 200, ContentLength: -1}) != nil {
				return
			}
			if _, err := c.ReadFrom(c); err == nil {
				_ = c.End()
			}
		})
		c := open(g)
		defer c.Close()
		sent := make(chan error, 1)
		go func() { sent <- sendAll(c, body) }()
		status, _ := answer(c)
		Expect(status).To(Equal(200))
		got, err := readAll(c)
		Expect(err).NotTo(HaveOccurred())
		Expect(bytes.Equal(got, body)).To(BeTrue())
		Eventually(sent).WithTimeout(patience).Should(Receive(BeNil()))
		Eventually(g.InFlight).WithTimeout(patience).Should(BeZero())
	})

	It("sends an answer that is too large for one frame as a stream", func() {
		big := strings.Repeat("x", spec.MaxInlineBody+1)
		g, _ := pair(newLinks, func(c *session.Incoming) { respond(c, 200, big) })
		c := start(g, "", patience)
		defer c.Close()
		status, inline := answer(c)
		Expect(status).To(Equal(200))
		Expect(inline).To(BeEmpty())
		got, err := readAll(c)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(got)).To(Equal(big))
	})

	It("ends the handler's context when the caller leaves, and holds the slot until the handler has returned", func() {
		entered, causes := make(chan struct{}, 1), make(chan error, 1)
		g, _ := pair(newLinks, block(entered, causes))
		c := start(g, "", patience)
		Eventually(entered).WithTimeout(patience).Should(Receive())
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := c.Head(ctx)
		Expect(err).To(MatchError(context.Canceled))
		c.Close()
		var cause error
		Eventually(causes).WithTimeout(patience).Should(Receive(&cause))
		Expect(cause).To(Satisfy(haveCode(spec.CodeClientGone)))
		Eventually(g.InFlight).WithTimeout(patience).Should(BeZero())
	})

	It("ends a call at its deadline on both ends alike", func() {
		entered, causes := make(chan struct{}, 1), make(chan error, 1)
		g, _ := pair(newLinks, block(entered, causes))
		c := start(g, "", 50*time.Millisecond)
		defer c.Close()
		Expect(failure(c)).To(Satisfy(haveCode(spec.CodeDeadline)))
		var cause error
		Eventually(causes).WithTimeout(patience).Should(Receive(&cause))
		Expect(cause).To(Satisfy(haveCode(spec.CodeDeadline)))
		Eventually(g.InFlight).WithTimeout(patience).Should(BeZero())
	})

	It("shows handlers a deadline as DeadlineExceeded, in derived contexts too", func() {
		errs := make(chan [2]error, 1)
		g, _ := pair(newLinks, func(c *session.Incoming) {
			derived, cancel := context.WithCancel(c.Context())
			defer cancel()
			<-derived.Done()
			errs <- [2]error{c.Context().Err(), derived.Err()}
		})
		c := start(g, "", 30*time.Millisecond)
		defer c.Close()
		Expect(failure(c)).To(Satisfy(haveCode(spec.CodeDeadline)))
		var got [2]error
		Eventually(errs).WithTimeout(patience).Should(Receive(&got))
		Expect(got).To(Equal([2]error{context.DeadlineExceeded, context.DeadlineExceeded}))
	})

	It("wakes a handler that waits for the body when the caller leaves", func() {
		errs := make(chan error, 1)
		g, _ := pair(newLinks, func(c *session.Incoming) {
			_, err := c.Read(make([]byte, 1))
			errs <- err
		})
		c := open(g)
		c.Close()
		var err error
		Eventually(errs).WithTimeout(patience).Should(Receive(&err))
		Expect(err).To(Satisfy(haveCode(spec.CodeClientGone)))
		Eventually(g.InFlight).WithTimeout(patience).Should(BeZero())
	})

	It("wakes a handler that waits for credit when the caller leaves", func() {
		errs := make(chan error, 1)
		g, _ := pair(newLinks, func(c *session.Incoming) {
			_ = c.Head(&spec.Response{Status: 200, ContentLength: -1})
			_, err := c.Write(make([]byte, 2*spec.StreamWindow))
			errs <- err
		})
		c := start(g, "", patience)
		status, _ := answer(c)
		Expect(status).To(Equal(200))
		Consistently(errs, "50ms").ShouldNot(Receive())
		c.Close()
		var err error
		Eventually(errs).WithTimeout(patience).Should(Receive(&err))
		Expect(err).To(Satisfy(haveCode(spec.CodeClientGone)))
	})

	It("tells the sender of a body to stop when the answer is whole without it, and lets the answer stand", func() {
		g, _ := pair(newLinks, func(c *session.Incoming) { respond(c, 413, "too much") })
		c := open(g)
		defer c.Close()
		status, body := answer(c)
		Expect(status).To(Equal(413))
		Expect(body).To(Equal("too much"))
		Expect(sendAll(c, make([]byte, 8*spec.StreamWindow))).To(MatchError(session.ErrStopSending))
		Eventually(g.InFlight).WithTimeout(patience).Should(BeZero())
	})

	It("gives a reader that outlives its handler nothing", func() {
		kept := make(chan *session.Incoming, 1)
		g, s := pair(newLinks, func(c *session.Incoming) {
			respond(c, 200, "")
			kept <- c
		})
		c := start(g, "secret", patience)
		_, _ = answer(c)
		c.Close()
		Eventually(s.InFlight).WithTimeout(patience).Should(BeZero())
		var late *session.Incoming
		Eventually(kept).WithTimeout(patience).Should(Receive(&late))
		n, err := late.Read(make([]byte, 16))
		Expect(n).To(BeZero())
		Expect(err).To(MatchError(io.EOF))
	})

	It("fails a call whose handler gives no answer", func() {
		g, _ := pair(newLinks, func(*session.Incoming) {})
		c := start(g, "", patience)
		defer c.Close()
		Expect(failure(c)).To(Satisfy(haveCode(spec.CodeInternal)))
		Expect(g.InFlight()).To(BeZero())
	})

	It("breaks a streamed answer off when its handler does not end it", func() {
		g, _ := pair(newLinks, func(c *session.Incoming) {
			_ = c.Head(&spec.Response{Status: 200, ContentLength: 100})
			_, _ = c.Write([]byte("half"))
		})
		c := start(g, "", patience)
		defer c.Close()
		_, _ = answer(c)
		_, err := readAll(c)
		Expect(err).To(Satisfy(haveCode(spec.CodeInternal)))
	})

	It("hands out what came before the service broke its answer off, and then says so", func() {
		g, _ := pair(newLinks, func(c *session.Incoming) {
			_ = c.Head(&spec.Response{Status: 200, ContentLength: -1})
			_, _ = c.Write([]byte("first,"))
			_, _ = c.Write([]byte("last"))
			c.Cancel(spec.CodeInternal, "failed")
		})
		c := start(g, "", patience)
		defer c.Close()
		Eventually(g.InFlight).WithTimeout(patience).Should(BeZero()) // all of it is there, CANCEL too
		_, _ = answer(c)
		body, err := readAll(c)
		Expect(string(body)).To(Equal("first,last"))
		Expect(err).To(Satisfy(haveCode(spec.CodeInternal)))
	})

	It("passes on why a service cancels", func() {
		g, _ := pair(newLinks, func(c *session.Incoming) { c.Cancel(spec.CodeStale, "no such endpoint") })
		c := start(g, "", patience)
		defer c.Close()
		Expect(failure(c)).To(MatchError(ContainSubstring("no such endpoint")))
	})

	It("bounds the silence of a streamed answer", func() {
		entered, causes := make(chan struct{}, 1), make(chan error, 1)
		wait := block(entered, causes)
		g, _ := pair(newLinks, func(c *session.Incoming) {
			_ = c.Head(&spec.Response{Status: 200, ContentLength: -1})
			wait(c)
		})
		c := start(g, "", patience)
		defer c.Close()
		_, _ = answer(c)
		_, err := c.Next(context.Background(), 30*time.Millisecond)
		Expect(err).To(Satisfy(haveCode(spec.CodeIdle)))
		var cause error
		Eventually(causes).WithTimeout(patience).Should(Receive(&cause))
		Expect(cause).To(Satisfy(haveCode(spec.CodeIdle)))
	})

	It("lifts the deadline once a streamed answer has begun", func() {
		g, _ := pair(newLinks, func(c *session.Incoming) {
			_ = c.Head(&spec.Response{Status: 200, ContentLength: -1})
			select {
			case <-c.Context().Done():
			case <-time.After(100 * time.Millisecond):
				_, _ = c.Write([]byte("late but fine"))
				_ = c.End()
			}
		})
		c := start(g, "", 50*time.Millisecond)
		defer c.Close()
		_, _ = answer(c)
		got, err := readAll(c)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(got)).To(Equal("late but fine"))
	})

	It("refuses calls beyond the lease, and takes them again when a slot is free", func() {
		release := make(chan struct{})
		g, _ := pair(newLinks, func(c *session.Incoming) {
			<-release
			respond(c, 200, "")
		}, func(_ *session.GatewayConfig, s *session.ServiceConfig) { s.Hello.Lease = 2 })
		a, b := start(g, "", patience), start(g, "", patience)
		_, err := tryStart(g, "", patience)
		Expect(err).To(MatchError(session.ErrRefused))
		close(release)
		for _, c := range []*session.Call{a, b} {
			status, _ := answer(c)
			Expect(status).To(Equal(200))
			c.Close()
		}
		c := start(g, "", patience)
		defer c.Close()
		status, _ := answer(c)
		Expect(status).To(Equal(200))
	})

	It("fails every open call at once when the link dies", func() {
		entered, causes := make(chan struct{}, 2), make(chan error, 2)
		g, s := pair(newLinks, block(entered, causes))
		a, b := start(g, "", patience), open(g)
		Eventually(entered).WithTimeout(patience).Should(Receive())
		Eventually(entered).WithTimeout(patience).Should(Receive())
		Expect(s.Close()).To(Succeed())
		lost := failure(a)
		Expect(lost).To(MatchError(session.ErrClosed))
		Expect(lost).NotTo(MatchError(io.EOF), "a lost session must not look like the end of a body")
		Expect(failure(b)).To(MatchError(session.ErrClosed))
		a.Close()
		b.Close()
		Eventually(g.Done()).WithTimeout(patience).Should(BeClosed())
		_, err := tryStart(g, "", patience)
		Expect(err).To(MatchError(session.ErrRefused))
		for range 2 {
			var cause error
			Eventually(causes).WithTimeout(patience).Should(Receive(&cause))
			Expect(cause).To(MatchError(session.ErrClosed))
		}
	})

	It("drains a service: open calls end, new ones are refused", func() {
		entered, release := make(chan struct{}, 1), make(chan struct{})
		left := make(chan spec.Code, 1)
		g, s := pair(newLinks, func(c *session.Incoming) {
			entered <- struct{}{}
			<-release
			respond(c, 200, "finished")
		}, func(c *session.GatewayConfig, _ *session.ServiceConfig) {
			c.GoAway = func(code spec.Code, _ string) { left <- code }
		})
		c := start(g, "", patience)
		Eventually(entered).WithTimeout(patience).Should(Receive())
		drained := make(chan error, 1)
		go func() { drained <- s.Drain(context.Background()) }()
		Eventually(left).WithTimeout(patience).Should(Receive(Equal(spec.CodeShutdown)))
		_, err := tryStart(g, "", patience)
		Expect(err).To(MatchError(session.ErrRefused))
		close(release)
		_, body := answer(c)
		c.Close()
		Expect(body).To(Equal("finished"))
		Eventually(drained).WithTimeout(patience).Should(Receive(BeNil()))
		Eventually(g.Done()).WithTimeout(patience).Should(BeClosed())
	})

	It("loses no call to a drain: each is served, or refused and safe to send elsewhere", func() {
		for range 20 {
			g, s := pair(newLinks, echo)
			var wg sync.WaitGroup
			lost := make(chan error, 16)
			for range 16 {
				wg.Go(func() {
					for {
						c, err := tryStart(g, "x", patience)
						if err != nil {
							return // refused: nothing was sent
						}
						f, err := c.Head(context.Background())
						f.Release()
						c.Close()
						if err != nil && !haveCode(spec.CodeRefused)(err) {
							lost <- err
							return
						}
					}
				})
			}
			Expect(s.Drain(context.Background())).To(Succeed())
			wg.Wait()
			Expect(lost).To(BeEmpty())
			Eventually(g.Done()).WithTimeout(patience).Should(BeClosed())
			Expect(g.Err()).To(MatchError(session.ErrDrained))
		}
	})

	It("cancels what is still open when the grace is over", func() {
		entered, causes := make(chan struct{}, 1), make(chan error, 1)
		g, s := pair(newLinks, block(entered, causes))
		c := start(g, "", patience)
		defer c.Close()
		Eventually(entered).WithTimeout(patience).Should(Receive())
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
		defer cancel()
		Expect(s.Drain(ctx)).To(MatchError(context.DeadlineExceeded))
		Expect(failure(c)).To(Satisfy(haveCode(spec.CodeShutdown)))
	})

	It("tells the service that the gateway drains, and refuses calls from then on", func() {
		left := make(chan string, 1)
		g, _ := pair(newLinks, echo, func(_ *session.GatewayConfig, c *session.ServiceConfig) {
			c.GoAway = func(_ spec.Code, why string) { left <- why }
		})
		g.Drain(spec.CodeShutdown, "upgrade")
		Eventually(left).WithTimeout(patience).Should(Receive(Equal("upgrade")))
		_, err := tryStart(g, "", patience)
		Expect(err).To(MatchError(session.ErrRefused))
	})

	It("asks for another session when its stream ids are used up, and ends the calls that are open", func() {
		left := make(chan string, 1)
		release := make(chan struct{})
		g, _ := pair(newLinks, func(c *session.Incoming) {
			<-release
			respond(c, 200, "done")
		}, func(_ *session.GatewayConfig, c *session.ServiceConfig) {
			c.GoAway = func(_ spec.Code, why string) { left <- why }
		})
		g.SkipTo(spec.MaxStreamID - 1)
		c := start(g, "", patience)
		defer c.Close()
		Eventually(left).WithTimeout(patience).Should(Receive(ContainSubstring("stream ids")))
		_, err := tryStart(g, "", patience)
		Expect(err).To(MatchError(session.ErrRefused))
		close(release)
		_, body := answer(c)
		Expect(body).To(Equal("done"))
	})

	It("names no lease once it drains or is dead, so that nobody takes it for the least busy", func() {
		g, _ := pair(newLinks, echo)
		Expect(g.Lease()).To(Equal(64))
		g.Drain(spec.CodeShutdown, "")
		Expect(g.Lease()).To(BeZero())
		g, s := pair(newLinks, echo)
		Expect(s.Close()).To(Succeed())
		Eventually(g.Lease).WithTimeout(patience).Should(BeZero())
	})

	It("tells the service why the gateway closes", func() {
		g, s := pair(newLinks, echo)
		Expect(g.Close(spec.CodeOperator, "removed by hand")).To(Succeed())
		Eventually(s.Done()).WithTimeout(patience).Should(BeClosed())
		Expect(s.Err()).To(Satisfy(haveCode(spec.CodeOperator)))
		Expect(s.Err()).To(MatchError(ContainSubstring("removed by hand")))
	})

	It("passes heartbeats on and takes their lease", func() {
		beats := make(chan spec.Heartbeat, 8)
		g, s := pair(newLinks, echo, func(c *session.GatewayConfig, s *session.ServiceConfig) {
			c.Welcome.HeartbeatMS = 200 // much less, and a busy machine makes the session look dead
			c.Heartbeat = func(h spec.Heartbeat) {
				select {
				case beats <- h:
				default:
				}
			}
			s.Heartbeat = func() spec.Heartbeat {
				return spec.Heartbeat{Status: spec.StatusDegraded, InFlight: 3, ErrorPermille: 10}
			}
		})
		s.SetLease(7)
		var h spec.Heartbeat
		Eventually(beats).WithTimeout(patience).Should(Receive(&h))
		Expect(h).To(Equal(spec.Heartbeat{Status: spec.StatusDegraded, InFlight: 3, ErrorPermille: 10, Lease: 7}))
		Expect(g.Lease()).To(Equal(7))
	})

	It("refuses a service with the code and the reason that Admit gives", func() {
		glink, slink := newLinks()
		opened := make(chan error, 1)
		go func() {
			_, err := session.Open(context.Background(), slink, session.ServiceConfig{Hello: hello(), Manifest: []byte("m"), Serve: echo})
			opened <- err
		}()
		_, err := session.Accept(context.Background(), glink, session.GatewayConfig{
			Welcome: spec.Welcome{Node: "test"},
			Admit:   func(*spec.Hello, []byte) error { return &session.Error{Code: spec.CodeConflict, Reason: "taken"} },
		})
		Expect(err).To(MatchError(ContainSubstring("taken")))
		Eventually(opened).WithTimeout(patience).Should(Receive(&err))
		Expect(err).To(Satisfy(haveCode(spec.CodeConflict)))
		Expect(err).To(MatchError(ContainSubstring("taken")))
	})
}
