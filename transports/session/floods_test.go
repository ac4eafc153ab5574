package session_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

const (
	flood     = 1_000_000 // frames
	tolerated = 200_000   // of them, at most: what may come at once, twice, what a few seconds bring, and what is on its way
)

// pour writes frames until the link ends, or a flood of them has been written, and returns how many were. It reads and
// drops what comes back, and returns the code of the CANCEL that ends the session.
func pour(link transports.Link, next func(i uint32) *transports.Frame) (written int, end spec.Code) {
	ended := make(chan spec.Code, 1)
	go func() {
		end := spec.CodeNoError
		for {
			f, err := link.ReadFrame()
			if err != nil {
				ended <- end
				return
			}
			if h := f.Header(); h.Type == spec.TypeCancel && h.Stream == 0 {
				end = spec.Code(h.Aux)
			}
			f.Release()
		}
	}()
	batch := make([]*transports.Frame, 0, 64)
	for written < flood {
		batch = batch[:0]
		for range cap(batch) {
			batch = append(batch, next(uint32(written+len(batch))))
		}
		if link.WriteFrames(batch) != nil {
			break
		}
		written += len(batch)
	}
	if written >= flood {
		_ = link.Close()
	}
	return written, <-ended
}

// meanwhile has another session of this process answer calls until it is told to stop, which tells the longest that one
// has taken.
func meanwhile() (stop func() (longest time.Duration, calls int)) {
	GinkgoHelper()
	g, _ := pair(links["tcp"], echo)
	end := make(chan struct{})
	var longest time.Duration
	calls := 0
	var wg sync.WaitGroup
	wg.Go(func() {
		defer GinkgoRecover()
		for {
			select {
			case <-end:
				return
			default:
			}
			began := time.Now()
			c := start(g, "still here", patience)
			_, body := answer(c)
			c.Close()
			Expect(body).To(Equal("still here"))
			longest = max(longest, time.Since(began))
			calls++
		}
	})
	return func() (time.Duration, int) {
		close(end)
		wg.Wait()
		return longest, calls
	}
}

var _ = Describe("A peer that floods its session with frames of no use loses it, and others do not notice:", func() {
	control := func(t spec.FrameType, stream, aux uint32) func(uint32) *transports.Frame {
		return func(uint32) *transports.Frame { return transports.NewControl(t, stream, aux, nil) }
	}
	beat, err := spec.Canonical(spec.Heartbeat{Status: spec.StatusReady, Lease: 8})
	if err != nil {
		panic(err)
	}
	floods := []struct {
		name                     string
		fromService, fromGateway func(i uint32) *transports.Frame
	}{
		{"PING", control(spec.TypePing, 0, 1), control(spec.TypePing, 0, 1)},
		{"PONG", control(spec.TypePong, 0, 1), control(spec.TypePong, 0, 1)},
		{"CREDIT for the session", control(spec.TypeCredit, 0, 1), control(spec.TypeCredit, 0, 1)},
		{"CREDIT of calls that are over", control(spec.TypeCredit, 2, 1), control(spec.TypeCredit, 6, 1)},
		{"CREDIT of a call that is open", control(spec.TypeCredit, 4, 1), control(spec.TypeCredit, 4, 1)},
		{"CANCEL of calls that are over", control(spec.TypeCancel, 2, 0), func(i uint32) *transports.Frame {
			return transports.NewControl(spec.TypeCancel, 6+2*i, 0, nil)
		}},
		{"empty data of calls that are over", func(i uint32) *transports.Frame {
			return frame(spec.TypeResponseStreamData, 0, 2, i, nil, nil)
		}, func(i uint32) *transports.Frame { return frame(spec.TypeRequestStreamData, 0, 6, i, nil, nil) }},
		{"empty data of a call that is open", func(i uint32) *transports.Frame {
			return frame(spec.TypeResponseStreamData, 0, 4, i, nil, nil)
		}, func(i uint32) *transports.Frame { return frame(spec.TypeRequestStreamData, 0, 4, i, nil, nil) }},
		{"frames of a type that may be ignored", control(0x41, 0, 1), control(0x41, 0, 1)},
		{"GOAWAY", nil, control(spec.TypeGoAway, 0, 0)},
		{"HEARTBEAT", func(uint32) *transports.Frame { return transports.NewControl(spec.TypeHeartbeat, 0, 0, beat) }, nil},
	}
	for _, f := range floods {
		if f.fromService != nil {
			It(f.name+", from a service", func() {
				stop := meanwhile()
				g, link := rawService(8)
				over, open := start(g, "", patience), start(g, "", patience)
				defer open.Close()
				_, _ = read(link), read(link)
				write(link, frame(spec.TypeResponse, spec.FlagEnd, 2, 0, responseMeta(200), nil), frame(spec.TypeResponse, 0, 4, 0, responseMeta(200), nil))
				_, _ = answer(over)
				over.Close()
				written, code := pour(link, f.fromService)
				Expect(written).To(BeNumerically("<", tolerated))
				Expect(code).To(Equal(spec.CodeFlow))
				Expect(g.Err()).To(MatchError(ContainSubstring("of no use")))
				_, _ = answer(open)
				_, err := open.Next(context.Background(), patience)
				Expect(err).To(MatchError(session.ErrClosed))
				longest, calls := stop()
				Expect(calls).To(BeNumerically(">", 0))
				Expect(longest).To(BeNumerically("<", time.Second))
			})
		}
		if f.fromGateway != nil {
			It(f.name+", from a gateway", func() {
				stop := meanwhile()
				s, link := rawGateway(func(c *session.Incoming) { <-c.Context().Done() })
				write(link, frame(spec.TypeRequest, 0, 4, 0, requestMeta(), nil))
				ping(link)
				written, code := pour(link, f.fromGateway)
				Expect(written).To(BeNumerically("<", tolerated))
				Expect(code).To(Equal(spec.CodeFlow))
				Expect(s.Err()).To(MatchError(ContainSubstring("of no use")))
				Eventually(s.InFlight).WithTimeout(patience).Should(BeZero())
				longest, calls := stop()
				Expect(calls).To(BeNumerically(">", 0))
				Expect(longest).To(BeNumerically("<", time.Second))
			})
		}
	}
})

