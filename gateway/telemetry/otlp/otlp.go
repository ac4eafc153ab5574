// Package otlp exports the gateway's spans to a collector by OTLP over HTTP.
//
// The gateway decides itself what is traced, and keeps of a request what a span needs anyway; a span is only made once its
// request is over. So requests that are not traced cost next to nothing, and OpenTelemetry is nowhere on their way.
package otlp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/stella-ops/router/gateway/edge"
)

const (
	scope = "github.com/stella-ops/router/gateway" // what makes the spans (OpenTelemetry, instrumentation scope)

	tracesPath    = "/v1/traces"    // of a collector (OTLP, section "OTLP/HTTP Request")
	flushPatience = 2 * time.Second // that Close waits for the collector
	sendPatience  = 10 * time.Second
)

// Config is where spans go, and whose they are.
type Config struct {
	Endpoint string            // URL of the collector; without a path, /v1/traces is meant
	Headers  map[string]string // sent along, such as a collector's Authorization
	Node     string            // the gateway's name
	Region   string
	Logger   *slog.Logger // is told when the collector cannot be reached, and when it can again
}

// Check says what is wrong with the configuration.
func (c *Config) Check() error {
	_, err := c.url()
	return err
}

func (c *Config) url() (string, error) {
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("telemetry.traces.endpoint: expected an http or https URL, such as http://127.0.0.1:4318")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = tracesPath
	}
	return u.String(), nil
}

// Exporter sends spans. It may be used concurrently.
type Exporter struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
}

// New begins to export. Nothing is sent before there is a span.
func New(c Config) (*Exporter, error) {
	address, err := c.url()
	if err != nil {
		return nil, err
	}
	sender, err := otlptracehttp.New(context.Background(), otlptracehttp.WithEndpointURL(address), otlptracehttp.WithHeaders(c.Headers),
		otlptracehttp.WithTimeout(sendPatience))
	if err != nil {
		return nil, fmt.Errorf("telemetry.traces: %w", err)
	}
	e := &Exporter{provider: sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(&reporting{SpanExporter: sender, log: c.Logger}), // it has room for 2,048 spans; further ones are left out
		sdktrace.WithSampler(sdktrace.AlwaysSample()), sdktrace.WithIDGenerator(given{}),
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "stella-gateway"), attribute.String("service.instance.id", c.Node), attribute.String("cloud.region", c.Region))),
	)}
	e.tracer = e.provider.Tracer(scope)
	return e, nil
}

// Close sends what is left, for at most 2 s, and ends.
func (e *Exporter) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), flushPatience)
	defer cancel()
	if err := e.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("telemetry.traces: %w", err)
	}
	return nil
}

// Trace takes a span. It does not block.
func (e *Exporter) Trace(s edge.Span) {
	ctx := context.WithValue(context.Background(), idsKey{}, &s)
	if s.Parent != [8]byte{} {
		state, _ := trace.ParseTraceState(s.Trace.State) // one that is wrong is none
		ctx = trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: s.Trace.TraceID, SpanID: s.Parent, TraceFlags: trace.TraceFlags(s.Trace.Flags), TraceState: state, Remote: true,
		}))
	}
	name := s.Endpoint
	if name == "" {
		name = s.Method // the path is the client's, and names have to be few (semantic conventions of HTTP spans, section "Name")
	}
	_, span := e.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(s.At), trace.WithAttributes(attributes(&s)...))
	if s.Status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, s.Detail)
	}
	span.End(trace.WithTimestamp(s.At.Add(s.Took)))
}

// attributes are those of the semantic conventions of HTTP server spans, and Stella's own.
func attributes(s *edge.Span) []attribute.KeyValue {
	list := []attribute.KeyValue{
		attribute.String("http.request.method", s.Method), attribute.String("url.path", short(s.Path)), attribute.String("stella.request_id", s.ID),
		attribute.String("stella.outcome", s.Outcome), attribute.Int("http.response.status_code", s.Status),
		attribute.Int64("http.request.body.size", s.Received), attribute.Int64("http.response.body.size", s.Sent),
	}
	add := func(key, value string) {
		if value != "" {
			list = append(list, attribute.String(key, value))
		}
	}
	if host, port, err := net.SplitHostPort(s.Peer); err == nil {
		add("client.address", host)
		if n, err := strconv.Atoi(port); err == nil {
			list = append(list, attribute.Int("client.port", n))
		}
	}
	add("http.route", s.Route)
	add("stella.service", s.Service)
	add("stella.version", s.Version)
	add("stella.legacy", s.Legacy)
	if len(s.Attempts) > 0 {
		list = append(list, attribute.StringSlice("stella.attempts", s.Attempts))
	}
	if s.Status >= http.StatusInternalServerError {
		add("error.type", s.Outcome)
	}
	return list
}

// maxPath bounds what a span holds of a path, in bytes: clients choose both the path and whether there is a span, and spans
// wait for a collector that cannot be reached.
const maxPath = 1 << 10

// short is a path, or its beginning, without the memory of a longer one.
func short(path string) string { return strings.Clone(path[:min(len(path), maxPath)]) }

// given has spans have the ids that requests were given, which their services know already.
type given struct{}

type idsKey struct{}

// NewIDs implements [sdktrace.IDGenerator].
func (g given) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	s, _ := ctx.Value(idsKey{}).(*edge.Span)
	return s.Trace.TraceID, s.Trace.SpanID
}

// NewSpanID implements [sdktrace.IDGenerator].
func (g given) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	_, id := g.NewIDs(ctx)
	return id
}

// reporting says when the collector cannot be reached, once, and when it can again.
type reporting struct {
	sdktrace.SpanExporter

	log     *slog.Logger
	failing atomic.Bool
}

// ExportSpans implements [sdktrace.SpanExporter]. The error has been said, and there is nobody else to tell.
func (r *reporting) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := r.SpanExporter.ExportSpans(ctx, spans)
	switch was := r.failing.Swap(err != nil); {
	case err != nil && !was:
		r.log.Warn("spans cannot be exported, and are lost", "error", err)
	case err == nil && was:
		r.log.Info("spans are exported again")
	}
	return nil
}
