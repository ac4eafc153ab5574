package diff

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stella-ops/router/spec"
)

// entries collects what one side says. What is empty is not said.
type entries []entry

func (es *entries) add(name, value string) {
	if value != "" {
		*es = append(*es, entry{name, value})
	}
}

func service(m *spec.Manifest) []entry {
	var es entries
	es.add("service", m.Service)
	es.add("version", m.Version)
	es.add("owner", m.Owner)
	es.add("doc", doc(m.Doc))
	return es
}

func endpoint(e *spec.Endpoint) []entry {
	var es entries
	es.add("handler", e.Handler)
	es.add("kind", string(e.Kind))
	statuses := []string{strconv.Itoa(e.Status)}
	for _, s := range e.Statuses {
		statuses = append(statuses, strconv.Itoa(s))
	}
	es.add("status", strings.Join(statuses, ", "))
	if e.Stream != spec.StreamNone {
		es.add("stream", string(e.Stream))
	}
	es.add("events", flag(e.Events))
	es.add("idempotent", flag(e.Idempotent))
	es.add("public", doc(e.Public))
	for _, c := range e.Claims {
		es.add("claim "+c.String(), "required")
	}
	es.add("timeout", e.Limits.Timeout().String())
	es.add("idle", e.Limits.Idle().String())
	es.add("body", strconv.FormatInt(e.Limits.MaxBodyBytes, 10)+" bytes")
	if q := e.Queue; q != nil {
		es.add("delivery", "queue")
		es.add("attempts", strconv.Itoa(q.Attempts))
		es.add("lease", (time.Duration(q.LeaseMS) * time.Millisecond).String())
	}
	for _, p := range e.Params {
		es = append(es, schema(p.In+" "+p.Name, p.Schema, p.Required)...)
		es.add(p.In+" "+p.Name+" doc", doc(p.Doc))
	}
	es.add("consumes", e.Consumes)
	es.add("unknown", e.Unknown)
	es = append(es, schema("request", e.Request, false)...)
	es = append(es, schema("response", e.Response, false)...)
	for _, h := range e.Headers {
		es = append(es, schema("response header "+h.Name, h.Schema, h.Required)...)
	}
	for _, a := range e.Errors {
		es.add("error "+a.Code, strconv.Itoa(a.Status))
		es = append(es, schema("error "+a.Code+" details", a.Details, false)...)
		es.add("error "+a.Code+" doc", doc(a.Doc))
	}
	es.add("slo", e.SLO)
	if e.WithinMS != 0 {
		es.add("within", (time.Duration(e.WithinMS) * time.Millisecond).String())
	}
	es.add("stability", e.Stability)
	es.add("deprecated", doc(e.Deprecated))
	es.add("sunset", e.Sunset)
	es.add("tags", strings.Join(e.Tags, ", "))
	es.add("doc", doc(e.Doc))
	return es
}

func flag(is bool) string {
	if is {
		return "true"
	}
	return ""
}

// doc is documentation in one line.
func doc(s string) string {
	if s == "" {
		return ""
	}
	return strconv.Quote(s)
}

// schema lists a schema and those in it, each at its place.
func schema(place string, s *spec.Schema, required bool) []entry {
	if s == nil {
		return nil
	}
	var es entries
	value := text(s)
	if required {
		value += ", required"
	}
	es.add(place, value)
	es.add(place+" doc", doc(s.Doc))
	es = append(es, schema(place+"[]", s.Items, false)...)
	es = append(es, schema(place+"{}", s.Values, false)...)
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		es = append(es, schema(place+"."+member(name), s.Properties[name], slices.Contains(s.Required, name))...)
	}
	return es
}

// text is what a schema says of its values, in one line.
func text(s *spec.Schema) string {
	words := []string{s.Type}
	switch {
	case s.Ref != "":
		words[0] = s.Ref
	case s.Type == "":
		words[0] = "any value"
	case s.Format != "":
		words[0] += " (" + s.Format + ")"
	}
	say := func(name, value string) {
		if value != "" {
			words = append(words, name+" "+value)
		}
	}
	count := func(name string, n *int) {
		if n != nil {
			say(name, strconv.Itoa(*n))
		}
	}
	if s.Nullable {
		words = append(words, "nullable")
	}
	say("enum", strings.Join(s.Enum, "|"))
	if s.Default != nil {
		say("default", strconv.Quote(*s.Default))
	}
	say("minimum", s.Minimum)
	say("maximum", s.Maximum)
	say("exclusiveMinimum", s.Above)
	say("exclusiveMaximum", s.Below)
	say("multipleOf", s.MultipleOf)
	if s.MinLength > 0 {
		count("minLength", &s.MinLength)
	}
	count("maxLength", s.MaxLength)
	say("pattern", s.Pattern)
	if s.MinItems > 0 {
		count("minItems", &s.MinItems)
	}
	count("maxItems", s.MaxItems)
	if s.Unique {
		words = append(words, "uniqueItems")
	}
	return strings.Join(words, ", ")
}

// member is a member's name as it stands in a place: quoted, if it could be taken for more than a name.
func member(name string) string {
	if name == "" || strings.ContainsAny(name, " .[]{}\"\n") {
		return strconv.Quote(name)
	}
	return name
}
