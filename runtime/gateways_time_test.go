package stella

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

// These tests run in virtual time.

// way is one way to a gateway, which may be shut.
type way struct {
	url string
	ln  transports.Listener

	mu       sync.Mutex
	accepted []*session.Gateway
}

// sessions are those that were opened, the oldest first.
func (w *way) sessions() []*session.Gateway {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.accepted)
}

func (w *way) open(t *testing.T) {
	t.Helper()
	ln, err := transports.Listen(t.Context(), w.url, transports.ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	w.ln = ln
	go func() {
		for {
			link, err := ln.Accept()
			if err != nil {
				return
			}
			s, err := session.Accept(context.Background(), link, session.GatewayConfig{})
			if err != nil {
				continue
			}
			for _, old := range w.sessions() {
				old.Drain(spec.CodeNoError, "superseded")
			}
			w.mu.Lock()
			w.accepted = append(w.accepted, s)
			w.mu.Unlock()
		}
	}()
}

func (w *way) live() int {
	n := 0
	for _, s := range w.sessions() {
		if s.Err() == nil && s.Lease() > 0 {
			n++
		}
	}
	return n
}

func TestConnectionReturnsToTheBetterWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gomega.NewWithT(t)
		better, worse := &way{url: "inmemory://better"}, &way{url: "inmemory://worse"}
		worse.open(t)
		log := slog.New(slog.DiscardHandler)
		r := &running{
			settings: &settings{instance: spec.Instance{Service: "test", Version: "1.0.0", ID: "x"}, maxAge: 24 * time.Hour, log: log},
			manifest: []byte("m"), dispatcher: newDispatcher(nil, log), cut: t.Context(), leases: &leases{total: 4}, peers: newPeers(nil, nil),
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			newConnection(r, gatewayURLs{better.url, worse.url}, nil).run(ctx)
		}()
		time.Sleep(10 * time.Minute)
		g.Expect(worse.live()).To(gomega.Equal(1))
		g.Expect(worse.sessions()).To(gomega.HaveLen(1), "it stays there as long as there is no better one")
		secret := worse.sessions()[0].Secret()
		better.open(t)
		time.Sleep(betterAtMost*13/10 + takeover) // this gateway never says that the old one has been superseded
		g.Expect(better.live()).To(gomega.Equal(1))
		g.Expect(better.sessions()[0].Hello().Supersedes).To(gomega.Equal(secret))
		g.Expect(better.sessions()[0].Lease()).To(gomega.Equal(4))
		g.Expect(worse.sessions()[0].Err()).To(gomega.HaveOccurred(), "the old one has drained")
		time.Sleep(time.Hour)
		g.Expect(better.sessions()).To(gomega.HaveLen(1))
		cancel()
		<-done
		for _, w := range []*way{better, worse} {
			g.Expect(w.ln.Close()).To(gomega.Succeed())
			for _, s := range w.sessions() {
				g.Expect(s.Close(spec.CodeNoError, "")).To(gomega.Succeed())
			}
		}
	})
}

func TestConnectionMovesToTheNextProcessOfItsGatewayAndBackIfThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gomega.NewWithT(t)
		const url = "inmemory://restarts" // what is dialled reaches one of the processes
		old, broken, next := &way{url: url}, &way{url: url}, &way{url: url}
		old.open(t)
		log := slog.New(slog.DiscardHandler)
		r := &running{
			settings: &settings{instance: spec.Instance{Service: "test", Version: "1.0.0", ID: "x"}, maxAge: 24 * time.Hour, log: log},
			manifest: []byte("m"), dispatcher: newDispatcher(nil, log), cut: t.Context(), leases: &leases{total: 4}, peers: newPeers(nil, nil),
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			newConnection(r, gatewayURLs{url}, nil).run(ctx)
		}()
		time.Sleep(time.Second)
		g.Expect(old.live()).To(gomega.Equal(1))
		pass := func(from, to *way) {
			g.Expect(from.ln.Close()).To(gomega.Succeed())
			to.open(t)
		}

		pass(old, broken)
		first := old.sessions()[0]
		first.Renew(ctx)
		time.Sleep(time.Second)
		g.Expect(broken.live()).To(gomega.Equal(1))
		g.Expect(old.live()).To(gomega.Equal(1), "it is called until the next process serves")
		pass(broken, old)
		g.Expect(broken.sessions()[0].Close(spec.CodeShutdown, "it crashes")).To(gomega.Succeed())
		time.Sleep(10 * time.Second)
		g.Expect(first.Err()).To(gomega.HaveOccurred())
		g.Expect(old.sessions()).To(gomega.HaveLen(2))
		second := old.sessions()[1]
		g.Expect(second.Hello().Supersedes).To(gomega.Equal(first.Secret()))
		g.Expect(old.live()).To(gomega.Equal(1), "nobody has noticed")

		pass(old, next)
		second.Renew(ctx)
		time.Sleep(takeover - 5*time.Second)
		g.Expect(next.live()).To(gomega.Equal(1))
		g.Expect(old.live()).To(gomega.Equal(1))
		second.Drain(spec.CodeShutdown, "the next process serves")
		time.Sleep(time.Second)
		g.Expect(second.Err()).To(gomega.MatchError(session.ErrDrained))
		g.Expect(next.sessions()).To(gomega.HaveLen(1))
		g.Expect(next.live()).To(gomega.Equal(1))
		cancel()
		<-done
		g.Expect(next.ln.Close()).To(gomega.Succeed())
		for _, s := range slices.Concat(old.sessions(), broken.sessions(), next.sessions()) {
			g.Expect(s.Close(spec.CodeNoError, "")).To(gomega.Succeed())
		}
	})
}

func TestConnectionRenewsItselfAtItsAgeGiveOrTakeAFifth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gomega.NewWithT(t)
		w := &way{url: "inmemory://aged"}
		w.open(t)
		log := slog.New(slog.DiscardHandler)
		r := &running{
			settings: &settings{instance: spec.Instance{Service: "test", Version: "1.0.0", ID: "x"}, maxAge: time.Hour, log: log},
			manifest: []byte("m"), dispatcher: newDispatcher(nil, log), cut: t.Context(), leases: &leases{total: 4}, peers: newPeers(nil, nil),
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			newConnection(r, gatewayURLs{w.url}, nil).run(ctx)
		}()
		const days = 3
		time.Sleep(days * 24 * time.Hour)
		g.Expect(len(w.sessions())).To(gomega.BeNumerically("~", days*24, days*24/10))
		g.Expect(w.live()).To(gomega.Equal(1))
		cancel()
		<-done
		g.Expect(w.ln.Close()).To(gomega.Succeed())
		for _, s := range w.sessions() {
			g.Expect(s.Close(spec.CodeNoError, "")).To(gomega.Succeed())
		}
	})
}

func TestLeaseSharesAddUp(t *testing.T) {
	g := gomega.NewWithT(t)
	for total := 1; total < 20; total++ {
		all := &leases{total: total}
		var held []*lease
		told := map[*lease]int{}
		check := func() {
			sum, least, most := 0, total, 0
			for _, x := range held {
				g.Expect(told[x]).To(gomega.Equal(x.calls()))
				sum, least, most = sum+x.calls(), min(least, x.calls()), max(most, x.calls())
			}
			g.Expect(sum).To(gomega.Equal(total))
			g.Expect(most - least).To(gomega.BeNumerically("<=", 1))
		}
		for range 7 {
			x := all.take()
			held = append(held, x)
			x.bind(func(n int) { told[x] = n })
			check()
		}
		for len(held) > 1 {
			held[0].free()
			held = held[1:]
			check()
		}
	}
}
