package session

import (
	"testing"

	"pgregory.net/rapid"
)

// TestSeenRemembersAWindow holds that every id comes for the first time once, that those of the window are remembered, and
// that older ones count as having come.
func TestSeenRemembersAWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := seen{bits: make([]uint64, seenWindow/64)}
		came, newest := map[uint32]bool{}, uint32(0)
		for range rapid.IntRange(1, 300).Draw(t, "ids") {
			near := min(newest, 200)
			n := newest - near + rapid.Uint32Range(0, 400).Draw(t, "step")
			switch rapid.IntRange(0, 20).Draw(t, "jump") {
			case 0:
				n = min(newest+rapid.Uint32Range(0, 4*seenWindow).Draw(t, "ahead"), 1<<29)
			case 1:
				n = rapid.Uint32Range(0, newest).Draw(t, "any")
			}
			want := !came[n] && newest+1-min(n, newest+1) <= seenWindow
			if got := s.first(2 * n); got != want {
				t.Fatalf("call %d for the first time: %v, expected %v; the newest is %d", n, got, want, newest)
			}
			if want {
				came[n] = true
			}
			newest = max(newest, n)
		}
	})
}
