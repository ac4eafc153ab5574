package gateway

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/session"
)

// DefaultAcceptRate is how many sessions a second a gateway takes on.
const DefaultAcceptRate = 100

// maxQueue is how long a service may wait at the door: it gives up when WELCOME has not come [spec.HelloTimeout] after
// HELLO.
const maxQueue = 1500 * time.Millisecond

// door lets services in at a limited rate, so that a gateway that comes back is not kept from its work by all that come
// back with it. It may be used concurrently.
type door struct{ limiter *rate.Limiter }

func newDoor(perSecond int) *door {
	return &door{rate.NewLimiter(rate.Limit(perSecond), max(perSecond/10, 1))} //nolint:mnd // a tenth of a second's at once
}

// enter waits for a service's turn. One whose turn is too far off is refused at once, and comes back by itself.
func (d *door) enter(ctx context.Context) error {
	turn := d.limiter.Reserve()
	wait := turn.Delay()
	if wait == 0 {
		return nil
	}
	if wait > maxQueue {
		turn.Cancel()
		return &session.Error{
			Code: spec.CodeRefused, Reason: fmt.Sprintf("this gateway takes %v services a second on: come back in a moment", d.limiter.Limit()),
		}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		turn.Cancel()
		return context.Cause(ctx)
	}
}