// unblocked is a link that hides when a window has held its sender up: windows do not grow.
type unblocked struct{ transports.Link }

func (u unblocked) WriteFrames(batch []*transports.Frame) error {
	for _, f := range batch {
		if t := f.Header().Type; t == spec.TypeRequestStreamData || t == spec.TypeResponseStreamData {
			f.Bytes()[5] &^= byte(spec.FlagBlocked)
		}
	}
	return u.Link.WriteFrames(batch)
}

var _ = Describe("Traffic that is heavy and legitimate", func() {
	It("never spends the budget of frames: credit for every byte of many streams", func() {
		const streams, size = 16, 8_000 // more CREDITs, each way, than would be taken of somebody who sends nothing else
		g, s := pair(func() (transports.Link, transports.Link) {
			a, b := links["inmemory"]()
			return unblocked{a}, unblocked{b}
		}, func(c *session.Incoming) {
			_ = c.Head(&spec.Response{Status: 200, ContentLength: -1})
			_, _ = c.ReadFrom(c)
			_ = c.End()
		}, func(g *session.GatewayConfig, s *session.ServiceConfig) {
			g.Welcome.StreamWindow, s.Hello.StreamWindow = 4, 4
		})
		var wg sync.WaitGroup
		errs := make(chan error, 2*streams)
		for range streams {
			c := open(g)
			DeferCleanup(c.Close)
			wg.Go(func() {
				for i := range size {
					n, err := c.Acquire(1)
					if err == nil {
						f := transports.NewFrame(n)
						f.SetBytes(append(f.Bytes(), 'x'))
						err = c.Send(f, n, i == size-1)
					}
					if err != nil {
						errs <- err
						return
					}
				}
			})
			wg.Go(func() {
				if f, err := c.Head(context.Background()); err == nil {
					f.Release()
				}
				got := 0
				for {
					f, err := c.Next(context.Background(), patience)
					if errors.Is(err, io.EOF) && got == size {
						return
					}
					if err != nil {
						errs <- err
						return
					}
					n := len(f.Body())
					f.Release()
					for range n { // and not at once
						c.Consumed(1)
					}
					got += n
				}
			})
		}
		wg.Wait()
		Expect(errs).To(BeEmpty())
		Expect(g.Err()).NotTo(HaveOccurred())
		Expect(s.Err()).NotTo(HaveOccurred())
	})

	It("never spends the budget of frames: 40,000 tiny streams, and calls that are cancelled as fast as they begin", func() {
		g, s := pair(links["inmemory"], func(c *session.Incoming) {
			b, _ := c.Inline()
			if string(b) == "wait" {
				<-c.Context().Done()
				return
			}
			_ = c.Head(&spec.Response{Status: 200, ContentLength: -1})
			_, _ = c.Write([]byte("x"))
			_ = c.End()
		})
		var wg sync.WaitGroup
		errs := make(chan error, 32)
		for caller := range cap(errs) {
			wg.Go(func() {
				for i := range 2 * 40_000 / cap(errs) {
					body := "stream"
					if (caller+i)%2 == 0 {
						body = "wait"
					}
					c, err := tryStart(g, body, patience)
					for ; errors.Is(err, session.ErrRefused) && g.Err() == nil; c, err = tryStart(g, body, patience) {
						runtime.Gosched() // cancelled calls hold their slots for a moment
					}
					if err != nil {
						errs <- err
						return
					}
					if body == "stream" {
						_, err = c.Head(context.Background())
						if err == nil {
							_, err = readAll(c)
						}
					}
					c.Close()
					if err != nil {
						errs <- err
						return
					}
				}
			})
		}
		wg.Wait()
		Expect(errs).To(BeEmpty())
		Expect(g.Err()).NotTo(HaveOccurred())
		Expect(s.Err()).NotTo(HaveOccurred())
	})
})

