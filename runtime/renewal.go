package stella

import (
	"math/rand/v2"
	"time"
)

// renewal says when a session is to be replaced: at its age, spread by a fifth so that a herd does not come back as one,
// and, where it goes by a way that is not the best, when it is time to try a better one.
type renewal struct {
	maxAge  time.Duration
	age     *time.Timer
	better  *time.Timer
	confirm *time.Timer
	aged    time.Time     // when the session is too old
	wait    time.Duration // until a better way is tried next; 0: there is none
	backoff backoff       // of attempts that failed
	next    *served       // opened to replace the session, and not yet known to be called
	waiting bool          // a successor is dialled
	dialled chan *served  // one: it, or nil if there is none to be had
}

func newRenewal(c *connection, s *served) *renewal {
	r := &renewal{maxAge: c.maxAge, age: time.NewTimer(0), better: time.NewTimer(0), confirm: time.NewTimer(0), dialled: make(chan *served, 1)}
	r.renewed(s)
	return r
}

// renewed starts anew for a session that has just been opened.
func (r *renewal) renewed(s *served) {
	r.next = nil
	r.backoff.reset()
	left := spread(r.maxAge)
	r.aged = time.Now().Add(left)
	r.age.Reset(left)
	r.confirm.Stop()
	r.better.Stop()
	if r.wait = 0; s.way > 0 {
		r.wait = betterAfter
		r.better.Reset(spread(r.wait))
	}
}

// due makes it time to replace the session now.
func (r *renewal) due() {
	r.aged = time.Now()
	if r.next == nil && !r.waiting {
		r.age.Reset(0)
	}
}

// dial opens a successor, beside whatever becomes of the session meanwhile.
func (r *renewal) dial(open func() *served) {
	r.age.Stop()
	r.better.Stop()
	r.waiting = true
	go func() { r.dialled <- open() }()
}

// begin waits for the gateway to call the successor, if there is one.
func (r *renewal) begin(next *served) {
	r.waiting = false
	if r.next = next; next == nil {
		r.failed()
		return
	}
	r.confirm.Reset(takeover)
}

// settle waits for a successor that is being dialled, since the session has ended or been superseded meanwhile, and returns
// the one that there is. Dialling has its own time.
func (r *renewal) settle() *served {
	if r.waiting {
		r.begin(<-r.dialled)
	}
	return r.next
}

// failed waits before the next attempt, longer each time.
func (r *renewal) failed() {
	r.next = nil
	r.confirm.Stop()
	if r.wait > 0 { // a better way is looked for, which is no hurry
		r.better.Reset(spread(r.wait))
		r.wait = min(2*r.wait, betterAtMost)
	}
	if left := time.Until(r.aged); left > 0 {
		r.age.Reset(left)
	} else {
		r.age.Reset(max(r.backoff.next(false), backoffBase))
	}
}

// stop waits for a successor that is being dialled, whose context has ended, and returns it if it came all the same.
func (r *renewal) stop() *served {
	r.age.Stop()
	r.better.Stop()
	r.confirm.Stop()
	if r.waiting {
		return <-r.dialled
	}
	return nil
}

// spread is d, give or take a fifth.
func spread(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64())) //nolint:gosec,mnd // spreads load, guards nothing
}
