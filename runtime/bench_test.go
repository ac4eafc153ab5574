package stella_test

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"
)

// BenchmarkDispatch measures small unary calls over the in-memory link, both ends included.
func BenchmarkDispatch(b *testing.B) {
	type answer struct {
		Name string `json:"name"`
		N    int    `json:"n"`
	}
	for name, dispatch := range map[string]stella.Dispatch{
		"empty": func(_ context.Context, _ *stella.Request, w *stella.Response) error {
			return w.Empty(http.StatusNoContent)
		},
		"echo": func(_ context.Context, r *stella.Request, w *stella.Response) error {
			body, err := r.ReadBody()
			if err != nil {
				return err
			}
			_, err = w.Write(body)
			return err
		},
		"json": func(_ context.Context, _ *stella.Request, w *stella.Response) error {
			return w.JSON(http.StatusOK, &answer{"name", 1})
		},
	} {
		b.Run(name, func(b *testing.B) { benchmarkDispatch(b, dispatch) })
	}
}

func benchmarkDispatch(b *testing.B, dispatch stella.Dispatch) {
	b.Helper()
	m := spec.Manifest{Service: "bench", Version: "1.0.0", Endpoints: []spec.Endpoint{public("POST", "/echo", nil).Endpoint}}
	manifest, err := m.Encode()
	if err != nil {
		b.Fatal(err)
	}
	ln, err := transports.Listen(b.Context(), "inmemory://bench", transports.ListenConfig{})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() {
		done <- stella.New(stella.Manifest{JSON: string(manifest)},
			stella.Endpoints{Package: "bench", List: []stella.Endpoint{{Method: "POST", Path: "/echo", Dispatch: dispatch}}},
			stella.WithGateways(ln.Addr()), stella.WithLogger(slog.New(slog.DiscardHandler))).Run(ctx)
	}()
	link, err := ln.Accept()
	if err != nil {
		b.Fatal(err)
	}
	g, err := session.Accept(b.Context(), link, session.GatewayConfig{})
	if err != nil {
		b.Fatal(err)
	}
	meta := spec.Request{ContentLength: 2, ID: requestID, Authority: "example.org", Header: []spec.Field{{Name: "Content-Type", Value: "application/json"}}}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := callOnce(g, &meta); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.StopTimer()
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	if err := g.Close(spec.CodeShutdown, ""); err != nil {
		b.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		b.Fatal(err)
	}
}

func callOnce(g *session.Gateway, meta *spec.Request) error {
	f := transports.NewFrame(256)
	head := meta.AppendTo(f.Bytes())
	n := len(head) - spec.HeaderSize
	f.SetBytes(append(head, "{}"...))
	c, err := g.Start(f, n, spec.FlagEnd|spec.FlagInlineBody, 30*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	f, err = c.Head(context.Background())
	if err != nil {
		return err
	}
	f.Release()
	return nil
}
