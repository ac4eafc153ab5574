package stella_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

// successors plays the gateway of a service that renews its session: it notes which session is the newest, which is the
// one that is called, and drains those that are superseded, as a gateway does.
type successors struct {
	*gateway

	current atomic.Pointer[session.Gateway]
	count   atomic.Int64
	wrong   atomic.Int64 // sessions that do not know the secret of the one they replace
	done    chan struct{}
}

func succeed(g *gateway) *successors {
	s := &successors{gateway: g, done: make(chan struct{})}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-s.done:
				return
			case next := <-g.sessions:
				old := s.current.Swap(next)
				s.count.Add(1)
				if old != nil {
					if next.Hello().Supersedes != old.Secret() && old.Err() == nil {
						s.wrong.Add(1)
					}
					old.Drain(spec.CodeNoError, "superseded")
				}
				wg.Go(func() {
					<-next.Done()
					_ = next.Close(spec.CodeNoError, "")
				})
			}
		}
	})
	DeferCleanup(func() {
		close(s.done)
		if last := s.current.Load(); last != nil {
			_ = last.Close(spec.CodeShutdown, "the spec is over")
		}
		wg.Wait()
	})
	return s
}

// call makes a call on the newest session: on its successor if that one was superseded meanwhile.
func (s *successors) call() error {
	for {
		r := request{timeout: patience}
		f, meta := r.frame()
		c, err := s.current.Load().Start(f, meta, spec.FlagEnd, patience)
		if errors.Is(err, session.ErrRefused) {
			continue
		}
		if err != nil {
			return err
		}
		head, err := c.Head(context.Background())
		if err == nil {
			head.Release()
		}
		c.Close()
		var e *session.Error
		if errors.As(err, &e) && e.Code == spec.CodeRefused && !errors.Is(err, session.ErrClosed) {
			continue
		}
		return err
	}
}

var _ = Describe("A session that is renewed", func() {
	It("is replaced at its age without losing a call, by one that supersedes it", func() {
		s := succeed(listen("tcp://127.0.0.1:0"))
		m, e := service(public("GET", "/a", func(_ context.Context, _ *stella.Request, w *stella.Response) error {
			<-time.After(2 * time.Millisecond)
			return w.Empty(200)
		}))
		p := run(m, e, stella.WithGateways(s.url), stella.WithVariable(stella.EnvMaxAge, "100ms"))
		Eventually(s.count.Load).WithTimeout(patience).Should(BeEquivalentTo(1))
		var calls atomic.Int64
		var wg sync.WaitGroup
		failed := make(chan error, 16)
		for range 16 {
			wg.Go(func() {
				for s.count.Load() < 10 {
					if err := s.call(); err != nil {
						failed <- err
						return
					}
					calls.Add(1)
				}
			})
		}
		wg.Wait()
		Expect(failed).NotTo(Receive())
		Expect(calls.Load()).To(BeNumerically(">", 500))
		Expect(s.wrong.Load()).To(BeZero())
		Expect(p.log.String()).To(ContainSubstring("session replaced"))
		Expect(p.log.String()).NotTo(ContainSubstring("cut off"))
	})

	It("stays when its successor is refused, and is replaced when that is let in", func() {
		var let atomic.Bool
		g := listen("inmemory://renewal-refused", func(g *gateway) {
			g.refuse = func(h *spec.Hello) error {
				if h.Supersedes == "" || let.Load() {
					return nil
				}
				return &session.Error{Code: spec.CodeConflict, Reason: "not now"}
			}
		})
		m, e := service(public("GET", "/a", nothing))
		run(m, e, stella.WithGateways(g.url), stella.WithVariable(stella.EnvMaxAge, "100ms"))
		first := g.connected()
		Consistently(first.Done()).WithTimeout(500 * time.Millisecond).ShouldNot(BeClosed())
		Expect(send(first, request{}).Status).To(Equal(200))
		let.Store(true)
		second := g.connected()
		Expect(second.Hello().Supersedes).To(Equal(first.Secret()))
		first.Drain(spec.CodeNoError, "superseded")
		Eventually(first.Done()).WithTimeout(patience).Should(BeClosed())
	})

	It("does not send its manifest again to a gateway that has taken it", func() {
		g := listen("inmemory://renewal-slim", func(g *gateway) { g.known = func(string) bool { return true } })
		m, e := service(public("GET", "/a", nothing))
		run(m, e, stella.WithGateways(g.url))
		first := g.connected()
		Expect(string(first.Manifest())).To(Equal(m.JSON))
		Expect(first.Close(spec.CodeOperator, "")).To(Succeed())
		Expect(g.connected().Manifest()).To(BeNil())
	})

	It("sends its manifest to a gateway that lacks it after all", func() {
		g := listen("inmemory://renewal-resync")
		m, e := service(public("GET", "/a", nothing))
		run(m, e, stella.WithGateways(g.url))
		Expect(g.connected().Close(spec.CodeOperator, "")).To(Succeed())
		Expect(string(g.connected().Manifest())).To(Equal(m.JSON))
	})
})

