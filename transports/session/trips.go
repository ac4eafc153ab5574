package session

import (
	"sync/atomic"
	"time"
)

// tripWeight is how much of the average the last round trip is: one in so many.
const tripWeight = 4

// trips measures the round trips from PING to PONG, one at a time: a PING that has not come back when the next one leaves
// does not count.
type trips struct {
	measures bool // by a PING at every interval; set before the session begins
	out      atomic.Pointer[trip]
	average  atomic.Int64 // nanoseconds; 0: none
}

type trip struct {
	aux uint32
	at  time.Time
}

// sent notes that a PING is about to leave.
func (t *trips) sent(aux uint32, now time.Time) { t.out.Store(&trip{aux, now}) }

// back notes a PONG. The reader's alone.
func (t *trips) back(aux uint32, now time.Time) {
	out := t.out.Load()
	if out == nil || out.aux != aux || !t.out.CompareAndSwap(out, nil) {
		return // a PONG that nobody has asked for, or that is late
	}
	took := max(int64(now.Sub(out.at)), 1)
	if old := t.average.Load(); old > 0 {
		took = max(old+(took-old)/tripWeight, 1)
	}
	t.average.Store(took)
}
