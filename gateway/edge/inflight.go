package edge

import (
	"slices"
	"time"

	"github.com/stella-ops/router/spec"
)

// InFlight is one request that waits for a service, or streams, as operators see it.
type InFlight struct {
	ID       string    `json:"id"` // as in X-Request-Id
	Method   string    `json:"method"`
	Path     string    `json:"path"`
	Endpoint string    `json:"endpoint"`         // its path's pattern
	Legacy   string    `json:"legacy,omitempty"` // the upstream that has it, instead of a service
	Service  string    `json:"service"`
	Version  string    `json:"version"`
	Instance string    `json:"instance"`
	Peer     string    `json:"peer"`
	Subject  string    `json:"subject,omitempty"`
	Since    time.Time `json:"since"`
}

// InFlight lists the requests that services have not answered whole, the oldest first. It looks into the sessions' tables of
// calls: requests pay nothing for it.
func (e *Edge) InFlight() []InFlight {
	list := []InFlight{}
	for _, in := range e.cfg.Registry.Instances() {
		id := in.ID()
		in.Session.Visit(func(about any) {
			if x, ok := about.(*Exchange); ok {
				list = append(list, x.inFlight(id))
			}
		})
	}
	list = e.sent.list(list)
	slices.SortFunc(list, func(a, b InFlight) int { return a.Since.Compare(b.Since) })
	return list
}

// inFlight is called while the call is locked. What it reads does not change as long as there is a call.
func (x *Exchange) inFlight(instance string) InFlight {
	f := InFlight{
		ID: x.request.ID.String(), Method: x.method, Path: x.path, Endpoint: x.found.Path, Service: x.found.Release.Service,
		Version: x.found.Release.Version, Instance: instance, Peer: x.request.Peer, Since: x.start.UTC(),
	}
	if i := x.request.Identity; i != nil {
		f.Subject = i.Subject
	}
	return f
}

// Cancel ends the request with this id, which the client is told by 502, or by an answer that breaks off. It reports whether
// there was such a request.
func (e *Edge) Cancel(id string) bool {
	parsed, err := spec.ParseRequestID(id)
	if err != nil {
		return false
	}
	if e.sent.cancel(parsed) {
		return true
	}
	ended := 0
	for _, in := range e.cfg.Registry.Instances() {
		ended += in.Session.CancelAll(spec.CodeOperator, func(about any) bool {
			x, ok := about.(*Exchange)
			return ok && x.request.ID == parsed
		})
	}
	return ended > 0
}
