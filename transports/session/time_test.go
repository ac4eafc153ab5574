package session_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/inmemory"
	"github.com/stella-ops/router/transports/session"
)

// These tests run in virtual time: minutes of silence take no time, and no machine is too slow for them.

func openPair(t *testing.T, serve func(*session.Incoming)) (*session.Gateway, *session.Service, transports.Link) {
	t.Helper()
	glink, slink := inmemory.Pipe()
	opened := make(chan *session.Service, 1)
	go func() {
		s, err := session.Open(t.Context(), slink, session.ServiceConfig{Hello: hello(), Manifest: []byte("m"), Serve: serve})
		if err != nil {
			t.Error(err)
		}
		opened <- s
	}()
	g, err := session.Accept(t.Context(), glink, session.GatewayConfig{Welcome: spec.Welcome{Node: "test"}})
	if err != nil {
		t.Fatal(err)
	}
	return g, <-opened, glink
}

func TestIdleSessionLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, s, _ := openPair(t, echo)
		time.Sleep(time.Hour)
		if g.Err() != nil || s.Err() != nil {
			t.Errorf("after an idle hour: gateway %v, service %v", g.Err(), s.Err())
		}
		_ = g.Close(spec.CodeShutdown, "")
		_ = s.Close()
	})
}

// mute is a link whose writes vanish: a network that drops one direction while the other goes on.
type mute struct {
	transports.Link
	dropping chan struct{} // closed when it begins
}

func (m mute) WriteFrames(batch []*transports.Frame) error {
	select {
	case <-m.dropping:
		for _, f := range batch {
			f.Release()
		}
		return nil
	default:
		return m.Link.WriteFrames(batch)
	}
}

func TestSilentPeerIsDeadThoughThisSideSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		glink, slink := inmemory.Pipe()
		dropping := make(chan struct{})
		opened := make(chan *session.Service, 1)
		go func() {
			s, err := session.Open(t.Context(), mute{slink, dropping}, session.ServiceConfig{
				Hello: hello(), Manifest: []byte("m"), Serve: func(c *session.Incoming) { <-c.Context().Done() },
			})
			if err != nil {
				t.Error(err)
			}
			opened <- s
		}()
		g, err := session.Accept(t.Context(), glink, session.GatewayConfig{Welcome: spec.Welcome{Node: "test"}})
		if err != nil {
			t.Fatal(err)
		}
		s := <-opened
		c, err := tryStart(g, "", 0)
		if err != nil {
			t.Fatal(err)
		}
		close(dropping)
		begin := time.Now()
		for g.Err() == nil && time.Since(begin) < time.Minute { // its own sends must not count as life
			g.Drain(spec.CodeShutdown, "")
			time.Sleep(time.Second)
		}
		if took := time.Since(begin); took > (spec.DeadAfter+1)*spec.HeartbeatInterval*11/10+time.Second {
			t.Errorf("dead after %v, expected %d intervals of %v", took, spec.DeadAfter, spec.HeartbeatInterval)
		}
		if _, err := c.Head(context.Background()); !errors.Is(err, session.ErrClosed) {
			t.Errorf("open call: %v, expected ErrClosed", err)
		}
		c.Close()
		_ = g.Close(spec.CodeShutdown, "")
		_ = s.Close()
	})
}

func TestUnconfirmedCancelHoldsItsSlotFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		g, s, _ := openPair(t, func(*session.Incoming) { <-release }) // a handler that ignores its context
		c, err := tryStart(g, "", 0)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		time.Sleep(spec.CancelHold - time.Millisecond)
		if n := g.InFlight(); n != 1 {
			t.Errorf("%d slots held just before the end of the hold, expected 1", n)
		}
		time.Sleep(2 * time.Millisecond)
		if n := g.InFlight(); n != 0 {
			t.Errorf("%d slots held after the hold, expected none", n)
		}
		close(release)
		_ = s.Close()
		_ = g.Close(spec.CodeShutdown, "")
	})
}

func TestHelloMustComeInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		glink, slink := inmemory.Pipe()
		begin := time.Now()
		_, err := session.Accept(t.Context(), glink, session.GatewayConfig{Welcome: spec.Welcome{Node: "test"}})
		if err == nil || !strings.Contains(err.Error(), "did not say") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(begin); took != spec.HelloTimeout {
			t.Errorf("gave up after %v, expected %v", took, spec.HelloTimeout)
		}
		_ = slink.Close()
	})
}

func TestStalledLinkDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		glink, link := inmemory.Pipe() // nobody reads link after the opening
		b, err := spec.Canonical(spec.Hello{
			Instance: hello().Instance, Nonce: nonce, StreamWindow: 1, SessionWindow: 1, Lease: 1 << 20, ManifestDigest: spec.Digest(nil),
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := link.WriteFrames([]*transports.Frame{frame(spec.TypeHello, spec.FlagInlineBody, 0, 0, b, nil)}); err != nil {
			t.Fatal(err)
		}
		g, err := session.Accept(t.Context(), glink, session.GatewayConfig{Welcome: spec.Welcome{Node: "test", HeartbeatMS: 600_000}})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		for g.Err() == nil {
			if time.Since(begin) > time.Minute {
				t.Fatal("a link that takes nothing is still alive")
			}
			if c, err := tryStart(g, "x", 0); err == nil {
				go func() {
					_, _ = c.Head(context.Background())
					c.Close()
				}()
			}
			time.Sleep(10 * time.Millisecond)
		}
		if !errors.Is(g.Err(), session.ErrClosed) {
			t.Errorf("ended with %v", g.Err())
		}
		_ = g.Close(spec.CodeShutdown, "")
		_ = link.Close()
	})
}

func TestWaitingBeforeHeadCountsToTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, s, _ := openPair(t, func(in *session.Incoming) {
			if in.Request().Query == "late" {
				time.Sleep(3 * time.Second)
				_ = in.Respond(&spec.Response{Status: 200, ContentLength: -1}, nil)
				return
			}
			<-in.Context().Done()
		})
		for _, query := range []string{"late", "never"} {
			began := time.Now()
			f := transports.NewFrame(64)
			b := (&spec.Request{ContentLength: -1, Query: query}).AppendTo(f.Bytes())
			f.SetBytes(b)
			c, err := g.Start(f, len(b)-spec.HeaderSize, spec.FlagEnd, 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if c.Wait(t.Context(), 2*time.Second) || time.Since(began) != 2*time.Second {
				t.Errorf("%s: there is an answer, or it took %v", query, time.Since(began))
			}
			late := query == "late"
			if c.Wait(t.Context(), 2*time.Second) != late {
				t.Errorf("%s: an answer within 4 s: %v", query, !late)
			}
			if !c.Wait(t.Context(), time.Minute) {
				t.Errorf("%s: waiting goes on beyond the timeout", query)
			}
			head, err := c.Head(t.Context())
			var e *session.Error
			switch took := time.Since(began); {
			case late && (err != nil || took != 3*time.Second):
				t.Errorf("answered after %v: %v", took, err)
			case late:
				head.Release()
			case !errors.As(err, &e) || e.Code != spec.CodeDeadline || took != 5*time.Second:
				t.Errorf("%v after %v, expected DEADLINE after 5s", err, took)
			}
			c.Close()
		}
		_ = g.Close(spec.CodeNoError, "")
		_ = s.Close()
	})
}
