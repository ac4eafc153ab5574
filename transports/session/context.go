package session

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/stella-ops/router/spec"
)

// callContext is the context of one served call. It differs from those of package context in three ways: its
// deadline costs nothing until somebody waits, since the timer starts with the first Done and Err looks at the
// clock; the deadline can be lifted; and a CANCEL that says DEADLINE ends it as DeadlineExceeded, so that handlers
// see the same whether the gateway's timer or this one was first.
//
// Contexts derived from it use AfterFunc, because Done is not the channel of inner, and take their cause from
// inner, which Value reaches.
type callContext struct {
	inner  context.Context //nolint:containedctx // this is a context itself; the inner one carries the cause
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	done  chan struct{}
	err   error
	until time.Time // zero: none, or lifted
	timer *time.Timer
}

func newCallContext(timeout time.Duration) *callContext {
	c := &callContext{done: make(chan struct{})}
	c.inner, c.cancel = context.WithCancelCause(context.Background())
	if timeout > 0 {
		c.until = time.Now().Add(timeout)
	}
	return c
}

// Deadline implements [context.Context].
func (c *callContext) Deadline() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.until, !c.until.IsZero()
}

// Done implements [context.Context].
func (c *callContext) Done() <-chan struct{} {
	c.arm()
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
func (c *callContext) Value(key any) any { return c.inner.Value(key) }

// AfterFunc is what package context looks for to derive contexts without a goroutine each.
func (c *callContext) AfterFunc(f func()) (stop func() bool) {
	c.arm()
	return context.AfterFunc(c.inner, f)
}

// arm starts the deadline's timer.
func (c *callContext) arm() {
	c.mu.Lock()
	defer c.mu.Unlock()
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
	c.stop()
	close(c.done)
	c.cancel(cause)
}
