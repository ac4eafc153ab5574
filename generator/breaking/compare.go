package breaking

import (
	"fmt"
	"slices"
	"time"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/spec"
)

// Scope says what is compared, beside what always is.
type Scope struct {
	Today        time.Time // a sunset before this day has passed
	Experimental bool      // endpoints that were experimental are compared, too
}

// Compare returns what changed from before to now, by every rule but those about versions and waivers. Both manifests
// have been checked. Neither is changed.
func Compare(before, now *spec.Manifest, scope Scope) []Change {
	c := &comparison{before: before, now: now, scope: scope}
	if before.Service != now.Service {
		c.add(Change{
			Rule: ServiceNameChanged, Where: "service", Old: before.Service, New: now.Service,
			Text: fmt.Sprintf("the service was called %s and is called %s", before.Service, now.Service),
		})
	}
	pairs, gone, added := Match(before, now)
	for _, e := range gone {
		c.removed(e)
	}
	for _, p := range pairs {
		c.endpoint(p)
		if identity(p.Before) != identity(p.Now) {
			added = append(added, p.Now) // where it is now, it is new
		}
	}
	c.captured(added)
	return c.sorted()
}

// comparison is one run of Compare.
type comparison struct {
	changes

	before, now *spec.Manifest
	scope       Scope
}

// Pair is an endpoint, as it was and as it is.
type Pair struct{ Before, Now *spec.Endpoint }

// Match finds the endpoints of both manifests that are one: they have the same identity, or, among those left, the same
// handler, which then has another method or path.
func Match(before, now *spec.Manifest) (pairs []Pair, gone, added []*spec.Endpoint) {
	left := map[string]*spec.Endpoint{}
	for i := range now.Endpoints {
		left[identity(&now.Endpoints[i])] = &now.Endpoints[i]
	}
	for i := range before.Endpoints {
		old := &before.Endpoints[i]
		id := identity(old)
		if e, ok := left[id]; ok {
			pairs = append(pairs, Pair{old, e})
			delete(left, id)
		} else {
			gone = append(gone, old)
		}
	}
	for i := range now.Endpoints {
		if e := &now.Endpoints[i]; left[identity(e)] != nil {
			added = append(added, e)
		}
	}
	all := slices.Clone(gone)
	gone = slices.DeleteFunc(gone, func(old *spec.Endpoint) bool {
		same := func(e *spec.Endpoint) bool { return e.Handler == old.Handler }
		if count(all, same) != 1 || count(added, same) != 1 {
			return false // one handler may serve several endpoints: which became which is not said
		}
		i := slices.IndexFunc(added, same)
		pairs = append(pairs, Pair{old, added[i]})
		added = slices.Delete(added, i, i+1)
		return true
	})
	return pairs, gone, added
}

func count(list []*spec.Endpoint, is func(*spec.Endpoint) bool) int {
	n := 0
	for _, e := range list {
		if is(e) {
			n++
		}
	}
	return n
}

// identity is that of an endpoint of a manifest that has been checked.
func identity(e *spec.Endpoint) string {
	id, err := e.Identity()
	if err != nil {
		return name(e)
	}
	return id
}

// name is how an endpoint is written.
func name(e *spec.Endpoint) string { return e.Method + " " + e.Path }

// exempt reports whether nothing was promised of an endpoint.
func (c *comparison) exempt(before *spec.Endpoint) bool {
	return before.Stability == spec.StabilityExperimental && !c.scope.Experimental
}

// removed is about an endpoint that is not there any more.
func (c *comparison) removed(e *spec.Endpoint) {
	if c.exempt(e) {
		return
	}
	change := Change{
		Rule: EndpointRemoved, Endpoints: []string{name(e)}, Where: "removed", Text: "the endpoint was removed",
		Hint: `keep it for a while, with deprecated="why" sunset=YYYY-MM-DD`,
	}
	if e.Deprecated != "" && e.Sunset != "" {
		if e.Sunset < c.scope.Today.Format(time.DateOnly) {
			return // as it was announced
		}
		change.Rule, change.Old, change.Hint = EndpointRemovedBeforeSunset, e.Sunset, "keep it until then"
		change.Text = "the endpoint was removed, and was to stay until " + e.Sunset
	}
	c.add(change)
}

// captured is about new endpoints that take requests from others.
func (c *comparison) captured(added []*spec.Endpoint) {
	for _, e := range added {
		taker, err := spec.ParsePattern(e.Path)
		if err != nil {
			continue // it has been checked
		}
		for i := range c.before.Endpoints {
			old := &c.before.Endpoints[i]
			victim, err := spec.ParsePattern(old.Path)
			if err != nil || old.Method != e.Method || c.exempt(old) || old.Handler == e.Handler || !captures(taker, victim) {
				continue
			}
			c.add(Change{
				Rule: RouteCaptureChanged, Endpoints: []string{name(e)}, Where: "path", Old: name(old), New: name(e),
				Text: "takes requests that " + name(old) + " answered",
				Hint: "choose a path that no other matches",
			})
		}
	}
}

// captures reports whether requests that victim matches would go to taker: both match some, and taker's first segment
// that differs is the more special.
func captures(taker, victim spec.Pattern) bool {
	wins := false
	for i := 0; ; i++ {
		if i == len(taker.Segments) || i == len(victim.Segments) {
			return wins && len(taker.Segments) == len(victim.Segments)
		}
		a, b := taker.Segments[i], victim.Segments[i]
		switch {
		case b.Rest:
			return wins || !a.Rest
		case a.Rest:
			return wins
		case a.Literal != "" && b.Literal != "" && a.Literal != b.Literal:
			return false
		case !wins && (a.Literal == "") != (b.Literal == ""):
			if a.Literal == "" {
				return false
			}
			wins = true
		}
	}
}

// at reports a change of one endpoint.
func (c *comparison) at(e *spec.Endpoint, rule diagnostic.ID, where, before, now, text, hint string) {
	c.add(Change{Rule: rule, Endpoints: []string{name(e)}, Where: where, Old: before, New: now, Text: text, Hint: hint})
}
