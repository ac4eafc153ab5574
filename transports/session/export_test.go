package session

import "github.com/stella-ops/router/transports"

// SkipTo makes id the stream id of the next call, as after a thousand million of them.
func (g *Gateway) SkipTo(id uint32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.next = id
}

// Books are what an end's accounts say.
type Books struct {
	Window    int64 // that the peer was told of
	Credit    int64 // what the peer may still send, or will be told that it may
	Owed      int64 // consumed or dropped, and granted with the next batch
	Due       int64 // of Credit: what the peer has yet to be told
	Held      int64
	Grown     int64
	Allowance int64 // what this end may still send
}

func (c *core) books(window int64) Books {
	a := &c.account
	a.mu.Lock()
	defer a.mu.Unlock()
	return Books{
		Window: window, Credit: a.credit, Owed: a.owed, Due: a.due.Load(), Held: a.held, Grown: a.grown,
		Allowance: c.allowance.credit.Load(),
	}
}

// Books tells what the gateway's accounts say.
func (g *Gateway) Books() Books { return g.books(g.cfg.Welcome.SessionWindow) }

// Books tells what the service's accounts say.
func (s *Service) Books() Books { return s.books(s.cfg.Hello.SessionWindow) }

// Spare makes n bytes what the service may still send before it overruns the session.
func (g *Gateway) Spare(n int64) { g.account.spare(n) }

// Spare makes n bytes what the gateway may still send before it overruns the session.
func (s *Service) Spare(n int64) { s.account.spare(n) }

func (a *account) spare(n int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.credit = n
}

// Slots is how much of the lease the service takes for taken.
func (s *Service) Slots() int64 { return s.slots.Load() }

// Events is how many answers or failures wait for Head.
func (c *Call) Events() int { return len(c.head) }

// SendForTest queues a frame as the session's own.
func (s *Service) SendForTest(f *transports.Frame) { s.w.enqueue(f) }

// Signable returns a link that can sign, if link is one through a broker.
func Signable(link transports.Link) transports.Link { return signable(link) }

// Sign begins signing on it.
func Sign(link transports.Link, out, in []byte) { sign(link, out, in) }