var _ = Describe("A token", func() {
	const token = "the-token-of-this-spec"

	It("is proved to a gateway that asks, and is in no log", func() {
		g := listen("inmemory://token", func(g *gateway) { g.tokens = func(string) []string { return []string{"something else", token} } })
		m, e := service(public("GET", "/a", nothing))
		p := run(m, e, stella.WithGateways(g.url), stella.WithVariable(stella.EnvToken, token+",the-one-before-that"))
		Expect(send(g.connected(), request{}).Status).To(Equal(200))
		Expect(p.log.String()).NotTo(ContainSubstring(token))
	})

	It("that is wrong is refused, with a reason that says what to set", func() {
		g := listen("inmemory://token-wrong", func(g *gateway) { g.tokens = func(string) []string { return []string{token} } })
		m, e := service(public("GET", "/a", nothing))
		p := run(m, e, stella.WithGateways(g.url))
		Eventually(p.log.String).WithTimeout(patience).Should(ContainSubstring("set STELLA_TOKEN"))
		Expect(g.sessions).NotTo(Receive())
	})

	It("is not shown to be known by who is not the gateway", func() {
		g := listen("inmemory://token-thief")
		m, e := service(public("GET", "/a", nothing))
		p := run(m, e, stella.WithGateways(g.url), stella.WithToken(token))
		Eventually(p.log.String).WithTimeout(patience).Should(ContainSubstring("does not prove that it knows the token"))
	})

	It("that is too short is refused without being named", func() {
		m, e := service(public("GET", "/a", nothing))
		err := stella.New(m, e, stella.WithToken(token+",short")).Run(context.Background())
		Expect(err).To(MatchError(And(ContainSubstring("STELLA_TOKEN: token 2: expected at least 16"), Not(ContainSubstring("short,")), Not(ContainSubstring(token)))))
	})
})

var _ = Describe("Other gateways", func() {
	It("that a gateway names are dialled, over the same scheme alone, and forgotten when nobody names them any more", func() {
		peer, foreign := listen("inmemory://peer"), listen("tcp://127.0.0.1:0")
		first := listen("inmemory://peer-first", func(g *gateway) {
			g.gateways = []string{"inmemory://PEER", foreign.url, "inmemory://peer-first", "carrier://pigeon"}
		})
		m, e := service(public("GET", "/a", nothing))
		p := run(m, e, stella.WithGateways(first.url), stella.WithLease(10))
		a, b := first.connected(), peer.connected()
		Eventually(func() []int { return []int{a.Lease(), b.Lease()} }).WithTimeout(patience).Should(Equal([]int{5, 5}))
		Expect(send(b, request{}).Status).To(Equal(200))
		Eventually(p.log.String).WithTimeout(patience).Should(And(
			ContainSubstring("gateway learned"), MatchRegexp(`not followed.*trust may differ`), MatchRegexp(`not followed.*carrier`)))
		Expect(foreign.sessions).NotTo(Receive())

		// It is dialled again as long as somebody names it.
		Expect(b.Close(spec.CodeOperator, "")).To(Succeed())
		b = peer.connected()

		// When the first names nobody any more, what it named is kept while it serves, and forgotten when it does not.
		first.gateways = nil
		Expect(a.Close(spec.CodeOperator, "")).To(Succeed())
		a = first.connected()
		Expect(send(b, request{}).Status).To(Equal(200))
		Expect(b.Close(spec.CodeOperator, "")).To(Succeed())
		Eventually(p.log.String).WithTimeout(patience).Should(ContainSubstring("gateway forgotten"))
		Eventually(a.Lease).WithTimeout(patience).Should(Equal(10))
	})

	It("share the lease with those that are there, and only with them", func() {
		one, two, three := listen("inmemory://lease-1"), listen("inmemory://lease-2"), listen("inmemory://lease-3")
		m, e := service(public("GET", "/a", nothing))
		run(m, e, stella.WithGateways(one.url, two.url, three.url, "inmemory://lease-nobody"), stella.WithLease(10))
		a, b, c := one.connected(), two.connected(), three.connected()
		all := func() []int { return []int{a.Lease(), b.Lease(), c.Lease()} }
		Eventually(all).WithTimeout(patience).Should(ConsistOf(4, 3, 3))
		two.refuse = func(*spec.Hello) error { return &session.Error{Code: spec.CodeConflict} }
		Expect(b.Close(spec.CodeOperator, "")).To(Succeed())
		Eventually(all).WithTimeout(patience).Should(ConsistOf(5, 0, 5))
	})
})
