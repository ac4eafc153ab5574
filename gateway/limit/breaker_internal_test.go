package limit

import (
	"testing"
	"time"

	"github.com/stella-ops/router/gateway/telemetry"
)

func TestTheBreakerOpensAfterFiveFailuresInARowAndTriesOnceASecond(t *testing.T) {
	var b breaker
	now := int64(time.Hour)
	expect := func(want telemetry.Breaker) {
		t.Helper()
		if got := b.state(now); got != want {
			t.Fatalf("it is %s, expected %s", got, want)
		}
	}
	for range 3 { // four failures, and a success that ends the row
		for range tripsAt - 1 {
			b.failed(now)
		}
		b.succeeded()
	}
	expect(telemetry.BreakerClosed)
	for i := range tripsAt {
		if !b.allow(now) {
			t.Fatalf("after %d failures it is open", i)
		}
		if b.failed(now) != (i == tripsAt-1) {
			t.Fatalf("failure %d says wrongly whether it opened", i+1)
		}
	}
	expect(telemetry.BreakerOpen)
	if b.allow(now + int64(restsFor) - 1) {
		t.Fatal("it lets one pass before its rest is over")
	}
	for range 3 {
		now += int64(restsFor)
		expect(telemetry.BreakerHalfOpen)
		if !b.allow(now) || b.allow(now) {
			t.Fatal("expected one to try, and no second one")
		}
		if b.failed(now) {
			t.Fatal("it says that it opened again")
		}
		expect(telemetry.BreakerOpen)
	}
	now += int64(restsFor)
	if !b.allow(now) {
		t.Fatal("nobody tries")
	}
	b.succeeded()
	expect(telemetry.BreakerClosed)
	if b.failed(now) || !b.allow(now) {
		t.Fatal("one failure opens it again")
	}
}
