package orders_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/stella-ops/router/benchmarks/orders"
	stella "github.com/stella-ops/router/runtime"
	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
	"github.com/stella-ops/router/transports/session"

	_ "github.com/stella-ops/router/transports/inmemory"
)

// body is an order of about a kibibyte.
func body() []byte {
	in := orders.Place{Currency: "EUR", Note: strings.Repeat("leave it at the door, ", 4), Due: time.Date(2026, 12, 24, 18, 0, 0, 0, time.UTC)}
	for i := range 8 {
		in.Lines = append(in.Lines, orders.Line{
			SKU: fmt.Sprintf("SKU-%05d", i), Text: "a thing of \"some\" length, and more", Quantity: i + 1, Cents: int64(100*i + 99), Gift: i%2 == 0,
		})
	}
	var members map[string]any // the parameters are no part of it
	text, err := json.Marshal(in)
	if err != nil {
		panic(err)
	}
	if err := json.Unmarshal(text, &members); err != nil {
		panic(err)
	}
	for _, name := range []string{"Customer", "DryRun", "Key"} {
		delete(members, name)
	}
	text, err = json.Marshal(members)
	if err != nil {
		panic(err)
	}
	return text
}

// The request's parameters.
const (
	customer = "acme"
	key      = "b3c1f0de-0001"
)

// BenchmarkDispatch compares binding, checking, calling and encoding of one endpoint: stella's through the in-memory
// session with both of its ends, huma's from its net/http handler on, without a server.
func BenchmarkDispatch(b *testing.B) {
	text := body()
	b.Logf("the body has %d bytes", len(text))
	b.Run("stella", func(b *testing.B) { benchmarkStella(b, text) })
	b.Run("huma", func(b *testing.B) { benchmarkHuma(b, text) })
}

// sample is what both have to answer.
func sample(text []byte) []byte {
	var in orders.Place
	if err := json.Unmarshal(text, &in); err != nil {
		panic(err)
	}
	in.Customer, in.Key, in.DryRun = customer, key, true
	answer, err := json.Marshal(orders.Serve(&in))
	if err != nil {
		panic(err)
	}
	return answer
}

func benchmarkStella(b *testing.B, text []byte) {
	b.Helper()
	ln, err := transports.Listen(b.Context(), "inmemory://orders", transports.ListenConfig{})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() {
		done <- stella.New(orders.Manifest, orders.Endpoints(orders.Handlers{}),
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
	meta := spec.Request{
		ContentLength: int64(len(text)), ID: spec.RequestID{1}, Authority: "example.org", Params: []string{customer}, Query: "dryRun=true",
		Header: []spec.Field{{Name: "Content-Type", Value: "application/json"}, {Name: "Idempotency-Key", Value: key}},
	}
	call := func() []byte {
		f := transports.NewFrame(2048)
		head := meta.AppendTo(f.Bytes())
		n := len(head) - spec.HeaderSize
		f.SetBytes(append(head, text...))
		c, err := g.Start(f, n, spec.FlagEnd|spec.FlagInlineBody, 30*time.Second)
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		f, err = c.Head(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		defer f.Release()
		return bytes.Clone(f.Body())
	}
	if got, want := bytes.TrimSpace(call()), sample(text); !bytes.Equal(got, want) {
		b.Fatalf("answered %s, want %s", got, want)
	}
	b.ReportAllocs()
	for b.Loop() {
		call()
	}
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	_ = g.Close(spec.CodeShutdown, "")
	if err := ln.Close(); err != nil {
		b.Fatal(err)
	}
}

// humaPlace is the same input as huma takes it.
type humaPlace struct {
	Customer string `path:"customer"`
	DryRun   bool   `query:"dryRun"`
	Key      string `header:"Idempotency-Key"`
	Body     struct {
		Currency string     `json:"currency" enum:"CHF,EUR,USD"`
		Note     string     `json:"note,omitempty" maxLength:"200"`
		Due      time.Time  `json:"due"`
		Lines    []humaLine `json:"lines" maxItems:"100" minItems:"1"`
	}
}

type humaLine struct {
	SKU      string `json:"sku" maxLength:"20" minLength:"1"`
	Text     string `json:"text,omitempty" maxLength:"100"`
	Quantity int    `json:"quantity" maximum:"1000" minimum:"1"`
	Cents    int64  `json:"cents" minimum:"0"`
	Gift     bool   `json:"gift,omitempty"`
}

type humaPlaced struct{ Body *orders.Order }

// sink is a response writer that keeps the last answer.
type sink struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(p []byte) (int, error) { return s.body.Write(p) }

func benchmarkHuma(b *testing.B, text []byte) {
	b.Helper()
	mux := http.NewServeMux()
	config := huma.DefaultConfig("orders", "1.0.0")
	config.CreateHooks = nil // no $schema links in the answer: stella makes none
	config.SchemasPath = ""
	api := humago.New(mux, config)
	huma.Register(api, huma.Operation{
		OperationID: "place-order", Method: http.MethodPost, Path: "/customers/{customer}/orders", DefaultStatus: http.StatusCreated,
	}, func(_ context.Context, in *humaPlace) (*humaPlaced, error) {
		p := orders.Place{Customer: in.Customer, DryRun: in.DryRun, Key: in.Key, Currency: in.Body.Currency, Note: in.Body.Note, Due: in.Body.Due}
		p.Lines = make([]orders.Line, len(in.Body.Lines))
		for i, l := range in.Body.Lines {
			p.Lines[i] = orders.Line(l)
		}
		return &humaPlaced{orders.Serve(&p)}, nil
	})
	reader := bytes.NewReader(text)
	req, err := http.NewRequest(http.MethodPost, "http://example.org/customers/"+customer+"/orders?dryRun=true", io.NopCloser(reader))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	req.ContentLength = int64(len(text))
	w := &sink{header: http.Header{}}
	call := func() {
		reader.Reset(text)
		clear(w.header)
		w.body.Reset()
		w.status = 0
		mux.ServeHTTP(w, req)
		if w.status != http.StatusCreated {
			b.Fatalf("answered %d %s", w.status, w.body.String())
		}
	}
	call()
	if got, want := bytes.TrimSpace(w.body.Bytes()), sample(text); !bytes.Equal(got, want) {
		b.Fatalf("answered %s, want %s", got, want)
	}
	b.ReportAllocs()
	for b.Loop() {
		call()
	}
}
