package lint

import (
	"maps"
	"slices"
	"time"

	"github.com/stella-ops/router/generator/directive"
	"github.com/stella-ops/router/generator/scan"
	"github.com/stella-ops/router/spec"
)

var limitRules = []rule{
	entry("STL1201", "TIMEOUT_MISSING", Bounds, info, Strict, "timeout is the default",
		"30 s is right for few endpoints: it is long for a page that somebody looks at, and short for a report.").ofEndpoint(timeoutMissing),
	entry("STL1202", "TIMEOUT_LONG", Bounds, warn, Standard, "call may take longer than a minute",
		"Browsers, proxies and people give up earlier, and begin anew. Answer at once and let a job do the work "+
			"(delivery=queue), or stream what there is.").ofEndpoint(timeoutLong),
	entry("STL1203", "STREAM_WITHOUT_IDLE", Bounds, warn, Standard, "stream does not say how long it may be silent",
		"A stream has no timeout once it has begun: idle is all that ends one whose other side is stuck. 60 s without the key is "+
			"too short for a stream of rare events, and long for a download.").ofEndpoint(idleMissing),
	entry("STL1204", "BODY_LARGE", Bounds, warn, Standard, "large bodies are held whole",
		"A body that is not streamed is kept in memory until the handler returns, once for each call. Stream it, or lower body=.").
		ofEndpoint(bodyLarge),
	entry("STL1205", "STREAM_BODY_DEFAULT", Bounds, warn, Standard, "streamed body is bounded to 1 MiB",
		"Who streams a request's body expects large ones, and the default refuses those above 1 MiB with 413. Say how large.").
		ofEndpoint(streamBody),
	entry("STL1206", "ARRAY_UNBOUNDED", Bounds, info, Strict, "array without a largest size",
		"As many items are decoded as the body's limit lets through, and each may cost a query.").ofMember(arrayUnbounded),
	entry("STL1207", "STRING_UNBOUNDED", Bounds, info, Strict, "text without a largest length",
		"Databases and screens have a limit: callers are told earlier, and better, by maxLength.").ofMember(stringUnbounded),
	entry("STL1208", "TOO_MANY_PARAMS", Bounds, warn, Standard, "too many parameters",
		"Nobody remembers them all. Put what belongs together into a body, or make two endpoints.").ofEndpoint(manyParams),
	entry("STL1209", "SCHEMA_DEPTH", Bounds, warn, Standard, "objects nest deeply",
		"Every level is one more that callers have to check for null. Flatten it, or refer to parts by their ids.").ofEndpoint(deepBody),
	entry("STL1210", "SCHEMA_RECURSIVE", Bounds, warn, Standard, "request nests without end",
		"A body may nest the type within itself as often as it likes: code that follows it down needs a bound.").ofObject(recursive),
	entry("STL1211", "ENDPOINT_COUNT", Bounds, warn, Standard, "service has very many endpoints",
		"Every endpoint has series of its own in every metric that tells endpoints apart. Split the service by what changes together.").
		ofService(manyEndpoints),
	entry("STL1212", "MANIFEST_SIZE", Bounds, warn, Standard, "manifest is too large for HELLO",
		"HELLO carries a manifest up to 256 KiB. The gateway has to ask for a larger one, at every connection that finds it "+
			"unknown, and the service takes calls later.").ofService(manifestSize),
	entry("STL1213", "OVERRIDE_REPEATS", Bounds, info, Standard, "stella.yaml repeats the code",
		"An entry that says what the directive says hides who decides, and holds up the next change of the directive. Remove it.").
		ofEndpoint(overrideRepeats),
}

func spell(ms int64) string { return directive.Spell(time.Duration(ms) * time.Millisecond) }

// isCall reports whether callers wait for the whole answer.
func (e *endpoint) isCall() bool { return e.spec.Queue == nil && e.spec.Stream == spec.StreamNone }

func timeoutMissing(r *reporter, e *endpoint) {
	if e.isCall() && !e.says("timeout") && e.spec.Limits.TimeoutMS == spec.DefaultLimits.TimeoutMS {
		r.at(e.span(), "%s has the default timeout, %s", e.name(), spell(e.spec.Limits.TimeoutMS)).Hint = "add timeout=DURATION"
	}
}

func timeoutLong(r *reporter, e *endpoint) {
	if limit := e.service.limits.Timeout; e.isCall() && e.spec.Limits.Timeout() > limit {
		r.at(e.key("timeout"), "a timeout of %s is longer than %s, and callers wait for the whole answer",
			spell(e.spec.Limits.TimeoutMS), directive.Spell(limit)).Hint = "make it a job by delivery=queue idempotent, or stream"
	}
}

