package session

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestLiftedDeadlineIsNoDeadline(t *testing.T) {
	c := newCallContext(time.Nanosecond)
	for !time.Now().After(c.until) {
		continue
	}
	c.lift()
	c.expire() // the timer had gone off already, and waited for the lock
	if err := c.Err(); err != nil {
		t.Errorf("ended with %v, though its deadline was lifted before it ended", err)
	}
}

func TestFirstCauseCounts(t *testing.T) {
	c := newCallContext(time.Nanosecond)
	c.end(context.Canceled)
	c.expire()
	if err := c.Err(); !errors.Is(err, context.Canceled) {
		t.Errorf("Err is %v, expected that of the first end", err)
	}
}
