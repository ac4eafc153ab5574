package edge

import (
	"testing"
	"time"
)

// TestResets proves what the budget of resets allows: a burst, then one in a while, and one more for each answer.
func TestResets(t *testing.T) {
	c, now := &client{}, time.Unix(1_000_000, 0)
	for i := range resetBurst {
		if c.reset(now) {
			t.Fatalf("reset %d is over the budget, which is %d", i+1, resetBurst)
		}
	}
	if !c.reset(now) {
		t.Fatal("the budget does not end")
	}
	for range 2 { // that one, too, was counted
		c.answered()
	}
	if c.reset(now) {
		t.Fatal("an answer does not pay for a reset")
	}
	for range 1000 {
		now = now.Add(resetEvery)
		if c.reset(now) {
			t.Fatalf("one reset in %s is over the budget", resetEvery)
		}
	}
	now = now.Add(time.Hour)
	for i := range resetBurst {
		if c.reset(now) {
			t.Fatalf("after an hour, reset %d is over the budget", i+1)
		}
	}
	if !c.reset(now) {
		t.Fatal("an hour saves more than a burst")
	}
}

// TestAnswersSave shows how many resets answers pay for: no connection saves more than it was answered.
func TestAnswersSave(t *testing.T) {
	c, now := &client{}, time.Unix(1_000_000, 0)
	for range 1_000_000 {
		c.answered()
	}
	for i := range resetBurst {
		if c.reset(now) {
			t.Fatalf("reset %d is over the budget", i+1)
		}
	}
	if !c.reset(now) {
		t.Fatal("answers of long ago save more than a burst")
	}
}
