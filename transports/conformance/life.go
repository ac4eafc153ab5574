package conformance

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/faultproxy"
	"github.com/stella-ops/router/transports/session"
)

func draining(b *bench) string {
	g := b.listen()
	// The service drains: what is open ends well, and nothing new begins.
	p := g.session(g.url())
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := p.start(&spec.Request{Query: doSlow}, []byte("rest"), patience)
	b.need(err, "start a call")
	b.eventually("it is served", func() bool { return p.service.InFlight() == 1 })
	drained := make(chan error, 1)
	go func() { drained <- p.service.Drain(ctx) }()
	b.eventually("the gateway begins nothing new", func() bool { return p.gateway.Lease() == 0 })
	if _, err := p.start(&spec.Request{Query: doEcho}, nil, patience); code(err) != asRefused {
		b.Errorf("a call to a service that drains: %v, expected a refusal", err)
	}
	if _, got, err := finish(c); err != nil || string(got) != "rest" {
		b.Fatalf("the answer of a call that was open: %q: %v", got, err)
	}
	c.Close()
	select {
	case err := <-drained:
		b.need(err, "drain")
	case <-ctx.Done():
		b.Fatal("the drain does not end")
	}
	// The gateway drains.
	told := make(chan spec.Code, 1)
	p = g.session(g.url(), func(c *session.ServiceConfig) { c.GoAway = func(why spec.Code, _ string) { told <- why } })
	p.gateway.Drain(spec.CodeShutdown, "the gateway goes")
	select {
	case why := <-told:
		if why != spec.CodeShutdown {
			b.Errorf("told %v, expected SHUTDOWN", why)
		}
	case <-ctx.Done():
		b.Fatal("the service is not told that the gateway drains")
	}
	if _, err := p.start(&spec.Request{Query: doEcho}, nil, patience); code(err) != asRefused {
		b.Errorf("a call by a gateway that drains: %v, expected a refusal", err)
	}
	return ""
}

func lost(b *bench) string {
	for name, leave := range map[string]func(*pair){
		"the service": func(p *pair) { _ = p.service.Close() },
		"the gateway": func(p *pair) { _ = p.gateway.Close(spec.CodeShutdown, "gone") },
	} {
		p := b.connect()
		c, err := p.start(&spec.Request{Query: doWait}, nil, patience)
		b.need(err, "start a call")
		b.eventually("it is served", func() bool { return p.service.InFlight() == 1 })
		began := time.Now()
		leave(p)
		if _, _, err := finish(c); err == nil {
			b.Errorf("%s has gone, and the call is answered", name)
		}
		if took := time.Since(began); took > time.Second {
			b.Errorf("%s has gone, and the call fails after %v", name, took)
		}
		c.Close()
		p.over(name + " has gone")
		b.eventually("handlers return", func() bool { return p.service.InFlight() == 0 })
	}
	return ""
}

func reconnect(b *bench) string {
	g := b.listen()
	nonces := map[string]bool{}
	for i := range 5 {
		p := g.session(g.url())
		nonces[p.gateway.Hello().Nonce] = true
		c, err := p.start(&spec.Request{Query: doWait}, nil, patience) // in flight when the session ends
		b.need(err, "start a call")
		if _, got, err := p.call(&spec.Request{Query: doEcho}, fmt.Append(nil, i)); err != nil || string(got) != strconv.Itoa(i) {
			b.Errorf("session %d: %q: %v", i, got, err)
		}
		b.need(p.service.Close(), "close")
		if _, _, err := finish(c); err == nil {
			b.Error("a call of a session that is over was answered")
		}
		c.Close()
	}
	if len(nonces) != 5 { //nolint:mnd // as many as sessions
		b.Errorf("5 sessions had %d nonces", len(nonces))
	}
	return ""
}

