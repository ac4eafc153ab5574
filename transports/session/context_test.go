package session

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestLiftedDeadlineIsNoDeadline(t *testing.T) {
	var c callContext
	c.init(time.Nanosecond)
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
	var c callContext
	c.init(time.Nanosecond)
	c.end(context.Canceled)
	c.expire()
	if err := c.Err(); !errors.Is(err, context.Canceled) {
		t.Errorf("Err is %v, expected that of the first end", err)
	}
}

type key struct{}

// Whoever asks first for the channel, or for the cause, may do so before and after the end.
func TestEndReachesWhoAsksBeforeAndAfterIt(t *testing.T) {
	why := errors.New("why")
	for _, early := range []bool{true, false} {
		var c callContext
		c.init(time.Hour)
		ended := make(chan struct{})
		if early {
			_ = c.Done()
			_ = c.Value(key{})
			context.AfterFunc(&c, func() { close(ended) })
		}
		c.end(why)
		if !early {
			context.AfterFunc(&c, func() { close(ended) })
		}
		<-c.Done()
		<-ended
		child, cancel := context.WithCancel(&c)
		<-child.Done()
		if got := context.Cause(child); !errors.Is(got, why) {
			t.Errorf("asked early: %v: the cause is %v", early, got)
		}
		cancel()
	}
}
