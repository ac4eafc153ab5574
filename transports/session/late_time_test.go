package session_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/inmemory"
	"github.com/stella-ops/router/transports/session"
)

func TestBothEndsSendAtOnceAndReadLate(t *testing.T) {
	ownCalls(t)
	synctest.Test(t, func(t *testing.T) {
		glink, slink := inmemory.Pipe()
		if err := exchange(50<<20, time.Second, glink, slink); err != nil {
			t.Error(err)
		}
	})
}

// The budget of cancels fills up steadily.
func TestCancelsMayGoOnInTime(t *testing.T) {
	ownCalls(t)
	synctest.Test(t, func(t *testing.T) {
		glink, slink := inmemory.Pipe()
		g, s, err := connect(glink, slink, session.GatewayConfig{Limits: session.Limits{Cancels: 60}}, session.ServiceConfig{Serve: block(
			make(chan struct{}, 100), make(chan error, 100))})
		if err != nil {
			t.Fatal(err)
		}
		cancelled := 0
		for {
			c, err := tryStart(g, "", 0)
			if err != nil {
				break
			}
			c.Close()
			cancelled++
			synctest.Wait()
		}
		if cancelled != 60 {
			t.Errorf("%d calls were cancelled at once, expected 60", cancelled)
		}
		time.Sleep(time.Second)
		for want := range 2 {
			c, err := tryStart(g, "", 0)
			if (err == nil) != (want == 0) {
				t.Errorf("call %d after a second: %v, expected that one is taken on", want, err)
			}
			if err == nil {
				c.Close()
			}
		}
		if g.Err() != nil || s.Err() != nil {
			t.Errorf("gateway %v, service %v", g.Err(), s.Err())
		}
		_ = g.Close(spec.CodeShutdown, "")
		_ = s.Close()
	})
}
