package edge_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stella-ops/router/gateway/edge"
	"github.com/stella-ops/router/gateway/legacy"
	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/gateway/telemetry"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports/inmemory"
	"github.com/stella-ops/router/transports/session"
)

// discard is a ResponseWriter without a connection, so that the benchmark counts the edge and not net/http.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             { clear(d.h) }

// BenchmarkSmallRequest measures a POST of 128 bytes through every stage and an inmemory session to an echo and back.
func BenchmarkSmallRequest(b *testing.B) { benchmarkSmallRequest(b, edge.Policy{}) }

// BenchmarkSmallRequestBesideLegacy measures the same where there are legacy routes that do not match.
func BenchmarkSmallRequestBesideLegacy(b *testing.B) {
	benchmarkSmallRequest(b, edge.Policy{Legacy: legacy.Config{
		Upstreams: []legacy.Upstream{{Name: "old", URL: "http://127.0.0.1:9"}},
		Routes:    []legacy.Route{{Path: "/old/{rest...}", Upstream: "old", Weight: 100, Public: "a benchmark"}},
	}})
}

// BenchmarkSmallRequestShifted measures the same under a legacy route, all of whose traffic goes to the service by the callers' number.
func BenchmarkSmallRequestShifted(b *testing.B) {
	benchmarkSmallRequest(b, edge.Policy{Legacy: legacy.Config{
		Upstreams: []legacy.Upstream{{Name: "old", URL: "http://127.0.0.1:9"}},
		Routes:    []legacy.Route{{Path: "/echo/{id}", Upstream: "old", Weight: 1, Sticky: "header:User-Agent", Public: "a benchmark"}},
	}})
}

func benchmarkSmallRequest(b *testing.B, policy edge.Policy) {
	b.Helper()
	m := &spec.Manifest{Service: "bench", Version: "1.0.0", Endpoints: []spec.Endpoint{{
		Method: "POST", Path: "/echo/{id}", Handler: "Echo", Kind: spec.KindRaw, Status: 200, Stream: spec.StreamNone, Public: "a benchmark",
		Limits: spec.DefaultLimits, Params: []spec.Param{{Name: "id", In: spec.InPath, Schema: &spec.Schema{Type: "string"}}},
	}}}
	manifest, err := m.Encode()
	if err != nil {
		b.Fatal(err)
	}
	near, far := inmemory.Pipe()
	service := make(chan error, 1)
	go func() {
		_, err := session.Open(context.Background(), far, session.ServiceConfig{
			Hello:    spec.Hello{Instance: spec.Instance{Service: "bench", Version: "1.0.0", ID: "one"}, Lease: 1024},
			Manifest: manifest,
			Serve: func(in *session.Incoming) {
				body, _ := in.Inline()
				_ = in.Respond(&spec.Response{
					Status: 200, ContentLength: -1, Header: []spec.Field{{Name: "Content-Type", Value: "application/octet-stream"}},
				}, body)
			},
		})
		service <- err
	}()
	gw, err := session.Accept(context.Background(), near, session.GatewayConfig{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = gw.Close(spec.CodeNoError, "") })
	if err := <-service; err != nil {
		b.Fatal(err)
	}
	offer, err := routing.Prepare(gw.Hello(), manifest)
	if err != nil {
		b.Fatal(err)
	}
	counters, err := telemetry.New(telemetry.Config{Outcomes: edge.Outcomes()})
	if err != nil {
		b.Fatal(err)
	}
	registry := routing.NewRegistry(routing.Config{Telemetry: counters})
	registry.Add(gw, offer, time.Now())
	e := edge.New(edge.Config{Registry: registry, Logger: slog.New(slog.DiscardHandler), Telemetry: counters})

	if err := e.Apply(policy); err != nil {
		b.Fatal(err)
	}
	body := bytes.Repeat([]byte("x"), 128)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		reader := bytes.NewReader(body)
		r := httptest.NewRequest(http.MethodPost, "/echo/42?q=1", nil)
		r.Header.Set("User-Agent", "bench")
		r.Header.Set("Accept", "*/*")
		r.Header.Set("Content-Type", "application/octet-stream")
		r.Body, r.ContentLength = io.NopCloser(reader), int64(len(body))
		w := &discard{h: http.Header{}}
		for pb.Next() {
			reader.Reset(body)
			e.ServeHTTP(w, r)
		}
	})
}
