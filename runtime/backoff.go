package stella

import (
	"math/rand/v2"
	"time"
)

// Bounds of the wait before a gateway is dialled again.
const (
	backoffBase    = 100 * time.Millisecond
	backoffCap     = 5 * time.Second  // of a gateway that cannot be reached
	backoffRefused = 30 * time.Second // of one that refuses: it takes a person to change that
	lived          = backoffCap       // a session that stood this long counts as a success
)

// backoff spreads the attempts of many services over time: each wait is anything from nothing to a bound that doubles
// with every failure ("full jitter"). The zero value is ready.
type backoff struct{ failures int }

// next is the wait after a further failure.
func (b *backoff) next(refused bool) time.Duration {
	limit := backoffCap
	if refused {
		limit = backoffRefused
	}
	bound := min(backoffBase<<min(b.failures, 16), limit)
	b.failures++
	return rand.N(bound) //nolint:gosec // spreads load, guards nothing
}

// reset forgets the failures.
func (b *backoff) reset() { b.failures = 0 }
