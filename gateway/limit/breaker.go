package limit

import (
	"sync/atomic"
	"time"

	"github.com/stella-ops/router/gateway/telemetry"
)

const (
	tripsAt  = 5           // failures in a row
	restsFor = time.Second // until one request tries again
)

// breaker spares requests the wait for a server that does not answer. It opens after failures in a row; then one request
// each second tries again, and the first that succeeds closes it. Times are nanoseconds of the limiter's clock.
type breaker struct {
	failures atomic.Int32
	until    atomic.Int64 // 0: closed; else when one may try
}

// allow reports whether the server may be asked.
func (b *breaker) allow(now int64) bool {
	until := b.until.Load()
	return until == 0 || now >= until && b.until.CompareAndSwap(until, now+int64(restsFor))
}

func (b *breaker) succeeded() {
	if b.failures.Load() != 0 || b.until.Load() != 0 {
		b.failures.Store(0)
		b.until.Store(0)
	}
}

// failed reports whether this failure opened it.
func (b *breaker) failed(now int64) bool {
	if b.failures.Add(1) < tripsAt {
		return false
	}
	return b.until.Swap(max(now+int64(restsFor), 1)) == 0
}

func (b *breaker) state(now int64) telemetry.Breaker {
	switch until := b.until.Load(); {
	case until == 0:
		return telemetry.BreakerClosed
	case now < until:
		return telemetry.BreakerOpen
	}
	return telemetry.BreakerHalfOpen
}
