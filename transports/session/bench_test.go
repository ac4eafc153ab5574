package session_test

import (
	"context"
	"testing"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

func benchmarkPair(b *testing.B, url string, serve func(*session.Incoming)) *session.Gateway {
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
		s, err := session.Open(b.Context(), link, session.ServiceConfig{Hello: h, Manifest: []byte("m"), Serve: serve})
		if err != nil {
			b.Error(err)
		}
		opened <- s
	}()
	link, err := ln.Accept()
	if err != nil {
		b.Fatal(err)
	}
	g, err := session.Accept(b.Context(), link, session.GatewayConfig{Welcome: spec.Welcome{Node: "bench"}})
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
