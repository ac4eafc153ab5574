package breaking

import (
	"maps"
	"slices"
	"strings"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/internal/spelling"
	"github.com/stella-ops/router/spec"
)

// direction says which way values travel.
type direction int

const (
	request  direction = iota // the service has to take whatever it took before
	response                  // callers have to take whatever the service says now
)

// in is how a message tells the direction.
func (d direction) in() string { return [...]string{" in requests", " in responses"}[d] }

// place is where in a manifest a value is described.
type place struct {
	text   string
	shared bool // within a named schema
}

func (p place) member(name string) place { return place{p.text + "." + quoted(name), p.shared} }
func (p place) items() place             { return place{p.text + "[]", p.shared} }
func (p place) values() place            { return place{p.text + "{}", p.shared} }

// walker compares two schemas, and those in them.
type walker struct {
	c      *comparison
	at     *spec.Endpoint
	dir    direction
	strict bool // the service refuses members that it does not know
	param  bool // the value is a parameter
	seen   map[[2]*spec.Schema]bool
}

func (c *comparison) walker(p Pair, dir direction) *walker {
	return &walker{c: c, at: p.Now, dir: dir, seen: map[[2]*spec.Schema]bool{}}
}

func (w *walker) report(rule diagnostic.ID, p place, before, now, text string) {
	w.c.add(Change{Rule: rule, Endpoints: []string{name(w.at)}, Where: p.text, Shared: p.shared, Old: before, New: now, Text: text})
}

// pick is the rule of this direction.
func (w *walker) pick(inRequest, inResponse diagnostic.ID) diagnostic.ID {
	if w.dir == request {
		return inRequest
	}
	return inResponse
}

// resolve follows references.
func resolve(m *spec.Manifest, s *spec.Schema) (target *spec.Schema, name string, nullable bool) {
	nullable = s.Nullable
	for seen := 0; s.Ref != "" && seen <= len(m.Schemas); seen++ { // a name may stand for a name, but not for itself
		name = s.Ref
		s = m.Schemas[s.Ref]
		nullable = nullable || s.Nullable
	}
	return s, name, nullable
}

func (w *walker) walk(p place, before, now *spec.Schema) {
	if before == nil || now == nil {
		return // any value, or none: whoever asks has looked
	}
	was, oldName, wasNullable := resolve(w.c.before, before)
	is, newName, isNullable := resolve(w.c.now, now)
	switch {
	case w.dir == request && wasNullable && !isNullable && !w.param:
		w.report(RequestNullForbidden, p, "null", "", p.text+" takes null no longer")
	case w.dir == response && !wasNullable && isNullable && !w.param:
		w.report(ResponseFieldBecameNullable, p, "", "null", p.text+" may be null")
	}
	if newName != "" {
		p = place{quoted(newName), true}
		if strings.Trim(newName, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.") == "" {
			p.text = newName // package.Type
		}
		if oldName != "" && oldName != newName && w.c.now.Schemas[oldName] == nil && w.c.before.Schemas[newName] == nil {
			w.report(TypeRenamed, p, oldName, newName, "the type "+oldName+" is called "+newName+" now")
		}
	}
	if w.seen[[2]*spec.Schema{was, is}] {
		return
	}
	w.seen[[2]*spec.Schema{was, is}] = true
	if !w.value(p, was, is) {
		return // of another type: what is in it cannot be compared
	}
	if was.Type == spec.TypeArray {
		w.walk(p.items(), orAny(was.Items), orAny(is.Items))
	}
	w.walk(p.values(), was.Values, is.Values)
	w.members(p, was, is)
}

// orAny is what items are that nothing is said of.
func orAny(s *spec.Schema) *spec.Schema {
	if s == nil {
		return &spec.Schema{}
	}
	return s
}

