package openapi

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/stella-ops/router/spec"
)

// operation writes one endpoint. path is how the document writes its path.
func (w *writer) operation(e *spec.Endpoint, id string, path template) *operation {
	op := &operation{
		OperationID: id, Summary: summary(e.Doc), Description: e.Doc, Tags: e.Tags, Deprecated: e.Deprecated != "" || e.Sunset != "",
		Security: []map[string][]string{}, Claims: e.Claims, Public: e.Public, TimeoutMS: e.Limits.TimeoutMS, Idempotent: e.Idempotent,
		Unknown: e.Unknown, Queue: e.Queue, Stability: e.Stability, SLO: json.Number(e.SLO), WithinMS: e.WithinMS, Deprecation: e.Deprecated, Sunset: e.Sunset,
	}
	if len(op.Tags) == 0 {
		op.Tags = []string{w.manifest.Service}
	}
	if len(e.Claims) > 0 {
		op.Security = append(op.Security, map[string][]string{bearer: {}})
	}
	if e.Stream != spec.StreamNone {
		op.Stream, op.IdleMS, op.Events = e.Stream, e.Limits.IdleMS, e.Events
	}
	op.Parameters = w.parameters(e, path)
	if op.RequestBody = w.requestBody(e); op.RequestBody != nil {
		op.MaxBodyBytes = e.Limits.MaxBodyBytes
	}
	op.Responses = w.responses(e)
	return op
}

// maxSummary bounds a summary, in bytes: it is a line of a table of contents.
const maxSummary = 120

// summary is a doc comment's first sentence, without the full stop; empty where that is too long.
func summary(doc string) string {
	paragraph, _, _ := strings.Cut(doc, "\n\n")
	text := strings.Join(strings.Fields(paragraph), " ")
	if i := strings.Index(text, ". "); i >= 0 {
		text = text[:i]
	}
	if len(text) > maxSummary {
		return ""
	}
	return strings.TrimSuffix(text, ".")
}

// headerKey is the field by which the caller of a job says that it is the same as before.
const headerKey = "Idempotency-Key"

func (w *writer) parameters(e *spec.Endpoint, path template) []*parameter {
	var out []*parameter
	for _, name := range path.params {
		p := &parameter{Name: name.written, In: spec.InPath, Required: true, Schema: schema{"type": spec.TypeString}, Wildcard: name.rest}
		if i := slices.IndexFunc(e.Params, func(q spec.Param) bool { return q.In == spec.InPath && q.Name == name.declared }); i >= 0 {
			p.Description, p.Schema = e.Params[i].Doc, w.schema(e.Params[i].Schema)
		}
		out = append(out, p)
	}
	keyed := false
	for _, q := range e.Params {
		if q.In != spec.InPath {
			out = append(out, &parameter{Name: q.Name, In: q.In, Description: q.Doc, Required: q.Required, Schema: w.schema(q.Schema)})
			keyed = keyed || q.In == spec.InHeader && strings.EqualFold(q.Name, headerKey)
		}
	}
	if e.Queue != nil && !keyed {
		out = append(out, &parameter{
			Name: headerKey, In: spec.InHeader, Schema: schema{"type": spec.TypeString},
			Description: "The job's key, the same with every attempt and every repetition of the request; the job's ID without it",
		})
	}
	return out
}

// requestBody writes what an endpoint takes as its body, or is nil. What reads the request itself takes anything.
func (w *writer) requestBody(e *spec.Endpoint) *requestBody {
	switch {
	case e.Request != nil:
		media := e.Consumes
		if media == "" {
			media = mediaJSON
		}
		return &requestBody{ // one without required members is taken for {} if it does not come
			Required: len(w.target(e.Request).Required) > 0, Content: map[string]*mediaType{media: {Schema: w.schema(e.Request)}},
		}
	case e.Kind != spec.KindRaw && e.Kind != spec.KindHTTP:
		return nil
	case slices.Contains([]string{"POST", "PUT", "PATCH"}, e.Method) || e.Stream == spec.StreamRequest || e.Stream == spec.StreamBoth:
		return &requestBody{Content: map[string]*mediaType{mediaAny: {Schema: w.bytes()}}}
	}
	return nil
}

// bytes is the schema of a body of any kind.
func (w *writer) bytes() schema {
	if w.old {
		return schema{"type": spec.TypeString, "format": formatBinary}
	}
	return schema{}
}
