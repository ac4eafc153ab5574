package session

import (
	"testing"
	"time"
)

// TestTripsCountWhatComesBackInTime holds which PONGs count, and how the average moves.
func TestTripsCountWhatComesBackInTime(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var trips trips
	expect := func(want time.Duration, why string) {
		t.Helper()
		if got := time.Duration(trips.average.Load()); got != want {
			t.Fatalf("%s: average %v, expected %v", why, got, want)
		}
	}
	trips.back(0, at)
	expect(0, "nobody has asked")
	trips.sent(1, at)
	trips.back(2, at.Add(time.Millisecond))
	expect(0, "another PING's")
	trips.back(1, at.Add(8*time.Millisecond))
	expect(8*time.Millisecond, "the first")
	trips.back(1, at.Add(time.Hour))
	expect(8*time.Millisecond, "a second time")
	trips.sent(2, at)
	trips.sent(3, at)
	trips.back(2, at.Add(time.Hour))
	expect(8*time.Millisecond, "late")
	trips.back(3, at.Add(16*time.Millisecond))
	expect(10*time.Millisecond, "a quarter of the way")
	trips.sent(4, at)
	trips.back(4, at.Add(-time.Hour))
	expect(7_500_001*time.Nanosecond, "the clock was set back")
}
