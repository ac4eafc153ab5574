package stella

import (
	"slices"
	"sync"
)

// leases divide the calls that a service takes on at once over its connections that have a session. The shares add up to
// the whole, and differ by one at most; with more connections than calls, some get none. It may be used concurrently.
type leases struct {
	total int

	mu   sync.Mutex
	held []*lease // in the order in which they were taken
}

// lease is one connection's share.
type lease struct {
	all *leases

	// Guarded by all.mu.
	share int
	tell  func(int) // of the session that is served; nil until there is one
}

// take takes a share, which the others make room for.
func (l *leases) take() *lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := &lease{all: l}
	l.held = append(l.held, x)
	l.divide()
	return x
}

// calls is the share now.
func (x *lease) calls() int {
	x.all.mu.Lock()
	defer x.all.mu.Unlock()
	return x.share
}

// bind names who is told when the share changes, and tells what it is now.
func (x *lease) bind(tell func(calls int)) {
	x.all.mu.Lock()
	defer x.all.mu.Unlock()
	x.tell = tell
	tell(x.share)
}

// free gives the share to the others.
func (x *lease) free() {
	x.all.mu.Lock()
	defer x.all.mu.Unlock()
	x.all.held = slices.DeleteFunc(x.all.held, func(other *lease) bool { return other == x })
	x.all.divide()
}

// divide computes the shares, and tells those whose share has changed. The caller holds mu.
func (l *leases) divide() {
	for i, x := range l.held {
		share := l.total / len(l.held)
		if i < l.total%len(l.held) {
			share++
		}
		if share == x.share {
			continue
		}
		if x.share = share; x.tell != nil {
			x.tell(share)
		}
	}
}
