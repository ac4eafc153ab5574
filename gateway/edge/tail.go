package edge

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Record is one request that is over, as operators see it.
type Record struct {
	At       time.Time     `json:"at"` // when it came
	ID       string        `json:"id"` // as in X-Request-Id
	Method   string        `json:"method"`
	Path     string        `json:"path"`
	Status   int           `json:"status"` // 499: the client left before it was answered
	Outcome  string        `json:"outcome"`
	Took     time.Duration `json:"tookNanoseconds"`
	Received int64         `json:"received"` // bytes of the request's body
	Sent     int64         `json:"sent"`     // bytes of the answer's body
	Peer     string        `json:"peer"`
	Service  string        `json:"service,omitempty"`
	Version  string        `json:"version,omitempty"`
	Instance string        `json:"instance,omitempty"`
	Legacy   string        `json:"legacy,omitempty"` // the upstream that it went to, instead of a service
	Detail   string        `json:"detail,omitempty"` // of the gateway's own answers
}

// tailRoom is how many records wait for a listener that is slow. Further ones are left out, and counted.
const tailRoom = 256

// Tail is somebody who listens to requests that are over.
type Tail struct {
	Records <-chan Record
	records chan Record
	missed  atomic.Int64
}

// Missed is how many records were left out since the last time, because the listener was slow.
func (t *Tail) Missed() int64 { return t.missed.Swap(0) }

// tails are those who listen. Requests look at one pointer, and pay nothing while nobody does.
type tails struct {
	current atomic.Pointer[[]*Tail]
	mu      sync.Mutex // held by who changes it
}

// Listen has the requests that end from now on told, until stop is called.
func (e *Edge) Listen() (t *Tail, stop func()) {
	t = &Tail{records: make(chan Record, tailRoom)}
	t.Records = t.records
	e.tails.change(func(list []*Tail) []*Tail { return append(list, t) })
	return t, func() {
		e.tails.change(func(list []*Tail) []*Tail {
			return slices.DeleteFunc(list, func(other *Tail) bool { return other == t })
		})
	}
}

func (t *tails) change(do func([]*Tail) []*Tail) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []*Tail
	if now := t.current.Load(); now != nil {
		list = slices.Clone(*now)
	}
	if list = do(list); len(list) == 0 {
		t.current.Store(nil)
		return
	}
	t.current.Store(&list)
}

// report tells those who listen that a request is over.
func (e *Edge) report(x *Exchange, took time.Duration) {
	list := e.tails.current.Load()
	if list == nil {
		return
	}
	r := x.record(took)
	for _, t := range *list {
		select {
		case t.records <- r:
		default:
			t.missed.Add(1)
		}
	}
}

// record is what became of the request.
func (x *Exchange) record(took time.Duration) Record {
	r := Record{
		At: x.start.UTC(), ID: x.request.ID.String(), Method: x.method, Path: x.path, Status: x.status, Outcome: outcomeNames[x.outcome()],
		Took: took, Received: x.received, Sent: x.written, Peer: x.request.Peer,
	}
	if x.away {
		r.Legacy = x.shift.server.Name
	} else if x.route != nil {
		r.Service, r.Version = x.route.Release.Service, x.route.Release.Version
	}
	if x.tries > 0 {
		r.Instance = x.tried[x.tries-1].ID()
	}
	if x.problem != nil {
		r.Detail = x.problem.detail
	}
	return r
}

// outcomeNames are the names of outcomes, by their numbers.
var outcomeNames = func() []string {
	all := Outcomes()
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].Name
	}
	return names
}()
