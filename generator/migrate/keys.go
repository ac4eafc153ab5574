package migrate

import (
	"cmp"
	"fmt"
	"go/token"
	"net/http"
	"slices"
	"strings"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/directive"
	"github.com/stella-ops/router/spec"
)

// Keys of the endpoint directive that depend on each other, or on the method.
const (
	keyStream     = "stream"
	keyBody       = "body"
	keyIdle       = "idle"
	keyIdempotent = "idempotent"
	keyDelivery   = "delivery"
)

// key is one argument of an endpoint directive, as it is written.
type key struct{ name, value string } // of a flag, value is empty

func (k key) String() string {
	if k.value == "" {
		return k.name
	}
	return k.name + "=" + k.value
}

// keyList are the keys of one endpoint, in their order.
type keyList []key

func (l keyList) String() string {
	words := make([]string, len(l))
	for i, k := range l {
		words[i] = k.String()
	}
	return strings.Join(words, " ")
}

func (l keyList) index(name string) int {
	return slices.IndexFunc(l, func(k key) bool { return k.name == name })
}

func (l keyList) value(name string) string {
	if i := l.index(name); i >= 0 {
		return l[i].value
	}
	return ""
}

// set is the list with a key, in the place of one of the same name.
func (l keyList) set(k key) keyList {
	l = slices.Clone(l)
	if i := l.index(k.name); i >= 0 {
		l[i] = k
		return l
	}
	return append(l, k)
}

func (l keyList) without(name string) keyList {
	return slices.DeleteFunc(slices.Clone(l), func(k key) bool { return k.name == name })
}

// parseKeys reads keys as a with directive has them; why says what is wrong with them.
func parseKeys(text string) (list keyList, why string) {
	if text == "" {
		return nil, ""
	}
	var findings diagnostic.List
	d := directive.ParseArgs("with", text, token.Position{}, &findings)
	if d == nil {
		if found := findings.Sorted(); len(found) > 0 {
			return nil, found[0].Message
		}
		return nil, "it has no keys"
	}
	return keysOf(d, text), ""
}

// keysOf are the keys of a directive, as text has them: the line from where the directive's positions are counted.
func keysOf(d *directive.Directive, text string) keyList {
	var names []string
	for name := range d.Keys {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(d.Keys[a].Pos.Offset, d.Keys[b].Pos.Offset) })
	list := make(keyList, 0, len(names))
	for _, name := range names {
		v := d.Keys[name]
		k := key{name: name}
		if !isFlag(name) {
			k.value = text[v.Pos.Offset : v.Pos.Offset+v.Width]
		}
		list = append(list, k)
	}
	return list
}

// isFlag reports whether a key has no value.
func isFlag(name string) bool {
	def, _ := directive.Lookup("with")
	return slices.ContainsFunc(def.Keys, func(k directive.Key) bool { return k.Name == name && k.Type == directive.Flag })
}

// unfit is a key that an endpoint does not get, and why.
type unfit struct{ key, why string }

// fit makes keys ones that an endpoint of a method may have, whose handler is net/http's: what code is not generated for,
// and what has no effect, is left out. It is the same that stellagen generate and lint find.
func fit(method string, list keyList) (fits keyList, left []unfit) {
	body := hasBody(method)
	drop := func(k key, format string, args ...any) {
		left = append(left, unfit{k.String(), fmt.Sprintf(format, args...)})
	}
	queue := list.value(keyDelivery) == "queue"
	asks := slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions}, method)
	for _, k := range list {
		switch {
		case k.name == keyStream && !body && k.value == string(spec.StreamBoth) && method != http.MethodHead:
			left = append(left, unfit{k.String(), fmt.Sprintf("a %s request has no body: it is stream=response", method)})
			k.value = string(spec.StreamResponse)
		case k.name == keyStream && k.value == string(spec.StreamUpgrade) && method != http.MethodGet:
			drop(k, "a WebSocket is opened by GET, and not by %s", method)
			continue
		case k.name == keyStream && method == http.MethodHead && k.value != string(spec.StreamNone):
			drop(k, "HEAD has no body, neither way")
			continue
		case k.name == keyStream && !body && k.value == string(spec.StreamRequest), k.name == keyBody && !body:
			drop(k, "a %s request has no body", method)
			continue
		case k.name == keyIdempotent && (method == http.MethodGet || method == http.MethodHead):
			drop(k, "a %s request is idempotent anyway", method)
			continue
		case queue && asks && slices.Contains([]string{keyDelivery, "attempts", "lease"}, k.name):
			drop(k, "jobs are made by POST, PUT, PATCH and DELETE")
			continue
		case k.name == "errors" || k.name == "unknown":
			drop(k, "a handler of net/http reads its body and answers with its errors itself")
			continue
		}
		fits = append(fits, k)
	}
	switch spec.Streaming(fits.value(keyStream)) {
	case "", spec.StreamNone:
		if i := fits.index(keyIdle); i >= 0 {
			drop(fits[i], "nothing is streamed")
			fits = fits.without(keyIdle)
		}
	case spec.StreamUpgrade:
		if i := fits.index("status"); i >= 0 {
			drop(fits[i], "what accepts an upgrade is 101")
			fits = fits.without("status")
		}
	case spec.StreamRequest, spec.StreamResponse, spec.StreamBoth:
	}
	return fits, left
}

// contradiction says why no endpoint at all can have these keys; empty if some can.
func (l keyList) contradiction() string {
	stream := l.value(keyStream)
	switch {
	case l.value(keyDelivery) != "queue":
		return ""
	case l.index(keyIdempotent) < 0:
		return "delivery=queue goes with idempotent: a job may run more than once"
	case stream != "" && stream != string(spec.StreamNone):
		return "delivery=queue does not go with stream=" + stream + ": a job and its result are held whole"
	}
	return ""
}

// KeyNote says of keys what became of them at some endpoints.
type KeyNote struct {
	Keys, What string
	Endpoints  []string // METHOD PATH
}

// noteKeys adds an endpoint to what is said of a key.
func (p *planner) noteKeys(keys, what, endpoint string) {
	for i := range p.plan.Keys {
		if n := &p.plan.Keys[i]; n.Keys == keys && n.What == what {
			n.Endpoints = append(n.Endpoints, endpoint)
			return
		}
	}
	p.plan.Keys = append(p.plan.Keys, KeyNote{keys, what, []string{endpoint}})
}

// keysFor are the keys of a new endpoint.
func (p *planner) keysFor(r *Route, method, path string) keyList {
	wanted := r.uses.keys(method, p.with)
	if said := p.with.value(keyStream); said != "" && said != wanted.value(keyStream) {
		p.noteKeys(keyStream+"="+said, "it is stream="+wanted.value(keyStream)+", which the handler needs", method+" "+path)
	}
	fits, left := fit(method, wanted)
	for _, u := range left {
		p.noteKeys(u.key, "left out: "+u.why, method+" "+path)
	}
	for _, why := range r.uses.needs([]string{method}, fits) {
		p.plan.Needs = append(p.plan.Needs, Need{Planned{method, path, r}, why})
	}
	return fits
}
