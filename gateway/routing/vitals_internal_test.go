package routing

import (
	"math"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var zero = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()

// near compares what went through a float32 and a clock of milliseconds.
func near(a, b float64) bool { return math.Abs(a-b) <= 1e-3*max(math.Abs(a), math.Abs(b))+1 }

// TestLatencyRisesAtOnceAndFallsSlowly holds the average against its definition.
func TestLatencyRisesAtOnceAndFallsSlowly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, now, want := new(vitals), zero, 0.0
		if v.latency(now) != 0 {
			t.Fatal("there is a latency that nobody has observed")
		}
		for range rapid.IntRange(1, 50).Draw(t, "calls") {
			passed := time.Duration(rapid.IntRange(1, 20_000).Draw(t, "ms")) * time.Millisecond
			took := time.Duration(rapid.IntRange(1000, int(time.Minute)).Draw(t, "took"))
			good := rapid.Bool().Draw(t, "good")
			now += int64(passed)
			weight := math.Exp(-float64(passed) / float64(decay))
			v.observe(took, good, now)
			switch {
			case want == 0 || float64(took) >= want:
				want = float64(took)
			case good:
				want = want*weight + float64(took)*(1-weight)
			default: // it falls as if there had been no call
				now -= int64(passed)
			}
			if got := v.latency(now); !near(got, want) {
				t.Fatalf("average %v, expected %v", time.Duration(got), time.Duration(want))
			}
			idle := time.Duration(rapid.IntRange(0, 60_000).Draw(t, "idle")) * time.Millisecond
			if got, want := v.latency(now+int64(idle)), want*math.Exp(-float64(idle)/float64(decay)); !near(got, want) {
				t.Fatalf("average %v after %v, expected %v", time.Duration(got), idle, time.Duration(want))
			}
		}
	})
}

// TestWindowCounts holds the window against a list of all calls, to the accuracy of its parts.
func TestWindowCounts(t *testing.T) {
	type call struct {
		at     int64
		failed bool
	}
	rapid.Check(t, func(t *rapid.T) {
		window := time.Duration(rapid.IntRange(100, 60_000).Draw(t, "window")) * time.Millisecond
		v, now := new(vitals), zero
		var calls []call
		for range rapid.IntRange(1, 100).Draw(t, "calls") {
			now += int64(window) * int64(rapid.IntRange(0, 300).Draw(t, "step")) / 1000
			c := call{now, rapid.Bool().Draw(t, "failed")}
			calls = append(calls, c)
			v.count(c.failed, window, now)
			part := int64(window) / windowParts
			var all, failed uint64
			for _, c := range calls {
				if now/part-c.at/part < windowParts {
					all++
					if c.failed {
						failed++
					}
				}
			}
			if a, f := v.counted(window, now); a != all || f != failed {
				t.Fatalf("%d of %d, expected %d of %d", f, a, failed, all)
			}
		}
	})
}

// TestVitalsTakeManyAtOnce counts from many goroutines, for the race detector and for what gets lost.
func TestVitalsTakeManyAtOnce(t *testing.T) {
	const each, goroutines = 1000, 8
	v := new(vitals)
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range each {
				v.observe(time.Duration(i+1)*time.Microsecond, true, zero+int64(i)*int64(time.Millisecond))
				v.count(g%2 == 0, time.Hour, zero)
			}
		})
	}
	wg.Wait()
	if all, failed := v.counted(time.Hour, zero); all != each*goroutines || failed != each*goroutines/2 {
		t.Fatalf("%d of %d", failed, all)
	}
	if got := v.latency(zero + each*int64(time.Millisecond)); got < float64(each/2*time.Microsecond) || got > float64(each*time.Microsecond) {
		t.Fatalf("average %v", time.Duration(got))
	}
}

// TestWindowSaturates holds that a part that is full says so by standing still.
func TestWindowSaturates(t *testing.T) {
	v := new(vitals)
	v.window[0].Store(uint64(partOf(0, partMax, partMax)))
	v.count(true, 10*time.Second, 0)
	if all, failed := v.counted(10*time.Second, 0); all != partMax || failed != partMax {
		t.Fatalf("%d of %d, expected %d", failed, all, partMax)
	}
}
