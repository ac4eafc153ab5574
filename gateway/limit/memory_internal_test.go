package limit

import (
	"math/big"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// model is GCRA as it is written down: in integers without bounds, for one key, with a past that is kept for ever.
type model struct{ full *big.Int }

func (m *model) take(r rate, at int64) (allowed bool, remaining, reset, wait *big.Int) {
	now, interval := big.NewInt(at), big.NewInt(r.interval)
	room := new(big.Int).Mul(interval, big.NewInt(r.burst))
	begin := now
	if m.full != nil && m.full.Cmp(now) > 0 {
		begin = m.full
	}
	next := new(big.Int).Add(begin, interval)
	earliest := new(big.Int).Sub(next, room)
	if earliest.Cmp(now) > 0 {
		next = begin
		wait = new(big.Int).Sub(earliest, now)
	} else {
		allowed, wait, m.full = true, new(big.Int), next
	}
	reset = new(big.Int).Sub(next, now)
	remaining = new(big.Int).Div(new(big.Int).Sub(room, reset), interval)
	return allowed, remaining, reset, wait
}

func TestMemoryCountsAsTheModelDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rates := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) rate {
			return rate{rapid.Int64Range(int64(minInterval), int64(maxPer)/1000).Draw(t, "interval"), rapid.Int64Range(1, 1000).Draw(t, "burst")}
		}), 1, 4).Draw(t, "rates") // a key has one
		m, models := newMemory(1000), make([]model, len(rates))
		now := rapid.Int64Range(0, int64(maxPer)).Draw(t, "now")
		for range rapid.IntRange(1, 200).Draw(t, "requests") {
			k := rapid.IntRange(0, len(rates)-1).Draw(t, "key")
			now += rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, 2*rates[k].interval)).Draw(t, "passes")
			got := m.take(uint64(k), rates[k], now)
			allowed, remaining, reset, wait := models[k].take(rates[k], now)
			if got.allowed != allowed || got.remaining != remaining.Int64() || got.reset != reset.Int64() || got.wait != wait.Int64() {
				t.Fatalf("got %+v, expected %v, %v, %v, %v", got, allowed, remaining, reset, wait)
			}
			if allowed && rapid.Bool().Draw(t, "give") {
				m.give(uint64(k), rates[k])
				models[k].full.Sub(models[k].full, big.NewInt(rates[k].interval))
			}
		}
	})
}

func TestOverAnyTimeNoMoreThanBurstAndRatePass(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rate{rapid.Int64Range(int64(minInterval), 1e9).Draw(t, "interval"), rapid.Int64Range(1, 50).Draw(t, "burst")}
		m, now := newMemory(1), int64(0)
		var passed []int64
		for range rapid.IntRange(1, 300).Draw(t, "requests") {
			now += rapid.Int64Range(0, r.interval).Draw(t, "passes")
			if m.take(1, r, now).allowed {
				passed = append(passed, now)
			}
		}
		for i := range passed {
			for j := i; j < len(passed); j++ {
				if most := r.burst + (passed[j]-passed[i])/r.interval; int64(j-i+1) > most {
					t.Fatalf("%d requests passed within %d ns, expected %d at most", j-i+1, passed[j]-passed[i], most)
				}
			}
		}
	})
}

func TestMemoryIsBoundedAndForgetsFirstWhoHasTheWholeBurst(t *testing.T) {
	const keys = 64 * 100
	m, r, now := newMemory(keys), rate{1000, 10}, int64(1)
	for k := range uint64(keys) {
		m.take(k, r, now)
	}
	if n := m.len(); n != keys || m.forgotten.Load() != 0 {
		t.Fatalf("%d keys, %d forgotten, expected %d and none", n, m.forgotten.Load(), keys)
	}
	now += 2000 // all have their whole burst again
	for k := range uint64(keys) {
		m.take(k+keys, r, now)
	}
	if n := m.len(); n > keys || m.forgotten.Load() != 0 {
		t.Fatalf("%d keys, %d forgotten, expected %d at most and none", n, m.forgotten.Load(), keys)
	}
	greedy := uint64(7)
	for m.take(greedy, r, now).allowed { // spends its burst
	}
	for k := range uint64(keys) * 3 { // strangers, none of whom has a whole burst
		m.take(k+2*keys, r, now)
	}
	if n := m.len(); n > keys || m.forgotten.Load() == 0 {
		t.Fatalf("%d keys, %d forgotten, expected %d at most and some", n, m.forgotten.Load(), keys)
	}
	if m.take(greedy, r, now).allowed {
		t.Fatal("who has asked most was forgotten before those who asked once")
	}
}

func TestOfManyAtOnceAsManyPassAsTheBurst(t *testing.T) {
	m, r := newMemory(10), rate{int64(maxPer), 100}
	var wg sync.WaitGroup
	passed := make([]int, 8)
	for i := range passed {
		wg.Go(func() {
			for range 100 {
				if m.take(1, r, 1).allowed {
					passed[i]++
				}
			}
		})
	}
	wg.Wait()
	sum := 0
	for _, n := range passed {
		sum += n
	}
	if sum != 100 {
		t.Fatalf("%d passed, expected 100", sum)
	}
}

func BenchmarkMemory(b *testing.B) {
	m, r := newMemory(DefaultKeys), rate{1, 1 << 40}
	for k := range uint64(DefaultKeys) {
		m.take(k*mix, r, 0)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		k := uint64(0)
		for pb.Next() {
			k = (k + 1) % DefaultKeys
			m.take(k*mix, r, 1)
		}
	})
}

// BenchmarkMemoryFull is what strangers cost who come while there is no room: the worst that a caller can do.
func BenchmarkMemoryFull(b *testing.B) {
	m, r := newMemory(DefaultKeys), rate{1 << 40, 10}
	for k := range uint64(DefaultKeys) {
		m.take(k*mix, r, 0)
	}
	b.ReportAllocs()
	k := uint64(DefaultKeys)
	for b.Loop() {
		k++
		m.take(k*mix, r, 1)
	}
}
