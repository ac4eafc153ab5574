package session_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

// whim serves a call in one of the ways in which handlers do.
func whim(c *session.Incoming) {
	body := make([]byte, rand.IntN(100_000))
	switch rand.IntN(8) {
	case 0: // early, and reads nothing
		respond(c, 413, "no")
	case 1:
		_, _ = io.Copy(io.Discard, c)
		respond(c, 200, string(body))
	case 2: // both ways at once
		if c.Head(&spec.Response{Status: 200, ContentLength: -1}) == nil {
			if _, err := c.ReadFrom(c); err == nil {
				_ = c.End()
			}
		}
	case 3: // broken off
		_ = c.Head(&spec.Response{Status: 200, ContentLength: -1})
		_, _ = c.Write(body)
	case 4:
		c.Cancel(spec.CodeStale, "")
	case 5: // no answer
	case 6: // until the caller has enough
		_ = c.Head(&spec.Response{Status: 200, ContentLength: -1})
		for range 50 {
			if _, err := c.Write(body); err != nil {
				return
			}
		}
		_ = c.End()
	case 7: // until the caller leaves
		ctx, cancel := context.WithTimeout(c.Context(), time.Millisecond*time.Duration(rand.IntN(20)))
		defer cancel()
		<-ctx.Done()
		respond(c, 200, "late")
	}
}

// caprice makes a call in one of the ways in which clients do. It fails when the call could not be begun.
func caprice(g *session.Gateway) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(30))*time.Millisecond)
	defer cancel()
	if rand.IntN(3) > 0 {
		ctx = context.Background()
	}
	whole := rand.IntN(2) == 0
	f, meta := request("", -1)
	var flags spec.Flags
	if whole {
		flags = spec.FlagEnd
	}
	c, err := g.Start(f, meta, flags, time.Duration(1+rand.IntN(500))*time.Millisecond)
	if err != nil {
		return err
	}
	defer c.Close()
	var pump sync.WaitGroup
	defer pump.Wait()
	if !whole {
		pump.Go(func() {
			if sendAll(c, make([]byte, rand.IntN(1_000_000))) != nil || rand.IntN(4) == 0 {
				c.Cancel(spec.CodeStalled)
			}
		})
	}
	defer c.Cancel(spec.CodeNoError)
	head, err := c.Head(ctx)
	if err != nil {
		return nil
	}
	head.Release()
	for range rand.IntN(40) {
		f, err := c.Next(ctx, time.Second)
		if err != nil {
			return nil
		}
		c.Consumed(len(f.Body()))
		f.Release()
	}
	return nil
}

var _ = Describe("After any number of calls in any order of events", func() {
	for name, newLinks := range links {
		It("every slot is free again, over "+name, func() {
			const lease = 32
			g, s := pair(newLinks, whim, func(_ *session.GatewayConfig, s *session.ServiceConfig) { s.Hello.Lease = lease })
			var wg sync.WaitGroup
			for range 12 {
				wg.Go(func() {
					for range 40 {
						if err := caprice(g); errors.Is(err, session.ErrRefused) {
							<-time.After(time.Millisecond)
						}
					}
				})
			}
			wg.Wait()
			Expect(g.Err()).NotTo(HaveOccurred())
			Eventually(g.InFlight).WithTimeout(patience).Should(BeZero())
			Eventually(s.InFlight).WithTimeout(patience).Should(BeZero())
			// What the gateway takes for free the service must, too.
			for range 3 {
				calls := make([]*session.Call, lease)
				for i := range calls {
					calls[i] = start(g, "", patience)
				}
				for _, c := range calls {
					f, err := c.Head(context.Background())
					Expect(err).NotTo(Satisfy(haveCode(spec.CodeRefused)))
					f.Release()
					c.Close()
				}
				Eventually(g.InFlight).WithTimeout(patience).Should(BeZero())
			}
		})

		It("a link that dies leaves nobody waiting, over "+name, func() {
			for range 4 {
				var link transports.Link
				g, s := pair(func() (transports.Link, transports.Link) {
					a, b := newLinks()
					link = b
					return a, b
				}, whim)
				var wg sync.WaitGroup
				for range 16 {
					wg.Go(func() {
						for range 50 {
							if err := caprice(g); errors.Is(err, session.ErrClosed) {
								return
							}
						}
					})
				}
				<-time.After(time.Duration(rand.IntN(20)) * time.Millisecond)
				Expect(link.Close()).To(Succeed())
				ended := make(chan struct{})
				go func() {
					wg.Wait()
					close(ended)
				}()
				Eventually(ended).WithTimeout(patience).Should(BeClosed())
				Eventually(s.InFlight).WithTimeout(patience).Should(BeZero())
				Expect(g.InFlight()).To(BeZero())
			}
		})
	}
})
