package quic

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

// whim serves a call in one of the ways in which handlers do.
func whim(c *session.Incoming) {
	body := make([]byte, rand.IntN(100_000))
	switch rand.IntN(5) {
	case 0: // early, and reads nothing
		_ = c.Respond(&spec.Response{Status: 413, ContentLength: -1}, nil)
	case 1:
		_, _ = io.Copy(io.Discard, c)
		_ = c.Respond(&spec.Response{Status: 200, ContentLength: -1}, body)
	case 2: // both ways at once
		if c.Head(&spec.Response{Status: 200, ContentLength: -1}) == nil {
			if _, err := c.ReadFrom(c); err == nil {
				_ = c.End()
			}
		}
	case 3: // broken off
		_ = c.Head(&spec.Response{Status: 200, ContentLength: -1})
		_, _ = c.Write(body)
	case 4:
		c.Cancel(spec.CodeStale, "")
	}
}

// caprice makes a call in one of the ways in which clients do.
func caprice(g *session.Gateway) error {
	f := transports.NewFrame(256)
	r := spec.Request{ContentLength: -1}
	f.SetBytes(r.AppendTo(f.Bytes()))
	c, err := g.Start(f, len(f.Payload()), 0, time.Duration(1+rand.IntN(500))*time.Millisecond)
	if errors.Is(err, session.ErrRefused) {
		return nil
	}
	if err != nil {
		return err
	}
	defer c.Close()
	var pump sync.WaitGroup
	defer pump.Wait()
	defer c.Cancel(spec.CodeNoError) // first: the body may be what the service waits for room to echo
	pump.Go(func() {
		for range rand.IntN(20) {
			n, err := c.Acquire(spec.MaxChunk)
			if err != nil {
				return
			}
			f := transports.NewFrame(n)
			f.SetBytes(f.Bytes()[:spec.HeaderSize+n])
			if c.Send(f, n, rand.IntN(15) == 0) != nil {
				return
			}
		}
		c.Cancel(spec.CodeStalled)
	})
	head, err := c.Head(context.Background())
	if err != nil {
		return nil
	}
	head.Release()
	for range rand.IntN(40) {
		f, err := c.Next(context.Background(), time.Second)
		if err != nil {
			return nil
		}
		c.Consumed(len(f.Body()))
		f.Release()
	}
	return nil
}

// However calls end, and whatever happens to datagrams, no end remembers a call.
func TestSessionsLeaveNothingBehind(t *testing.T) {
	for name, links := range map[string]func(testing.TB) (gateway, service *link){"plain": pair, "rough": rough} {
		t.Run(name, func(t *testing.T) {
			glink, slink := links(t)
			opened := make(chan *session.Service, 1)
			go func() {
				defer close(opened)
				s, err := session.Open(context.Background(), slink, session.ServiceConfig{
					Hello:    spec.Hello{Instance: spec.Instance{Service: "test", Version: "1.0.0", ID: "one"}, Lease: 32},
					Manifest: []byte("manifest"), Serve: whim,
				})
				if err != nil {
					t.Error(err)
					return
				}
				opened <- s
			}()
			g, err := session.Accept(context.Background(), glink, session.GatewayConfig{Welcome: spec.Welcome{Node: "test"}})
			if err != nil {
				t.Fatal(err)
			}
			s := <-opened
			if s == nil {
				t.FailNow()
			}
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					for range 10 {
						if err := caprice(g); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			forgotten(t, glink, slink)
			if err := g.Close(spec.CodeShutdown, "the test is over"); err != nil {
				t.Error(err)
			}
			<-s.Done()
			var why *session.Error
			if err := s.Err(); !errors.As(err, &why) || why.Code != spec.CodeShutdown {
				t.Errorf("the service heard %v", err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
