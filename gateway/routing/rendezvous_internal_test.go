package routing

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// sticky is an endpoint with weighted versions 0.0.0, 1.0.0 and so on; those without weight are not among its choices.
func sticky(weights []int) *Endpoint {
	e := &Endpoint{weighted: true}
	for i, w := range weights {
		version := fmt.Sprintf("%d.0.0", i)
		if w > 0 {
			r := &Route{Release: &Release{Version: version}}
			e.choices = append(e.choices, choice{r, w, hashOf(version)})
		}
	}
	return e
}

// TestRendezvousMovesOnlyWhatHasTo holds that a version whose weight changes takes keys from the others, or gives some to
// them, and that no key moves between those; and that each has as many keys as its weight says.
func TestRendezvousMovesOnlyWhatHasTo(t *testing.T) {
	const keys = 2000
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(0, 100), 2, 6).Draw(t, "weights")
		weights[0]++ // some have to have one
		changed := rapid.IntRange(1, len(weights)-1).Draw(t, "changed")
		before := sticky(weights)
		old := weights[changed]
		weights[changed] = rapid.IntRange(0, 200).Draw(t, "to")
		after := sticky(weights)
		prefix, version := rapid.StringN(0, 20, -1).Draw(t, "prefix"), fmt.Sprintf("%d.0.0", changed)
		counts := map[string]int{}
		for i := range keys {
			key := fmt.Sprintf("%s%d", prefix, i)
			from, to := before.Default(key).Release.Version, after.Default(key).Release.Version
			counts[to]++
			if from == to {
				continue
			}
			if grown := weights[changed] > old; grown && to != version || !grown && from != version {
				t.Fatalf("weight of %s from %d to %d: %q moves from %s to %s", version, old, weights[changed], key, from, to)
			}
		}
		sum := 0
		for _, w := range weights {
			sum += w
		}
		for i, w := range weights {
			p := float64(w) / float64(sum)
			if off := math.Abs(float64(counts[fmt.Sprintf("%d.0.0", i)]) - keys*p); off > 6*math.Sqrt(keys*p*(1-p))+1 {
				t.Fatalf("version %d has %d of %d keys, its weight is %d of %d", i, counts[fmt.Sprintf("%d.0.0", i)], keys, w, sum)
			}
		}
	})
}
