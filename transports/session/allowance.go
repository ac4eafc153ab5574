package session

import (
	"sync"
	"sync/atomic"

	"github.com/stella-ops/router/spec"
)

// allowance is what a session may send: the credit that the peer has granted all streams together. Its lock is taken
// after a stream's.
type allowance struct {
	credit atomic.Int64

	mu      sync.Mutex
	waiting map[*stream]struct{} // streams that found none left
}

// take takes up to want bytes of credit for st, which is woken when there is more if it got none.
func (a *allowance) take(st *stream, want int64) int64 {
	if n := a.try(want); n > 0 {
		return n
	}
	a.mu.Lock()
	if a.waiting == nil {
		a.waiting = map[*stream]struct{}{}
	}
	a.waiting[st] = struct{}{}
	a.mu.Unlock()
	n := a.try(want) // some may have come before st was waiting for it
	if n > 0 {
		a.mu.Lock()
		delete(a.waiting, st)
		a.mu.Unlock()
	}
	return n
}

func (a *allowance) try(want int64) int64 {
	for {
		have := a.credit.Load()
		n := min(want, have)
		if n <= 0 {
			return 0
		}
		if a.credit.CompareAndSwap(have, have-n) {
			return n
		}
	}
}

// give adds credit that the peer has granted, or that was taken and not used.
func (a *allowance) give(n int64) error {
	if n == 0 {
		return nil
	}
	if now := a.credit.Add(n); now > spec.MaxSessionWindow {
		return protocolError("CREDIT for the session raises it to %d, the limit is %d", now, int64(spec.MaxSessionWindow))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for st := range a.waiting {
		signal(st.send.wake)
	}
	clear(a.waiting)
	return nil
}