// members compares the members of objects.
func (w *walker) members(p place, was, is *spec.Schema) {
	gone, added := map[string]*spec.Schema{}, map[string]*spec.Schema{}
	for name, s := range was.Properties {
		if is.Properties[name] == nil {
			gone[name] = s
		}
	}
	for name, s := range is.Properties {
		if was.Properties[name] == nil {
			added[name] = s
		}
	}
	for _, name := range slices.Sorted(maps.Keys(is.Properties)) {
		if added[name] == nil {
			w.member(p.member(name), was, is, name, name)
		}
	}
	for _, from := range slices.Sorted(maps.Keys(gone)) {
		to := renamed(from, gone, added, was, is)
		if to == "" {
			continue
		}
		q := p.member(to)
		w.report(JSONNameChanged, q, from, to, q.text+" was called "+quoted(from))
		w.member(q, was, is, from, to)
		delete(gone, from)
		delete(added, to)
	}
	for _, name := range slices.Sorted(maps.Keys(gone)) {
		q := p.member(name)
		switch {
		case w.dir == response:
			w.report(ResponseFieldRemoved, q, "", "", q.text+" was removed from responses")
		case w.strict:
			w.report(RequestFieldRemoved, q, "", "", q.text+" was removed, and requests that have it are refused")
		default:
			w.report(RequestFieldIgnored, q, "", "", q.text+" was removed, and is ignored in requests")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(added)) {
		if w.dir == request && slices.Contains(is.Required, name) {
			q := p.member(name)
			w.report(RequestFieldRequiredAdded, q, "", "", q.text+" is new and required in requests")
		}
	}
}

// member compares one that is called from before, and to now.
func (w *walker) member(q place, was, is *spec.Schema, from, to string) {
	wasRequired, isRequired := slices.Contains(was.Required, from), slices.Contains(is.Required, to)
	switch {
	case w.dir == request && !wasRequired && isRequired:
		w.report(RequestFieldBecameRequired, q, "optional", "required", q.text+" became required in requests")
	case w.dir == response && wasRequired && !isRequired:
		w.report(ResponseFieldBecameOptional, q, "required", "optional", q.text+" may be missing in responses")
	}
	w.walk(q, was.Properties[from], is.Properties[to])
	if w.dir == request && !isRequired {
		w.defaults(q, was.Properties[from], is.Properties[to])
	}
}

// defaults compares what an absent value means.
func (w *walker) defaults(p place, before, now *spec.Schema) {
	was, _, _ := resolve(w.c.before, before)
	is, _, _ := resolve(w.c.now, now)
	if was.Type != is.Type {
		return // that says more
	}
	text := func(s *spec.Schema) string {
		if s.Default == nil {
			return "nothing"
		}
		return quoted(*s.Default)
	}
	if from, to := text(was), text(is); from != to {
		w.report(RequestDefaultChanged, p, from, to, "without "+p.text+", "+from+" was taken and "+to+" is")
	}
}

// renamed returns what the member from is called now; empty if it is gone.
func renamed(from string, gone, added map[string]*spec.Schema, was, is *spec.Schema) string {
	alike := func(from, to string) bool {
		return slices.Contains(was.Required, from) == slices.Contains(is.Required, to) && sameShape(gone[from], added[to]) &&
			(similar(from, to) || gone[from].Doc != "" && gone[from].Doc == added[to].Doc)
	}
	var found []string
	for to := range added {
		if alike(from, to) {
			found = append(found, to)
		}
	}
	if len(found) != 1 {
		return ""
	}
	for other := range gone {
		if other != from && alike(other, found[0]) {
			return "" // which of the two became it is not said
		}
	}
	return found[0]
}

// similar reports whether two names are probably one: in another style, or spelt better.
func similar(a, b string) bool {
	plain := strings.NewReplacer("_", "", "-", "")
	a, b = strings.ToLower(plain.Replace(a)), strings.ToLower(plain.Replace(b))
	return a == b || spelling.Suggest(a, []string{b}) != "" || len(min(a, b)) > 2 && (strings.HasPrefix(a, b) || strings.HasPrefix(b, a))
}

// sameShape reports whether two schemas describe the same values, as far as they themselves say.
func sameShape(a, b *spec.Schema) bool {
	plain := func(s *spec.Schema) spec.Schema {
		c := *s
		c.Doc = ""
		return c
	}
	x, err := spec.Canonical(plain(a))
	if err != nil {
		return false
	}
	y, err := spec.Canonical(plain(b))
	return err == nil && string(x) == string(y)
}
