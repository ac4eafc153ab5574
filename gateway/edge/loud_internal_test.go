package edge

import (
	"testing"
	"time"

	"golang.org/x/time/rate"
)

func TestLittleIsSaidOfMuchAndTheRestIsCounted(t *testing.T) {
	l, now := &loud{pace: rate.NewLimiter(warnings, warnings)}, time.Unix(1000, 0)
	said := 0
	for range 1000 {
		if hushed, ok := l.may(now); ok {
			said++
			if hushed != 0 {
				t.Errorf("%d were hushed before anything was", hushed)
			}
		}
	}
	if said != warnings {
		t.Errorf("%d were said, expected %d", said, warnings)
	}
	hushed, ok := l.may(now.Add(time.Second))
	if !ok || hushed != 1000-warnings {
		t.Errorf("%t, and %d were hushed: expected the next second to say %d", ok, hushed, 1000-warnings)
	}
	if hushed, ok := l.may(now.Add(time.Second)); !ok || hushed != 0 {
		t.Errorf("%t, and %d were hushed, expected that they are said once", ok, hushed)
	}
}
