package routing_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
)

// TestWatchEjectsAtOnceAndReadmitsOnTime holds, in virtual time, that whoever watches does not wait for its next look at
// health when calls fail, nor when an ejection ends.
func TestWatchEjectsAtOnceAndReadmitsOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		policy := routing.Policy{Ejection: routing.Ejection{BaseTime: 7 * time.Second}}
		r := routing.NewRegistry(routing.Config{Heartbeat: time.Hour, Default: policy, Logger: slog.New(slog.DiscardHandler)})
		manifest := offered(t, "a", "1.0.0", "/a")
		var all []*routing.Instance
		for i := range 2 {
			g := open(t, spec.Instance{Service: "a", Version: "1.0.0", ID: fmt.Sprintf("i%d", i)}, 1, manifest)
			offer, err := routing.Prepare(g.Hello(), manifest)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, r.Add(g, offer, time.Now()))
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.Watch(ctx)
		}()
		ejected := func(want bool) {
			t.Helper()
			synctest.Wait()
			if got := r.Services()[0].Instances[0].Ejected != ""; got != want {
				t.Fatalf("ejected: %v, expected %v", got, want)
			}
		}
		for range 5 {
			r.Snapshot().Match("GET", "/a", nil).Endpoint.Default("").Release.Observe(all[0], routing.Failed, time.Millisecond, time.Now())
		}
		ejected(true)
		time.Sleep(7*time.Second - time.Millisecond)
		ejected(true)
		time.Sleep(time.Millisecond)
		ejected(false)
		cancel()
		<-done
	})
}