func twoGateways(b *bench) string {
	var pairs []*pair
	for range 2 {
		pairs = append(pairs, b.connect())
	}
	var wg sync.WaitGroup
	for i, p := range pairs {
		for j := range 8 {
			wg.Go(func() {
				body := fmt.Appendf(nil, "%d %d", i, j)
				if _, got, err := p.call(&spec.Request{Query: doEcho}, body); err != nil || string(got) != string(body) {
					b.Errorf("gateway %d: %q: %v", i, got, err)
				}
			})
		}
	}
	wg.Wait()
	b.need(pairs[0].gateway.Close(spec.CodeShutdown, "gone"), "close one")
	if _, _, err := pairs[1].call(&spec.Request{Query: doEcho}, []byte("x")); err != nil {
		b.Errorf("the other gateway after one has gone: %v", err)
	}
	return ""
}

// lossy is how often a datagram is lost, comes twice, or is overtaken.
const lossy = 0.2

// over expects that both ends notice that the session has ended.
func (p *pair) over(why string) {
	p.Helper()
	for i, done := range []<-chan struct{}{p.gateway.Done(), p.service.Done()} {
		select {
		case <-done:
		case <-time.After(patience):
			p.Errorf("%s, and one end does not notice: the %s", why, []string{"gateway's", "service's"}[i])
		}
	}
}

var bothWays = []faultproxy.Direction{faultproxy.ToTarget, faultproxy.ToClient} //nolint:gochecknoglobals // a constant

// sever breaks what is connected, or lets nothing through where there is no connection.
func (*gate) sever(set func(faultproxy.Direction, faultproxy.Faults), reset func()) {
	if reset != nil {
		reset()
		return
	}
	for _, d := range bothWays {
		set(d, faultproxy.Faults{Blackhole: faultproxy.Swallow})
	}
}

func (*gate) mend(set func(faultproxy.Direction, faultproxy.Faults)) {
	for _, d := range bothWays {
		set(d, faultproxy.Faults{})
	}
}

// unproxied says that there is nothing to put faults on.
const unproxied = "There is no network connection between the two ends themselves on which faults could be put."

func rough(b *bench) string {
	g := b.listen()
	raw, set, _ := g.proxied()
	if set == nil {
		return unproxied
	}
	for _, d := range bothWays {
		set(d, faultproxy.Faults{
			Delay: 10 * time.Millisecond, Jitter: 20 * time.Millisecond, Bandwidth: 2 << 20,
			Loss: lossy, Duplicate: lossy, Reorder: lossy, // of datagrams
		})
	}
	p := g.session(raw)
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			body := pattern(100 + i*500)
			if most := p.room(); most > 0 {
				body = body[:min(len(body), most)]
			}
			path := fmt.Sprintf("/rough/%d", i)
			if _, got, err := p.call(&spec.Request{Query: doEcho, Path: path}, body); err != nil || string(got) != string(body) {
				b.Errorf("%s: %d bytes of %d: %v", path, len(got), len(body), err)
			}
			if n := b.times(path); n != 1 {
				b.Errorf("%s was served %d times", path, n)
			}
		})
	}
	wg.Wait()
	return ""
}

func breaking(b *bench) string {
	g := b.listen()
	raw, set, reset := g.proxied()
	if set == nil {
		return unproxied
	}
	const calls = 20
	rounds := 5
	if reset == nil { // it takes until the peer has been silent for long
		rounds = 2
	}
	answered := 0
	for round := range rounds {
		p := g.session(raw)
		var wg sync.WaitGroup
		var mu sync.Mutex
		begun := make(chan struct{}, calls)
		for i := range calls {
			wg.Go(func() {
				path := fmt.Sprintf("/break/%d/%d", round, i)
				query := doEcho
				if i%2 == 0 {
					query = doWait
				}
				begun <- struct{}{}
				_, _, err := p.call(&spec.Request{Query: query, Path: path}, []byte("x"))
				if n := b.times(path); n > 1 || err == nil && n != 1 {
					b.Errorf("%s was served %d times: %v", path, n, err)
				}
				if err != nil && !errors.Is(err, session.ErrClosed) && code(err) != asRefused {
					b.Errorf("%s: %v", path, err)
				}
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					answered++
				}
			})
		}
		for range calls {
			<-begun
		}
		b.eventually("calls are served", func() bool { return p.service.InFlight() > 0 })
		g.sever(set, reset)
		wg.Wait()
		p.over("the connection broke")
		g.mend(set)
	}
	b.Logf("%d of %d calls were answered", answered, rounds*calls)
	return ""
}
