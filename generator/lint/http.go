package lint

import (
	"net/http"
	"slices"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/scan"
	"github.com/stella-ops/router/spec"
)

var httpRules = []rule{
	entry("STL1401", "ROUTE_AMBIGUOUS", HTTP, warn, Standard, "two endpoints match the same paths",
		"Each matches paths that the other does not, and some match both: left to right, the first literal decides. Nobody expects "+
			"that who has not looked it up.").ofService(ambiguous),
	entry("STL1402", "ROUTE_SHADOWED", HTTP, info, Strict, "literal hides a parameter's value",
		"GET /invoices/latest takes the place of GET /invoices/{id} for the id latest: make sure that no id is called so.").
		ofService(shadowed),
	entry("STL1403", "ERRORS_UNDECLARED", HTTP, info, Strict, "declares no errors",
		"What changes something fails for reasons that callers can act on. errors=NotFound:404 puts them into the manifest, the "+
			"documentation and the clients.").ofEndpoint(noErrors),
	entry("STL1404", "STATUS_WITHOUT_BODY", HTTP, warn, Standard, "200 without a body",
		"200 says that there is something to read. An answer without a body is 204, which is the default.").ofEndpoint(emptyStatus),
	entry("STL1405", "CREATED_WITHOUT_LOCATION", HTTP, warn, Standard, "201 without Location",
		"201 says that something new is there; Location says where (RFC 9110, section 15.3.2). A result has a field tagged "+
			"header:\"Location\" for it.").ofEndpoint(noLocation),
	entry("STL1406", "STATUS_OF_READ", HTTP, warn, Standard, "reading creates nothing",
		"201 and 202 tell of something that the request has made. GET and HEAD make nothing.").ofEndpoint(readStatus),
	entry("STL1407", "METHOD_NOT_IDEMPOTENT", HTTP, warn, Standard, "PUT or DELETE that is not idempotent",
		"RFC 9110 promises callers that PUT and DELETE may be repeated, and they do. Say idempotent, so that the gateway may "+
			"repeat them, too; if it is not true, the method is POST.").ofEndpoint(notIdempotent),
	entry("STL1408", "IDEMPOTENT_SAID", HTTP, info, Strict, "idempotent goes without saying",
		"GET and HEAD always are.").ofEndpoint(idempotentSaid),
	entry("STL1409", "HEAD_DIFFERS", HTTP, warn, Standard, "HEAD is not like GET",
		"HEAD tells what GET would answer, so it has a GET of the same path, and asks for the same claims. The gateway "+
			"answers HEAD by GET where there is no endpoint for it.").ofService(headDiffers),
	entry("STL1410", "BODY_WITHOUT_EFFECT", HTTP, warn, Standard, "limit of a body that never comes",
		"GET, HEAD and DELETE have no request body, so body= bounds nothing.").ofEndpoint(bodyIdle),
	entry("STL1411", "IDLE_WITHOUT_EFFECT", HTTP, warn, Standard, "idle of what does not stream",
		"idle bounds the silence of streams. Where nothing streams, timeout bounds the call whole.").ofEndpoint(idleIdle),
}

// relation is how the paths that two patterns match relate.
type relation int

const (
	apart   relation = iota // no path matches both
	crossed                 // some match both, and each matches some that the other does not
	within                  // what the first matches, the second does, too
	around                  // the other way round
)

// relate compares two patterns, which are not identical.
func relate(a, b spec.Pattern) relation {
	narrower, wider := false, false // a within b so far
	for i := 0; ; i++ {
		ended, other := i >= len(a.Segments), i >= len(b.Segments)
		if ended || other {
			if !ended || !other {
				return apart // a rest is never empty
			}
			break
		}
		s, t := a.Segments[i], b.Segments[i]
		if s.Rest || t.Rest {
			narrower, wider = narrower || !s.Rest, wider || !t.Rest
			break
		}
		switch {
		case s.Literal != "" && t.Literal != "" && s.Literal != t.Literal:
			return apart
		case s.Literal != "" && t.Literal == "":
			narrower = true
		case s.Literal == "" && t.Literal != "":
			wider = true
		}
	}
	switch {
	case narrower && wider:
		return crossed
	case narrower:
		return within
	case wider:
		return around
	}
	return apart
}

// pairs calls f with every two endpoints of one method that may match one path: the first segment is the same literal, or
// one of both begins with a parameter.
func (s *service) pairs(f func(a, b *endpoint)) {
	byMethod := map[string]map[string][]*endpoint{}
	for _, e := range s.endpoints {
		first := ""
		if len(e.pattern.Segments) > 0 {
			first = e.pattern.Segments[0].Literal
		}
		if byMethod[e.Method] == nil {
			byMethod[e.Method] = map[string][]*endpoint{}
		}
		byMethod[e.Method][first] = append(byMethod[e.Method][first], e)
	}
	for _, method := range sortedKeys(byMethod) {
		groups := byMethod[method]
		for _, first := range sortedKeys(groups) {
			group := groups[first]
			for i, a := range group {
				for _, b := range group[i+1:] {
					f(a, b)
				}
				if first != "" {
					for _, b := range groups[""] {
						f(a, b)
					}
				}
			}
		}
	}
}

