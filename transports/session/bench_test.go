package session_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

func benchmarkPair(b *testing.B, url string, serve func(*session.Incoming)) *session.Gateway {
	b.Helper()
	return benchmarkPairOn(b, url, func(l transports.Link) transports.Link { return l }, serve)
}

// benchmarkPairOn does so on links that are changed by wrap.
func benchmarkPairOn(
	b *testing.B, url string, wrap func(transports.Link) transports.Link, serve func(*session.Incoming),
) *session.Gateway {
	b.Helper()
	ln, err := transports.Listen(b.Context(), url, transports.ListenConfig{})
	if err != nil {
		b.Fatal(err)
	}
	opened := make(chan *session.Service, 1)
	go func() {
		link, err := transports.Dial(b.Context(), ln.Addr())
		if err != nil {
			b.Error(err)
			close(opened)
			return
		}
		h := hello()
		h.Lease = 1024
		s, err := session.Open(b.Context(), wrap(link), session.ServiceConfig{Hello: h, Manifest: []byte("m"), Serve: serve})
		if err != nil {
			b.Error(err)
		}
		opened <- s
	}()
	link, err := ln.Accept()
	if err != nil {
		b.Fatal(err)
	}
	g, err := session.Accept(b.Context(), wrap(link), session.GatewayConfig{Welcome: spec.Welcome{Node: "bench"}})
	if err != nil {
		b.Fatal(err)
	}
	s := <-opened
	b.Cleanup(func() {
		_ = g.Close(spec.CodeShutdown, "")
		_ = s.Close()
		_ = ln.Close()
	})
	return g
}

// BenchmarkCall is a whole small call, both ends in this process.
func BenchmarkCall(b *testing.B) {
	for _, url := range []string{"inmemory://bench", "tcp://127.0.0.1:0"} {
		b.Run(url[:3], func(b *testing.B) {
			body := string(make([]byte, 128))
			g := benchmarkPair(b, url, func(c *session.Incoming) {
				in, _ := c.Inline()
				_ = c.Respond(&spec.Response{Status: 200, ContentLength: -1}, in)
			})
			b.ReportAllocs()
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					c, err := tryStart(g, body, patience)
					if err != nil {
						b.Error(err)
						return
					}
					f, err := c.Head(context.Background())
					if err != nil {
						b.Error(err)
						return
					}
					f.Release()
					c.Close()
				}
			})
		})
	}
}

// BenchmarkStream moves a body through a session to its reader.
func BenchmarkStream(b *testing.B) {
	for _, url := range []string{"inmemory://bench", "tcp://127.0.0.1:0"} {
		b.Run(url[:3], func(b *testing.B) {
			chunk := make([]byte, spec.MaxChunk)
			g := benchmarkPair(b, url, func(c *session.Incoming) {
				_ = c.Head(&spec.Response{Status: 200, ContentLength: -1})
				for {
					if _, err := c.Write(chunk); err != nil {
						return
					}
				}
			})
			c, err := tryStart(g, "", 0)
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			f, err := c.Head(context.Background())
			if err != nil {
				b.Fatal(err)
			}
			f.Release()
			b.SetBytes(spec.MaxChunk)
			b.ReportAllocs()
			for left := b.N * spec.MaxChunk; left > 0; {
				f, err := c.Next(context.Background(), patience)
				if err != nil {
					b.Fatal(err)
				}
				left -= len(f.Body())
				c.Consumed(len(f.Body()))
				f.Release()
			}
		})
	}
}

// single is a link that writes each frame by itself.
type single struct{ transports.Link }

func (s single) WriteFrames(batch []*transports.Frame) error {
	for i := range batch {
		if err := s.Link.WriteFrames(batch[i : i+1]); err != nil {
			for _, f := range batch[i+1:] {
				f.Release()
			}
			return err
		}
	}
	return nil
}

// BenchmarkWriting compares small calls over TCP, both ends in this process, with the same where nothing is gathered
// into a write: both ends write frame by frame.
func BenchmarkWriting(b *testing.B) {
	variants := map[string]func(transports.Link) transports.Link{
		"batched": func(l transports.Link) transports.Link { return l },
		"single":  func(l transports.Link) transports.Link { return single{l} },
	}
	body := string(make([]byte, 128))
	for _, callers := range []int{1, 64} {
		for _, name := range []string{"batched", "single"} {
			b.Run(fmt.Sprintf("%s/%d", name, callers), func(b *testing.B) {
				g := benchmarkPairOn(b, "tcp://127.0.0.1:0", variants[name], func(c *session.Incoming) {
					in, _ := c.Inline()
					_ = c.Respond(&spec.Response{Status: 200, ContentLength: -1}, in)
				})
				b.ReportAllocs()
				b.ResetTimer()
				var left atomic.Int64
				left.Store(int64(b.N))
				var wg sync.WaitGroup
				for range callers {
					wg.Go(func() {
						for left.Add(-1) >= 0 {
							c, err := tryStart(g, body, patience)
							if err != nil {
								b.Error(err)
								return
							}
							f, err := c.Head(context.Background())
							if err != nil {
								b.Error(err)
								return
							}
							f.Release()
							c.Close()
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
			})
		}
	}
}
