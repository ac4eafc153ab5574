// Package otel makes OpenTelemetry spans of a service's calls, as children of the gateway's, and exports them by OTLP over
// HTTP. A service that does not import it links nothing of OpenTelemetry.
//
//	traces, err := otel.Export(ctx, "billing", "1.4.0")
//	if err != nil {
//		return err
//	}
//	defer traces.Close()
//	svc, err := billing.New(otel.Traces(traces.Provider()))
//
// A program that has a TracerProvider of its own gives that to [Traces], and needs no [Export].
package otel

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	stella "github.com/stella-ops/router/runtime"
)

// scope names what makes the spans (OpenTelemetry, instrumentation scope).
const scope = "github.com/stella-ops/router/runtime"

// flushPatience bounds what [Exporter.Close] waits for the collector.
const flushPatience = 5 * time.Second

// Exporter sends spans to a collector.
type Exporter struct{ provider *sdktrace.TracerProvider }

// Export begins to send spans to a collector: where OTEL_EXPORTER_OTLP_ENDPOINT says, else http://localhost:4318; the other
// variables of the OTLP exporter count, too. service and version are what the collector calls the process. Of a call
// whose trace context says that it is traced, and of those alone, there is a span; calls without one have none: what is
// traced is the gateway's decision. A collector that cannot be reached costs spans, and nothing else.
func Export(ctx context.Context, service, version string) (*Exporter, error) {
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("otel: %w", err)
	}
	return &Exporter{sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter), sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.NeverSample())),
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", service), attribute.String("service.version", version))),
	)}, nil
}

// Provider makes tracers for the program's own spans, too.
func (e *Exporter) Provider() trace.TracerProvider { return e.provider }

// Close sends what is left, for at most 5 s, and ends.
func (e *Exporter) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), flushPatience)
	defer cancel()
	if err := e.provider.Shutdown(ctx); err != nil {
		return fmt.Errorf("otel: %w", err)
	}
	return nil
}

// Traces has a span made of each call and of each job. The context of handlers has it, so that spans which they make
// are its children.
func Traces(p trace.TracerProvider) stella.Part {
	return stella.WithTracer(tracer{p.Tracer(scope)})
}

type tracer struct{ trace.Tracer }

// Start implements [stella.Tracer].
func (t tracer) Start(ctx context.Context, r *stella.Request) (handler context.Context, end func(status int, ok bool)) {
	if parent := r.Trace(); parent.TraceID != [16]byte{} {
		state, _ := trace.ParseTraceState(parent.State) // one that is wrong is none
		ctx = trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: parent.TraceID, SpanID: parent.SpanID, TraceFlags: trace.TraceFlags(parent.Flags), TraceState: state, Remote: true,
		}))
	}
	ctx, span := t.Tracer.Start(ctx, r.Pattern(), trace.WithSpanKind(trace.SpanKindServer))
	if span.IsRecording() {
		span.SetAttributes(attribute.String("http.request.method", r.Method), attribute.String("stella.request_id", r.ID))
	}
	return ctx, func(status int, ok bool) {
		if span.IsRecording() && status != 0 {
			span.SetAttributes(attribute.Int("http.response.status_code", status))
		}
		if !ok {
			span.SetStatus(codes.Error, http.StatusText(status))
		}
		span.End()
	}
}
