package udp

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

// sessions opens both ends of a session.
func sessions(tb testing.TB, near, far transports.Link, manifest []byte) (*session.Gateway, *session.Service) {
	tb.Helper()
	serve := func(c *session.Incoming) {
		in, _ := c.Inline()
		_ = c.Respond(&spec.Response{Status: 200, ContentLength: -1}, in)
	}
	opened := make(chan *session.Service, 1)
	go func() {
		s, err := session.Open(tb.Context(), far, session.ServiceConfig{
			Hello:    spec.Hello{Instance: spec.Instance{Service: "test", Version: "1.0.0", ID: "one"}, Lease: 1024},
			Manifest: manifest, Serve: serve,
		})
		if err != nil {
			tb.Error(err)
		}
		opened <- s
	}()
	g, err := session.Accept(tb.Context(), near, session.GatewayConfig{Welcome: spec.Welcome{Node: "test"}})
	if err != nil {
		tb.Fatal(err)
	}
	s := <-opened
	if s == nil {
		tb.FailNow()
	}
	return g, s
}

// exchange makes a call whose answer is its body.
func exchange(ctx context.Context, g *session.Gateway, body []byte) error {
	r := spec.Request{ContentLength: int64(len(body))}
	f := transports.NewFrame(256 + len(body))
	b := r.AppendTo(f.Bytes())
	meta := len(b) - spec.HeaderSize
	f.SetBytes(append(b, body...))
	c, err := g.Start(f, meta, spec.FlagEnd|spec.FlagInlineBody, patience)
	if err != nil {
		return err
	}
	head, err := c.Head(ctx)
	if err != nil {
		return err
	}
	defer head.Release()
	if !bytes.Equal(head.Body(), body) {
		return fmt.Errorf("%d bytes came back, %d were sent", len(head.Body()), len(body))
	}
	return nil
}

func TestASessionOnABadNetwork(t *testing.T) {
	const callers, calls = 8, 30
	near, far, _ := faulty(t, 6, bad)
	g, s := sessions(t, near, far, pattern(1, 100_000))
	if !bytes.Equal(g.Manifest(), pattern(1, 100_000)) {
		t.Errorf("a manifest of %d bytes came", len(g.Manifest()))
	}
	var wg sync.WaitGroup
	for i := range uint32(callers) {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			for n := range uint32(calls) {
				if err := exchange(ctx, g, pattern(n+i, int(100*i+n+1))); err != nil {
					t.Errorf("caller %d, call %d: %v", i, n, err)
					return
				}
			}
		})
	}
	wg.Wait()
	start := time.Now()
	if err := g.Close(spec.CodeShutdown, "done"); err != nil {
		t.Error(err)
	}
	<-near.gone // what was said last has come, unless the time for that is over
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if d := time.Since(start); d > patience/2 {
		t.Errorf("closing took %v", d)
	}
}

// BenchmarkCall is a whole small call, both ends in this process.
func BenchmarkCall(b *testing.B) {
	ln, err := transports.Listen(b.Context(), "udp://127.0.0.1:0", transports.ListenConfig{})
	if err != nil {
		b.Fatal(err)
	}
	far, err := transports.Dial(b.Context(), ln.Addr())
	if err != nil {
		b.Fatal(err)
	}
	near, err := ln.Accept()
	if err != nil {
		b.Fatal(err)
	}
	g, s := sessions(b, near, far, []byte("m"))
	body := make([]byte, 128)
	b.ReportAllocs()
	b.SetParallelism(crowd)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := exchange(b.Context(), g, body); err != nil {
				b.Error(err)
				return
			}
		}
	})
	_ = g.Close(spec.CodeShutdown, "")
	_ = s.Close()
	_ = ln.Close()
}

// crowd is how many callers there are for each processor.
const crowd = 32
