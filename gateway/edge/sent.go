package edge

import (
	"context"
	"sync"

	"github.com/stella-ops/router/spec"
)

// sent are the requests that upstreams of legacy routes have. Others pay nothing for it.
type sent struct {
	mu     sync.Mutex
	ending bool
	open   map[spec.RequestID]sentRequest
}

// sentRequest is one of them, as operators see it, and what ends it.
type sentRequest struct {
	InFlight

	cancel context.CancelCauseFunc
}

// enter notes a request; what it returns forgets it. None begins any more when the gateway is ending.
func (s *sent) enter(x *Exchange, cancel context.CancelCauseFunc) (leave func()) {
	id := x.request.ID
	r := sentRequest{cancel: cancel, InFlight: InFlight{
		ID: id.String(), Method: x.method, Path: x.path, Endpoint: x.route.Path, Legacy: x.shift.server.Name, Peer: x.request.Peer, Since: x.start.UTC(),
	}}
	if i := x.request.Identity; i != nil {
		r.Subject = i.Subject
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending {
		cancel(errEnding)
	}
	if s.open == nil {
		s.open = map[spec.RequestID]sentRequest{}
	}
	s.open[id] = r
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.open, id)
	}
}

// list appends all of them.
func (s *sent) list(all []InFlight) []InFlight {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.open {
		all = append(all, r.InFlight)
	}
	return all
}

// cancel ends one, and reports whether there was one.
func (s *sent) cancel(id spec.RequestID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.open[id]
	if ok {
		r.cancel(errOperator)
	}
	return ok
}

// end ends all of them, and those that come.
func (s *sent) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ending = true
	for _, r := range s.open {
		r.cancel(errEnding)
	}
}

// Sever ends the requests that upstreams of legacy routes have, and the connections to them: the gateway ends.
func (e *Edge) Sever() {
	e.sent.end()
	e.upstreams.Close()
}
