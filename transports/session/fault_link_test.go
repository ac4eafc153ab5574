package session_test

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/faultproxy"
	"github.com/stella-ops/router/transports/session"
)

// proxied is a way to connect two ends over real TCP, through a fault proxy.
func proxied() (p *faultproxy.TCP, newLinks func() (gateway, service transports.Link)) {
	GinkgoHelper()
	ln, err := transports.Listen(context.Background(), "tcp://127.0.0.1:0", transports.ListenConfig{})
	Expect(err).NotTo(HaveOccurred())
	p, err = faultproxy.ListenTCP(ln.Addr()[len("tcp://"):], uint64(GinkgoRandomSeed()))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() {
		Expect(p.Close()).To(Succeed())
		Expect(ln.Close()).To(Succeed())
	})
	return p, func() (transports.Link, transports.Link) {
		accepted := make(chan transports.Link, 1)
		go func() {
			defer GinkgoRecover()
			link, err := ln.Accept()
			Expect(err).NotTo(HaveOccurred())
			accepted <- link
		}()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		service, err := transports.Dial(ctx, "tcp://"+p.Addr())
		Expect(err).NotTo(HaveOccurred())
		var gateway transports.Link
		Eventually(accepted).WithTimeout(patience).Should(Receive(&gateway))
		return gateway, service
	}
}

// every sets the interval between heartbeats.
func every(d time.Duration) func(*session.GatewayConfig, *session.ServiceConfig) {
	return func(g *session.GatewayConfig, _ *session.ServiceConfig) { g.Welcome.HeartbeatMS = d.Milliseconds() }
}

const fromService, fromGateway = faultproxy.ToTarget, faultproxy.ToClient // the service has dialled

