//go:build soak

package session_test

import (
	"testing"

	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/inmemory"
)

// TestSoakCancelRaces is what the specs of cancelled calls do, a million times.
func TestSoakCancelRaces(t *testing.T) {
	const rounds, calls = 10, 50_000
	for range rounds {
		for _, order := range []transports.Order{transports.OrderLink, transports.OrderNone} {
			chosen := newSeed()
			glink, slink := inmemory.Pipe()
			if _, err := race(calls, chosen, order, glink, slink); err != nil {
				t.Fatalf("%v: again with -seed=%d", err, chosen)
			}
		}
	}
}
