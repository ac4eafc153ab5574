package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/rabbitmq"
	"github.com/stella-ops/router/transports/session"
)

// fleet is a gateway and services that dial again whenever their session ends, under load.
type fleet struct {
	ctx   context.Context //nolint:containedctx // it is the fleet's life
	wg    sync.WaitGroup
	ln    transports.Listener
	size  int
	calls atomic.Int64

	mu      sync.Mutex
	links   map[*session.Gateway]transports.Link // live, by their session
	wrong   []string                             // what must not happen
	slowest time.Duration                        // call since the last look
}

// launch starts a fleet.
func launch(size, callers int) *fleet {
	GinkgoHelper()
	ctx, cancel := context.WithCancel(GinkgoT().Context())
	f := &fleet{ctx: ctx, ln: listenAt(near()), size: size, links: map[*session.Gateway]transports.Link{}}
	DeferCleanup(func() {
		cancel()
		Expect(f.ln.Close()).To(Succeed())
		f.wg.Wait()
	})
	f.wg.Go(f.accept)
	for i := range size {
		f.wg.Go(func() { f.service(i) })
	}
	for i := range callers {
		f.wg.Go(func() { f.call(i) })
	}
	f.whole()
	return f
}

func (f *fleet) accept() {
	for {
		link, err := f.ln.Accept()
		if err != nil {
			return
		}
		f.wg.Go(func() {
			g, err := session.Accept(f.ctx, link, session.GatewayConfig{Welcome: spec.Welcome{Node: "fleet"}})
			if err != nil {
				return
			}
			f.mu.Lock()
			f.links[g] = link
			f.mu.Unlock()
			select {
			case <-g.Done():
			case <-f.ctx.Done():
				_ = g.Close(spec.CodeShutdown, "over")
			}
			f.mu.Lock()
			delete(f.links, g)
			f.mu.Unlock()
		})
	}
}

func (f *fleet) service(i int) {
	serve := func(in *session.Incoming) {
		body, _ := in.Inline()
		_ = in.Respond(&spec.Response{Status: 200, ContentLength: -1}, body)
	}
	for f.ctx.Err() == nil {
		link, err := transports.Dial(f.ctx, far())
		if err == nil {
			var s *session.Service
			if s, err = session.Open(f.ctx, link, session.ServiceConfig{
				Hello:    spec.Hello{Instance: spec.Instance{Service: "fleet", Version: "1.0.0", ID: fmt.Sprint("i", i)}, Lease: 1024},
				Manifest: []byte("manifest"), Serve: serve,
			}); err == nil {
				select {
				case <-s.Done():
				case <-f.ctx.Done():
				}
				_ = s.Close()
			}
		}
		select {
		case <-f.ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// any is one of the live sessions, or nil.
func (f *fleet) any() *session.Gateway {
	f.mu.Lock()
	defer f.mu.Unlock()
	for g := range f.links {
		return g
	}
	return nil
}

// deadline is that of calls: nothing that fails at once comes near it.
const deadline = 8 * time.Second

func (f *fleet) call(caller int) {
	for n := 0; f.ctx.Err() == nil; n++ {
		g := f.any()
		if g == nil { // a gateway would answer 503
			select {
			case <-f.ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
			continue
		}
		began := time.Now()
		want := fmt.Sprintf("caller %d, call %d", caller, n)
		got, err := ask(g, want)
		took := time.Since(began)
		var e *session.Error
		f.mu.Lock()
		f.slowest = max(f.slowest, took)
		switch {
		case err == nil && got != want:
			f.wrong = append(f.wrong, fmt.Sprintf("%q was answered with %q", want, got))
		case err == nil:
			f.calls.Add(1)
		case errors.As(err, &e) && e.Code == spec.CodeDeadline:
			f.wrong = append(f.wrong, want+" ended at its deadline only")
		}
		f.mu.Unlock()
	}
}

func ask(g *session.Gateway, body string) (string, error) {
	r := spec.Request{ContentLength: int64(len(body))}
	f := transports.NewFrame(256 + len(body))
	b := r.AppendTo(f.Bytes())
	meta := len(b) - spec.HeaderSize
	f.SetBytes(append(b, body...))
	c, err := g.Start(f, meta, spec.FlagEnd|spec.FlagInlineBody, deadline)
	if err != nil {
		return "", err
	}
	defer c.Close()
	head, err := c.Head(context.Background())
	if err != nil {
		return "", err
	}
	defer head.Release()
	return string(head.Body()), nil
}

// whole expects that all services are there within ten seconds, and that calls are answered.
func (f *fleet) whole() time.Duration {
	GinkgoHelper()
	began := time.Now()
	Eventually(func() int {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.links)
	}).WithTimeout(10 * time.Second).WithPolling(10 * time.Millisecond).Should(Equal(f.size))
	took := time.Since(began)
	before := f.calls.Load()
	Eventually(f.calls.Load).WithTimeout(patience).Should(BeNumerically(">", before+100))
	return took
}

// some are links of live sessions.
func (f *fleet) some() []transports.Link {
	f.mu.Lock()
	defer f.mu.Unlock()
	var links []transports.Link
	for _, l := range f.links {
		links = append(links, l)
	}
	return links
}

// slow is how long the slowest call has taken since the last time.
func (f *fleet) slow() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	took := f.slowest
	f.slowest = 0
	return took
}

// gone expects that no session is left within a second.
func (f *fleet) gone() {
	GinkgoHelper()
	Eventually(func() int { return len(f.some()) }).WithTimeout(time.Second).WithPolling(5 * time.Millisecond).Should(BeZero())
}

var _ = Describe("Under load, no call hangs and all services are back within ten seconds", func() {
	// within bounds a call that fails: the alarm is the longest, with half a second until it counts as lasting.
	const within = time.Second

	proves := func(f *fleet, fault string, back time.Duration) {
		GinkgoHelper()
		slowest := f.slow()
		AddReportEntry(fault, fmt.Sprintf("slowest call %v, all services back after %v", slowest, back))
		Expect(slowest).To(BeNumerically("<", within), fault)
		f.mu.Lock()
		defer f.mu.Unlock()
		Expect(f.wrong).To(BeEmpty(), fault)
	}

	It("when connections are closed, queues deleted, memory is short, and the server is restarted", func() {
		f := launch(8, 16)
		f.slow()

		server.Ctl("close_all_connections", "maintenance")
		proves(f, "connections closed", f.whole())

		for _, l := range f.some()[:4] {
			Expect(rabbitmq.Drop(l)).To(Succeed())
		}
		proves(f, "queues deleted", f.whole())

		server.Ctl("set_vm_memory_high_watermark", "0")
		DeferCleanup(func() { server.Ctl("set_vm_memory_high_watermark", "0.4") })
		f.gone()
		server.Ctl("set_vm_memory_high_watermark", "0.4")
		proves(f, "memory alarm", f.whole())

		server.Kill()
		f.gone()
		server.Start()
		proves(f, "restart", f.whole())
	})
})
