package edge

import (
	"sync/atomic"
	"time"
)

// warnings is how many of the gateway's own failures are warned of in a second. In an overload there are thousands, and each
// line would cost what the gateway has not got.
const warnings = 20

// loud bounds how much is said in a second. It may be used concurrently.
type loud struct {
	second atomic.Int64 // since 1970
	said   atomic.Int64 // in it
	hushed atomic.Int64 // since something was said last
}

// may reports whether one more may be said, and how many were not since the last one.
func (l *loud) may(now time.Time) (hushed int64, ok bool) {
	second := now.Unix()
	if was := l.second.Load(); was != second && l.second.CompareAndSwap(was, second) {
		l.said.Store(0)
	}
	if l.said.Add(1) > warnings {
		l.hushed.Add(1)
		return 0, false
	}
	return l.hushed.Swap(0), true
}
