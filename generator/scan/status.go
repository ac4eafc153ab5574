package scan

import (
	"net/http"
	"slices"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/directive"
	"github.com/stella-ops/router/spec"
)

// Keys of the endpoint directive that this file is about.
const (
	keyStatus  = "status"
	keyUnknown = "unknown"
)

// takeStatuses takes the statuses of the directive. The first is the one that answers get unless they choose another.
func (e *Endpoint) takeStatuses(list []int64) {
	for i, n := range list {
		if i == 0 {
			e.Status = int(n)
			continue
		}
		e.Statuses = append(e.Statuses, int(n))
	}
	slices.Sort(e.Statuses)
}

// status settles what a successful answer has, and reports what the handler rules out.
func (b *builder) status(e *Endpoint, h *handler, said map[string]directive.Value) {
	d, name := h.endpoint(), h.decl.Name.Name
	noResult := e.Kind == spec.KindTyped && e.Out == nil
	if e.Status == 0 {
		e.Status = http.StatusOK
		if noResult {
			e.Status = http.StatusNoContent
		}
	}
	hasResult := e.Kind == spec.KindStream || e.Kind == spec.KindTyped && !noResult
	if hasResult && len(e.Statuses) == 0 && (e.Status == http.StatusNoContent || e.Status == http.StatusResetContent) {
		b.l.list.Addf(diagnostic.BadValue, d.Pos, d.Width, "status %d has no body, but %s gives a result", e.Status, name)
	}
	if v := said[keyStatus]; len(e.Statuses) > 0 && (noResult || e.Kind == spec.KindStream || e.Out != nil && !e.Out.Chooses) {
		f := b.l.list.Addf(diagnostic.BadValue, v.Pos, v.Width, "status=%s lists several, and nothing of %s chooses one", v.Text, name)
		f.Hint = "give the type of its result a method HTTPStatus() int, or write one status"
	}
}

// unknown reports a word on unknown members where there is no body to have them.
func (b *builder) unknown(e *Endpoint, h *handler, said map[string]directive.Value) {
	v, given := said[keyUnknown]
	if given && (e.In == nil || !e.HasBody()) {
		b.l.list.Addf(diagnostic.BadValue, v.Pos, v.Width, "unknown=%s has no effect: %s binds no request body", v.Text, h.decl.Name.Name)
	}
}