func idleMissing(r *reporter, e *endpoint) {
	if e.spec.Stream != spec.StreamNone && !e.says("idle") && e.spec.Limits.IdleMS == spec.DefaultLimits.IdleMS {
		r.at(e.span(), "%s streams, and does not say how long it may be silent", e.name()).Hint = "add idle=DURATION; it is " +
			spell(e.spec.Limits.IdleMS) + " now"
	}
}

// holdsBody reports whether the request's body is in memory whole. That of a form with files is not.
func (e *endpoint) holdsBody() bool {
	return (e.spec.Stream == spec.StreamNone || e.spec.Stream == spec.StreamResponse) && e.HasBody() && e.spec.Consumes != spec.MediaMultipart
}

func bodyLarge(r *reporter, e *endpoint) {
	if most := e.spec.Limits.MaxBodyBytes; e.holdsBody() && most > e.service.limits.Body {
		r.at(e.key("body"), "bodies of up to %d bytes are held whole", most).Hint = "lower body=, or take *stella.Request with stream=request"
	}
}

func streamBody(r *reporter, e *endpoint) {
	streams := e.spec.Stream == spec.StreamRequest || e.spec.Stream == spec.StreamBoth
	if streams && !e.says("body") && e.spec.Limits.MaxBodyBytes == spec.DefaultLimits.MaxBodyBytes {
		r.at(e.key("stream"), "the request's body is streamed, and must not be larger than 1 MiB").Hint = "add body=SIZE"
	}
}

func arrayUnbounded(r *reporter, m *member) {
	if m.of.request && m.schema.Type == spec.TypeArray && m.schema.MaxItems == nil {
		r.at(m.span(), "array %s has no largest size", m.Name).Hint = "add `maxItems:\"N\"` to the tag"
	}
}

func stringUnbounded(r *reporter, m *member) {
	s := m.schema
	if m.of.request && s.Type == spec.TypeString && s.Format == "" && s.MaxLength == nil && s.Pattern == "" && len(s.Enum) == 0 {
		r.at(m.span(), "text %s has no largest length", m.Name).Hint = "add `maxLength:\"N\"` to the tag"
	}
}

func manyParams(r *reporter, e *endpoint) {
	if n, most := len(e.spec.Params), e.service.limits.Params; n > most {
		r.at(e.span(), "%s has %d parameters, more than %d", e.name(), n, most)
	}
}

func deepBody(r *reporter, e *endpoint) {
	most := e.service.limits.Depth
	for what, schema := range map[string]*spec.Schema{"request": e.spec.Request, "response": e.spec.Response} {
		if depth := e.service.depth(schema, nil); depth > most {
			r.at(e.Places.Func, "objects of the %s nest %d deep, more than %d", what, depth, most)
		}
	}
}

// depth is how deep objects nest; a type within itself counts once.
func (s *service) depth(schema *spec.Schema, above []string) int {
	switch {
	case schema == nil || slices.Contains(above, schema.Ref):
		return 0
	case schema.Ref != "":
		return s.depth(s.manifest.Schemas[schema.Ref], append(slices.Clip(above), schema.Ref))
	case schema.Type == spec.TypeArray:
		return s.depth(schema.Items, above)
	case schema.Type != spec.TypeObject:
		return 0
	}
	deepest := s.depth(schema.Values, above)
	for p := range maps.Values(schema.Properties) {
		deepest = max(deepest, s.depth(p, above))
	}
	return deepest + 1
}

func recursive(r *reporter, o *object) {
	if !o.request {
		return
	}
	if within := map[string]bool{}; o.nests(within) {
		r.at(scan.Span{Pos: o.Pos, Width: len(o.Go.Obj().Name())}, "a request may nest %s in itself without end", o.Go.Obj().Name()).Hint =
			"refer to the inner ones by id, or bound the depth in Validate"
	}
}

func (o *object) nests(seen map[string]bool) bool {
	for _, p := range o.schema.Properties {
		o.service.reach(p, seen)
	}
	return seen[o.name]
}

func manyEndpoints(r *reporter, s *service) {
	if n, most := len(s.endpoints), s.limits.Endpoints; n > most {
		r.at(s.Own.Home.Directive, "service %s has %d endpoints, more than %d", s.Name, n, most)
	}
}

func manifestSize(r *reporter, s *service) {
	encoded, err := s.manifest.Encode()
	if most := s.limits.Manifest; err == nil && len(encoded) > most {
		r.at(s.Own.Home.Directive, "the manifest has %d bytes, more than %d", len(encoded), most).Hint =
			"shorten the documentation, or split the service"
	}
}
