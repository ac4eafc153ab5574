package edge

import (
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// warnings is how many of the gateway's own failures are warned of in a second. In an overload there are thousands, and each
// line would cost what the gateway has not got.
const warnings = 20

// loud bounds how much is said. It may be used concurrently.
type loud struct {
	pace   *rate.Limiter
	hushed atomic.Int64 // since something was said last
}

// may reports whether one more may be said, and how many were not since the last one.
func (l *loud) may(now time.Time) (hushed int64, ok bool) {
	if !l.pace.AllowN(now, 1) {
		l.hushed.Add(1)
		return 0, false
	}
	return l.hushed.Swap(0), true
}
