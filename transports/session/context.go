package session

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/stella-ops/router/spec"
)

// callContext is the context of one served call. It differs from those of package context in three ways: it costs
// nothing until somebody waits or derives from it, since its channel, its timer and its inner context are made by the
// first who asks for them, and Err looks at the clock; the deadline can be lifted; and a CANCEL that says DEADLINE ends
// it as DeadlineExceeded, so that handlers see the same whether the gateway's timer or this one was first.
//
// Contexts derived from it use AfterFunc, because Done is not the channel of inner, and take their cause from
// inner, which Value reaches.
type callContext struct {
	mu     sync.Mutex
	inner  context.Context         //nolint:containedctx // this is a context itself; the inner one carries the cause
	cancel context.CancelCauseFunc // of inner
	done   chan struct{}
	err    error
	cause  error
	until  time.Time // zero: none, or lifted
	timer  *time.Timer
}

// init sets the deadline. The zero value has none.
func (c *callContext) init(timeout time.Duration) {
	if timeout > 0 {
		c.until = time.Now().Add(timeout)
	}
}

// carrier is the inner context.
func (c *callContext) carrier() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inner == nil {
		c.inner, c.cancel = context.WithCancelCause(context.Background())
		if c.err != nil {
			c.cancel(c.cause)
		}
	}
	return c.inner
}

// Deadline implements [context.Context].
func (c *callContext) Deadline() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.until, !c.until.IsZero()
}

// Done implements [context.Context].
func (c *callContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.arm()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.err != nil {
			close(c.done)
		}
	}
	return c.done
}

// Err implements [context.Context].
func (c *callContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil && !c.until.IsZero() && !time.Now().Before(c.until) {
		c.endLocked(errLate)
	}
	return c.err
}

// Value implements [context.Context].
func (c *callContext) Value(key any) any { return c.carrier().Value(key) }

// AfterFunc is what package context looks for to derive contexts without a goroutine each.
func (c *callContext) AfterFunc(f func()) (stop func() bool) {
	inner := c.carrier()
	c.mu.Lock()
	c.arm()
	c.mu.Unlock()
	return context.AfterFunc(inner, f)
}

// arm starts the deadline's timer. The caller holds mu.
func (c *callContext) arm() {
	if c.timer == nil && c.err == nil && !c.until.IsZero() {
		c.timer = time.AfterFunc(time.Until(c.until), c.expire)
	}
}

// lift removes the deadline.
func (c *callContext) lift() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until = time.Time{}
	c.stop()
}

// stop stops the timer. The caller holds mu.
func (c *callContext) stop() {
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
}

// expire ends the context at its deadline, unless that has been lifted while the timer went off.
func (c *callContext) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.until.IsZero() {
		c.endLocked(errLate)
	}
}

var errLate = &Error{Code: spec.CodeDeadline, Reason: "the call's time is up"}

// end ends the context; the first cause counts.
func (c *callContext) end(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endLocked(cause)
}

func (c *callContext) endLocked(cause error) {
	if c.err != nil {
		return
	}
	c.err = context.Canceled
	if e, ok := errors.AsType[*Error](cause); ok && e.Code == spec.CodeDeadline {
		c.err = context.DeadlineExceeded
	}
	c.cause = cause
	c.stop()
	if c.done != nil {
		close(c.done)
	}
	if c.inner != nil {
		c.cancel(cause)
	}
}