var _ = Describe("A session over a network with faults", func() {
	// Dead after three silent intervals, each up to a tenth longer, and the one in which the last frame came.
	const interval = 300 * time.Millisecond
	const bound = (spec.DeadAfter+1)*interval*11/10 + 500*time.Millisecond

	It("is dead within three intervals when the service is not heard, whatever the gateway goes on sending", func() {
		p, newLinks := proxied()
		g, _ := pair(newLinks, func(c *session.Incoming) {
			_, _ = io.Copy(io.Discard, c) // returns credit, which is swallowed
			<-c.Context().Done()
		}, every(interval))
		upload := open(g)
		var pump sync.WaitGroup
		pump.Go(func() { _ = sendAll(upload, make([]byte, 64<<20)) })
		Eventually(func() int64 { return p.Forwarded(fromGateway) }).WithTimeout(patience).Should(BeNumerically(">", 1<<20))
		p.Set(fromService, faultproxy.Faults{Blackhole: faultproxy.Swallow})
		silent := time.Now()
		for g.Err() == nil && time.Since(silent) < patience { // traffic the other way must not count as life
			if c, err := tryStart(g, "still sending", patience); err == nil {
				defer c.Close()
			}
			<-time.After(10 * time.Millisecond)
		}
		Expect(g.Err()).To(MatchError(ContainSubstring("nothing received")))
		Expect(time.Since(silent)).To(BeNumerically("<", bound))
		pump.Wait()
		Expect(failure(upload)).To(MatchError(session.ErrClosed))
		upload.Close()
	})

	It("is dead within three intervals when the gateway is not heard, whatever the service goes on sending", func() {
		p, newLinks := proxied()
		causes := make(chan error, 1)
		g, s := pair(newLinks, func(c *session.Incoming) {
			_ = c.Head(&spec.Response{Status: 200, ContentLength: -1})
			for {
				if _, err := c.Write(make([]byte, 1000)); err != nil {
					causes <- err
					return
				}
				<-time.After(time.Millisecond)
			}
		}, every(interval))
		c := start(g, "", 0)
		defer c.Close()
		_, _ = answer(c)
		go func() {
			for {
				f, err := c.Next(context.Background(), patience)
				if err != nil {
					return
				}
				c.Consumed(len(f.Body()))
				f.Release()
			}
		}()
		Eventually(func() int64 { return p.Forwarded(fromService) }).WithTimeout(patience).Should(BeNumerically(">", 10_000))
		p.Set(fromGateway, faultproxy.Faults{Blackhole: faultproxy.Swallow})
		silent := time.Now()
		Eventually(s.Done()).WithTimeout(2 * patience).Should(BeClosed())
		Expect(time.Since(silent)).To(BeNumerically("<", bound))
		Expect(s.Err()).To(MatchError(ContainSubstring("nothing received")))
		Eventually(causes).WithTimeout(patience).Should(Receive(MatchError(session.ErrClosed)))
	})

	It("is not taken for dead while large bodies fill a link of 2 Mbit/s, both ways at once", func() {
		p, newLinks := proxied()
		for _, dir := range []faultproxy.Direction{fromService, fromGateway} {
			p.Set(dir, faultproxy.Faults{Bandwidth: 250_000, Delay: 20 * time.Millisecond})
		}
		g, s := pair(newLinks, func(c *session.Incoming) {
			if inline, whole := c.Inline(); whole && len(inline) > 0 {
				echo(c)
				return
			}
			_ = c.Head(&spec.Response{Status: 200, ContentLength: -1})
			var up sync.WaitGroup
			up.Go(func() { _, _ = io.Copy(io.Discard, c) })
			for {
				if _, err := c.Write(make([]byte, spec.MaxChunk)); err != nil {
					break
				}
			}
			up.Wait()
		}, every(time.Second))
		const streams = 6
		var wg sync.WaitGroup
		var moved atomic.Int64
		calls := make([]*session.Call, streams)
		for i := range calls {
			c := open(g)
			calls[i] = c
			wg.Go(func() { _ = sendAll(c, make([]byte, 16<<20)) })
			wg.Go(func() {
				ctx := context.Background()
				head, err := c.Head(ctx)
				if err != nil {
					return
				}
				head.Release()
				for {
					f, err := c.Next(ctx, time.Minute)
					if err != nil {
						return
					}
					moved.Add(int64(len(f.Body())))
					c.Consumed(len(f.Body()))
					f.Release()
				}
			})
		}
		Consistently(func() error {
			if err := g.Err(); err != nil {
				return err
			}
			return s.Err()
		}).WithTimeout(6500 * time.Millisecond).WithPolling(50 * time.Millisecond).Should(Succeed())
		Expect(moved.Load()).To(BeNumerically(">", 800_000), "the link was used")
		small := start(g, "small", 20*time.Second)
		head, err := small.Head(context.Background())
		Expect(err).NotTo(HaveOccurred())
		Expect(string(head.Body())).To(Equal("small"))
		head.Release()
		small.Close()
		for _, c := range calls {
			c.Cancel(spec.CodeClientGone)
		}
		p.Set(fromService, faultproxy.Faults{})
		p.Set(fromGateway, faultproxy.Faults{})
		wg.Wait()
		for _, c := range calls {
			c.Close()
		}
	})

	DescribeTable("fails every call at once on both ends", func(fault func(*faultproxy.TCP, *session.Gateway)) {
		p, newLinks := proxied()
		entered, causes := make(chan struct{}, 8), make(chan error, 8)
		g, s := pair(newLinks, block(entered, causes))
		calls := make([]*session.Call, 8)
		for i := range calls {
			calls[i] = start(g, "", 0)
			Eventually(entered).WithTimeout(patience).Should(Receive())
		}
		begin := time.Now()
		fault(p, g)
		for _, c := range calls {
			Expect(failure(c)).To(MatchError(session.ErrClosed))
			c.Close()
			Eventually(causes).WithTimeout(patience).Should(Receive(MatchError(session.ErrClosed)))
		}
		Eventually(s.Done()).WithTimeout(patience).Should(BeClosed())
		Expect(time.Since(begin)).To(BeNumerically("<", time.Second))
	},
		Entry("when the connection is reset", func(p *faultproxy.TCP, _ *session.Gateway) { p.Reset() }),
		Entry("when the gateway reads the end", func(p *faultproxy.TCP, _ *session.Gateway) { p.HalfClose(fromService) }),
		Entry("when the service reads the end", func(p *faultproxy.TCP, _ *session.Gateway) { p.HalfClose(fromGateway) }),
		Entry("when the connection is cut off within a frame", func(p *faultproxy.TCP, g *session.Gateway) {
			p.Set(fromGateway, faultproxy.Faults{CutAfter: 7})
			if c, err := tryStart(g, "the last frame", 0); err == nil {
				DeferCleanup(c.Close)
			}
		}),
	)
})
