package routing

import "sync/atomic"

// Sizes of a [Retries], in requests: ten pay for one retry.
const (
	perRetry  = 10
	retriesAt = 10 * perRetry  // what a release begins with
	retriesTo = 100 * perRetry // and what it saves up at most
)

// Retries is a budget of a release's retries: one for ten requests, and a few to begin with. Without it, a service that
// refuses what it is sent would be sent several times as much. It may be used concurrently, and takes no lock.
type Retries struct{ saved atomic.Int64 }

func newRetries() *Retries {
	r := new(Retries)
	r.saved.Store(retriesAt)
	return r
}

// Earn counts a request.
func (r *Retries) Earn() {
	if r.saved.Load() < retriesTo { // two at once may save one too many
		r.saved.Add(1)
	}
}

// Spend takes one retry from the budget, and reports whether there was one.
func (r *Retries) Spend() bool {
	for {
		saved := r.saved.Load()
		if saved < perRetry {
			return false
		}
		if r.saved.CompareAndSwap(saved, saved-perRetry) {
			return true
		}
	}
}
