package edge

import (
	"encoding/hex"
	"log/slog"
	"net/http"
	"time"
)

// logRequest writes the line of a request that is over: at level info where the policy has an access log, else at debug, and as a
// warning if the gateway itself has failed it.
func (e *Edge) logRequest(x *Exchange, took time.Duration) {
	level, hushed := slog.LevelDebug, int64(0)
	if x.policy.accessLog {
		level = slog.LevelInfo
	}
	if x.problem != nil && x.status >= http.StatusInternalServerError {
		var ok bool
		if hushed, ok = e.warns.may(x.start.Add(took)); ok {
			level = slog.LevelWarn
		}
	}
	ctx := x.context()
	if !e.log.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 24)
	attrs = append(attrs,
		slog.String("method", x.method), slog.String("path", x.path), slog.String("protocol", x.protocol()), slog.Int("status", x.status),
		slog.String("outcome", outcomeNames[x.outcome()]), slog.Int64("received", x.received), slog.Int64("bytes", x.written),
		slog.Float64("milliseconds", float64(took.Microseconds())/1000), slog.String("requestId", x.request.ID.String()),
		slog.String("peer", x.request.Peer),
	)
	some := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	if x.request.Trace.TraceID != [16]byte{} {
		some("traceId", hex.EncodeToString(x.request.Trace.TraceID[:]))
	}
	if id := x.header()[headerRequestID]; len(id) > 0 {
		some("clientRequestId", id[0])
	}
	switch {
	case x.away:
		some("legacy", x.shift.server.Name)
		if x.cause != nil {
			attrs = append(attrs, slog.Any("cause", x.cause))
		}
	case x.route != nil:
		some("service", x.route.Release.Service)
		some("version", x.route.Release.Version)
	}
	if x.route != nil {
		some("endpoint", x.route.Method+" "+x.route.Path)
	}
	if x.served != nil {
		some("instance", x.served.ID())
	}
	if i := x.request.Identity; i != nil {
		some("subject", i.Subject)
		some("tenant", i.Tenant)
	}
	if x.problem != nil {
		some("code", x.problem.Code)
		some("detail", x.problem.detail)
	}
	if x.aborted {
		attrs = append(attrs, slog.Bool("aborted", true))
	}
	if hushed > 0 {
		attrs = append(attrs, slog.Int64("hushed", hushed))
	}
	e.log.LogAttrs(ctx, level, "request", attrs...)
}