var _ = Describe("The budget of cancelled calls", func() {
	const most = 100
	few := session.Limits{Cancels: most}

	It("ends the session of a gateway that cancels more than twice as many", func() {
		s, link := rawGateway(func(c *session.Incoming) { <-c.Context().Done() }, func(c *session.ServiceConfig) { c.Limits = few })
		for i := range uint32(2 * most) {
			id := 2 + 2*i
			write(link, frame(spec.TypeRequest, spec.FlagEnd, id, 0, requestMeta(), nil),
				transports.NewControl(spec.TypeCancel, id, uint32(spec.CodeClientGone), nil))
			expectCancel(link, id, spec.CodeNoError)
		}
		Expect(s.Err()).NotTo(HaveOccurred())
		for i := range uint32(most) { // some may have been earned by now
			id := 4*most + 2 + 2*i
			if link.WriteFrames([]*transports.Frame{
				frame(spec.TypeRequest, spec.FlagEnd, id, 0, requestMeta(), nil),
				transports.NewControl(spec.TypeCancel, id, uint32(spec.CodeClientGone), nil),
			}) != nil {
				break
			}
		}
		Eventually(s.Done()).WithTimeout(patience).Should(BeClosed())
		Expect(s.Err()).To(Satisfy(haveCode(spec.CodeFlow)))
		Expect(s.Err()).To(MatchError(ContainSubstring("cancels more calls")))
	})

	It("ends the session of a service that cancels more than twice as many", func() {
		g, link := rawService(8, func(c *session.GatewayConfig) { c.Limits = few })
		for range 2 * most {
			c := start(g, "", patience)
			write(link, transports.NewControl(spec.TypeCancel, read(link).Header().Stream, uint32(spec.CodeInternal), nil))
			Expect(failure(c)).To(Satisfy(haveCode(spec.CodeInternal)))
			c.Close()
		}
		for range most { // some may have been earned by now
			c, err := tryStart(g, "", patience)
			if err != nil {
				break
			}
			f, err := link.ReadFrame() // REQUEST, unless the session ends meanwhile
			if err != nil || f.Header().Type != spec.TypeRequest ||
				link.WriteFrames([]*transports.Frame{transports.NewControl(spec.TypeCancel, f.Header().Stream, uint32(spec.CodeInternal), nil)}) != nil {
				c.Close()
				break
			}
			_ = failure(c)
			c.Close()
		}
		Eventually(g.Done()).WithTimeout(patience).Should(BeClosed())
		Expect(g.Err()).To(MatchError(ContainSubstring("cancels more calls")))
	})

	It("has the gateway begin no calls for a while instead of being cut", func() {
		g, s := pair(links["tcp"], func(c *session.Incoming) { <-c.Context().Done() }, func(g *session.GatewayConfig, s *session.ServiceConfig) {
			g.Limits, s.Limits = few, few
		})
		refused := 0
		for range 4 * most {
			c, err := tryStart(g, "", patience)
			if err != nil {
				Expect(err).To(MatchError(session.ErrRefused))
				refused++
				continue
			}
			c.Close()
			Eventually(g.InFlight).WithTimeout(patience).Should(BeZero())
		}
		Expect(refused).To(BeNumerically(">", most))
		Expect(g.Err()).NotTo(HaveOccurred())
		Expect(s.Err()).NotTo(HaveOccurred())
	})
})
