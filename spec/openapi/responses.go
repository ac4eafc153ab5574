package openapi

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/stella-ops/router/spec"
)

// responses writes the answers of an endpoint: of success, the errors that it declares, and all others, which are
// problems as well.
func (w *writer) responses(e *spec.Endpoint) map[string]*response {
	out := map[string]*response{"default": {Ref: problemResponse}}
	byStatus := map[int][]*spec.ErrorAnswer{} // problems; nil is one that is not declared
	add := func(status int, a *spec.ErrorAnswer) { byStatus[status] = append(byStatus[status], a) }
	if len(e.Claims) > 0 { // the gateway's own
		add(http.StatusUnauthorized, nil)
		add(http.StatusForbidden, nil)
	}
	if e.Stream == spec.StreamUpgrade {
		add(http.StatusUpgradeRequired, nil)
	}
	if e.Queue != nil { // whatever the service answers is the job's result
		out[strconv.Itoa(http.StatusAccepted)] = w.accepted()
	} else {
		for _, status := range append([]int{e.Status}, e.Statuses...) {
			out[strconv.Itoa(status)] = w.success(e, status)
		}
		for i := range e.Errors {
			add(e.Errors[i].Status, &e.Errors[i])
		}
		if len(e.Params) > 0 || e.Request != nil {
			add(http.StatusBadRequest, nil)
		}
	}
	for status, answers := range byStatus {
		w.problems(out, status, slices.DeleteFunc(answers, func(a *spec.ErrorAnswer) bool { return a == nil }))
	}
	return out
}

// title is a status in words.
func title(status int) string {
	if text := http.StatusText(status); text != "" {
		return text
	}
	return "Status " + strconv.Itoa(status)
}

// bodiless reports whether answers with a status have no body (RFC 9110, sections 15.2.2, 15.3.5, 15.3.6 and 15.4.5).
func bodiless(status int) bool {
	return status == http.StatusSwitchingProtocols || status == http.StatusNoContent || status == http.StatusResetContent || status == http.StatusNotModified
}

func (w *writer) success(e *spec.Endpoint, status int) *response {
	r := &response{Description: title(status)}
	for _, h := range e.Headers {
		if r.Headers == nil {
			r.Headers = map[string]*header{}
		}
		r.Headers[h.Name] = &header{Description: h.Doc, Required: h.Required, Schema: w.schema(h.Schema)}
	}
	if e.Method == http.MethodHead || bodiless(status) {
		return r
	}
	switch {
	case e.Kind == spec.KindStream:
		item := w.schema(e.Response)
		line := item
		if e.Events { // an event stream has lines of its own for the id and the name
			line = schema{"type": spec.TypeObject, "required": []string{"data"}, "properties": schema{
				"id": schema{"type": spec.TypeString}, "event": schema{"type": spec.TypeString}, "data": item,
			}}
		}
		r.Description += ": a sequence, as events or as lines of JSON, by Accept"
		r.Content = map[string]*mediaType{
			mediaEvents: {Sequence: true, Schema: schema{"anyOf": []schema{item, w.refTo(problemSchema)}}},
			mediaLines:  {Sequence: true, Schema: schema{"anyOf": []schema{line, w.refTo(brokenSchema)}}},
		}
	case e.Response != nil:
		r.Content = map[string]*mediaType{mediaJSON: {Schema: w.schema(e.Response)}}
	case e.Kind == spec.KindRaw || e.Kind == spec.KindHTTP:
		r.Content = map[string]*mediaType{mediaAny: {Schema: w.bytes()}}
	}
	return r
}

// problems adds the problems of one status: those that the service declares, each with its details, and others.
func (w *writer) problems(out map[string]*response, status int, answers []*spec.ErrorAnswer) {
	key := strconv.Itoa(status)
	if len(answers) == 0 {
		if out[key] == nil {
			out[key] = &response{Ref: problemResponse}
		}
		return
	}
	r := out[key]
	if r == nil {
		r = &response{Description: title(status)}
		out[key] = r
	}
	var text strings.Builder
	text.WriteString(r.Description)
	var variants []schema
	for _, a := range answers {
		text.WriteString("\n\n`" + a.Code + "`")
		if a.Doc != "" {
			text.WriteString(": " + a.Doc)
		}
		r.Codes = append(r.Codes, a.Code)
		if a.Details != nil {
			variants = append(variants, schema{"allOf": []schema{w.refTo(problemSchema), {
				"type": spec.TypeObject, "required": []string{"code", "details"},
				"properties": map[string]schema{"code": {"type": spec.TypeString, "enum": []string{a.Code}}, "details": w.schema(a.Details)},
			}}})
		}
	}
	r.Description = text.String()
	if r.Content == nil {
		r.Content = map[string]*mediaType{}
	}
	of := w.refTo(problemSchema)
	if len(variants) > 0 {
		of = schema{"anyOf": append(variants, of)}
	}
	r.Content[spec.ProblemType] = &mediaType{Schema: of}
}