func ambiguous(r *reporter, s *service) {
	s.pairs(func(a, b *endpoint) {
		if relate(a.pattern, b.pattern) == crossed {
			a, b := inOrder(a, b)
			r.endpoint = b.name()
			f := r.at(b.Places.Path, "%s and %s match the same paths", b.name(), a.name())
			f.Hint = "tell them apart by a literal segment in the same place"
			f.Related = []diagnostic.Related{{Pos: a.Places.Path.Pos, Message: otherIsHere}}
		}
	})
	r.endpoint = ""
}

// inOrder puts two endpoints into the order in which they stand in the source.
func inOrder(a, b *endpoint) (first, second *endpoint) {
	if b.Pos.Filename < a.Pos.Filename || b.Pos.Filename == a.Pos.Filename && b.Pos.Offset < a.Pos.Offset {
		return b, a
	}
	return a, b
}

func shadowed(r *reporter, s *service) {
	report := func(narrow, wide *endpoint) {
		r.endpoint = narrow.name()
		r.at(narrow.Places.Path, "%s hides a value of a parameter of %s", narrow.name(), wide.name()).Related =
			[]diagnostic.Related{{Pos: wide.Places.Path.Pos, Message: otherIsHere}}
	}
	s.pairs(func(a, b *endpoint) {
		switch relate(a.pattern, b.pattern) {
		case within:
			report(a, b)
		case around:
			report(b, a)
		case apart, crossed:
		}
	})
	r.endpoint = ""
}

func noErrors(r *reporter, e *endpoint) {
	if mutates(e.Method) && e.spec.Kind == spec.KindTyped && len(e.spec.Errors) == 0 {
		r.at(e.span(), "%s declares no errors", e.name()).Hint = "add errors=NotFound:404 for the type NotFound of this package"
	}
}

func emptyStatus(r *reporter, e *endpoint) {
	if e.spec.Kind == spec.KindTyped && e.spec.Response == nil && e.spec.Status == http.StatusOK {
		r.at(e.key("status"), "%s answers 200 without a body", e.name()).Hint = "leave status out: it is 204 then"
	}
}

func noLocation(r *reporter, e *endpoint) {
	if e.spec.Kind != spec.KindTyped || e.spec.Status != http.StatusCreated && !slices.Contains(e.spec.Statuses, http.StatusCreated) {
		return
	}
	if !slices.ContainsFunc(e.answerHeaders(), func(f *scan.Field) bool { return f.Name == "Location" }) {
		r.at(e.key("status"), "%s answers 201, and not where the new thing is", e.name()).Hint =
			"add to the result: Location string `header:\"Location\" json:\"-\"`"
	}
}

func isRead(method string) bool { return method == http.MethodGet || method == http.MethodHead }

func readStatus(r *reporter, e *endpoint) {
	if s := e.spec.Status; isRead(e.Method) && (s == http.StatusCreated || s == http.StatusAccepted) {
		r.at(e.key("status"), "%s answers %d, and a %s request makes nothing", e.name(), s, e.Method)
	}
}

func notIdempotent(r *reporter, e *endpoint) {
	if (e.Method == http.MethodPut || e.Method == http.MethodDelete) && !e.spec.Idempotent {
		f := r.at(e.Places.Method, "%s is not idempotent, and callers take %s for it", e.name(), e.Method)
		f.Hint = "add idempotent, or make it a POST"
		f.Fixes = []diagnostic.Fix{{Message: "add idempotent", Edits: []diagnostic.Edit{insertAt(shift(e.Pos, e.Width), " idempotent")}}}
	}
}

func idempotentSaid(r *reporter, e *endpoint) {
	if at, said := e.Places.Keys["idempotent"]; said && isRead(e.Method) {
		f := r.at(at, "a %s request is idempotent anyway", e.Method)
		f.Fixes = []diagnostic.Fix{removeArg("idempotent", at)}
	}
}

func headDiffers(r *reporter, s *service) {
	gets := map[string]*endpoint{}
	for _, e := range s.endpoints {
		if e.Method == http.MethodGet {
			gets[e.pattern.Identity()] = e
		}
	}
	for _, e := range s.endpoints {
		get := gets[e.pattern.Identity()]
		r.endpoint = e.name()
		switch {
		case e.Method != http.MethodHead:
		case get == nil:
			r.at(e.Places.Method, "there is no GET %s", e.Path)
		case !slices.Equal(get.spec.Claims, e.spec.Claims):
			r.at(e.Places.Method, "%s asks for other claims than GET", e.name()).Related =
				[]diagnostic.Related{{Pos: get.Pos, Message: "the GET is here"}}
		}
	}
	r.endpoint = ""
}

func bodyIdle(r *reporter, e *endpoint) {
	if e.says("body") && !e.HasBody() {
		r.at(e.key("body"), "a %s request has no body: the limit has no effect", e.Method).Hint = "remove body="
	}
}

func idleIdle(r *reporter, e *endpoint) {
	if e.says("idle") && e.spec.Stream == spec.StreamNone {
		r.at(e.key("idle"), "%s streams nothing: idle has no effect", e.name()).Hint = "remove idle=, or mean timeout="
	}
}
