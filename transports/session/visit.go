package session

import "github.com/stella-ops/router/spec"

// Visit shows what each call that the service has not ended is about, unless nobody has said that. The session is locked
// meanwhile, and so is the call, which therefore is not closed before visit returns: it must be quick, and must not use
// either.
func (g *Gateway) Visit(visit func(about any)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.calls {
		c.mu.Lock()
		if c.about != nil {
			visit(c.about)
		}
		c.mu.Unlock()
	}
}

// CancelAll ends the calls that match reports, with code, and returns how many those were. Match is called as Visit calls
// visit.
func (g *Gateway) CancelAll(code spec.Code, match func(about any) bool) int {
	var ended []*Call
	g.mu.Lock()
	for _, c := range g.calls {
		c.mu.Lock()
		found := c.about != nil && match(c.about)
		c.mu.Unlock()
		if !found {
			continue
		}
		if f := c.cancelFrameOnce(code, nil); f != nil { // from here on it is not used for another call
			g.w.enqueue(f)
			ended = append(ended, c)
		}
	}
	g.mu.Unlock()
	for _, c := range ended {
		c.settle()
	}
	return len(ended)
}
