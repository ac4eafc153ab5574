package session_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/inmemory"
	"github.com/stella-ops/router/transports/session"
)

// far is a link on which what is written takes a while to arrive.
type far struct {
	transports.Link

	delay time.Duration
}

func (f far) WriteFrames(batch []*transports.Frame) error {
	time.Sleep(f.delay)
	return f.Link.WriteFrames(batch)
}

// TestPingIsTheWayThereAndBack holds that a gateway that is to measure does so while the service is not silent.
func TestPingIsTheWayThereAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, away := inmemory.Pipe()
		opened := make(chan *session.Service, 1)
		go func() {
			s, err := session.Open(context.Background(), far{away, 30 * time.Millisecond}, session.ServiceConfig{
				Hello: hello(), Manifest: []byte("m"), Serve: echo,
			})
			if err != nil {
				t.Error(err)
			}
			opened <- s
		}()
		g, err := session.Accept(context.Background(), far{near, 10 * time.Millisecond}, session.GatewayConfig{Ping: true})
		if err != nil {
			t.Fatal(err)
		}
		s := <-opened
		if got := g.Ping(); got != 0 {
			t.Errorf("ping %v before the first PING", got)
		}
		time.Sleep(time.Minute)
		if got := g.Ping(); got < 40*time.Millisecond || got > 80*time.Millisecond {
			t.Errorf("ping %v, expected 40ms and what frames wait for each other", got)
		}
		_ = g.Close(spec.CodeNoError, "")
		_ = s.Close()
	})
}
