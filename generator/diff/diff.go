// Package diff tells two manifests apart, field by field, for people: which endpoints and types one has and the other
// has not, and what differs in those that both have. It judges nothing; package breaking does. Start reading at
// [Compare].
package diff

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/stella-ops/router/generator/breaking"
	"github.com/stella-ops/router/spec"
)

// Plan is how to come from one manifest to the other.
type Plan struct {
	Service   []Field // the service itself
	Endpoints []Item  // by path and method
	Types     []Item  // by name
}

// Item is an endpoint or a type that differs.
type Item struct {
	Name   string
	Was    string // its name before, if that differs
	Action Action
	Fields []Field
}

// Field is what differs in an item. An addition has no Old, a removal no New.
type Field struct {
	Name     string
	Old, New string
}

// Action is what becomes of an item.
type Action byte

// The actions, as they are shown.
const (
	Add    Action = '+'
	Change Action = '~'
	Remove Action = '-'
)

// Action is what becomes of the field.
func (f Field) Action() Action {
	switch {
	case f.Old == "":
		return Add
	case f.New == "":
		return Remove
	}
	return Change
}

// Empty reports whether nothing differs.
func (p Plan) Empty() bool { return len(p.Service)+len(p.Endpoints)+len(p.Types) == 0 }

// Count is the number of endpoints that are added, changed and removed.
func (p Plan) Count() (added, changed, removed int) {
	for _, item := range p.Endpoints {
		switch item.Action {
		case Add:
			added++
		case Change:
			changed++
		case Remove:
			removed++
		}
	}
	return added, changed, removed
}

// Compare returns what differs. Either manifest may be nil: it has nothing. Both have been checked.
func Compare(before, now *spec.Manifest) Plan {
	if before == nil {
		before = &spec.Manifest{}
	}
	if now == nil {
		now = &spec.Manifest{}
	}
	plan := Plan{Service: fields(service(before), service(now))}
	pairs, gone, added := breaking.Match(before, now)
	for _, p := range pairs {
		item := Item{Name: name(p.Now), Action: Change, Fields: fields(endpoint(p.Before), endpoint(p.Now))}
		if was := name(p.Before); was != item.Name {
			item.Was = was
		}
		if len(item.Fields) > 0 || item.Was != "" {
			plan.Endpoints = append(plan.Endpoints, item)
		}
	}
	for _, e := range added {
		plan.Endpoints = append(plan.Endpoints, Item{Name: name(e), Action: Add, Fields: fields(nil, endpoint(e))})
	}
	for _, e := range gone {
		plan.Endpoints = append(plan.Endpoints, Item{Name: name(e), Action: Remove, Fields: fields(endpoint(e), nil)})
	}
	slices.SortStableFunc(plan.Endpoints, func(a, b Item) int { // as manifests are
		return cmp.Or(strings.Compare(path(a), path(b)), strings.Compare(a.Name, b.Name))
	})
	plan.Types = types(before, now)
	return plan
}

func name(e *spec.Endpoint) string { return e.Method + " " + e.Path }

func path(i Item) string {
	_, path, _ := strings.Cut(i.Name, " ")
	return path
}

func types(before, now *spec.Manifest) []Item {
	all := maps.Clone(now.Schemas)
	if all == nil {
		all = map[string]*spec.Schema{}
	}
	maps.Copy(all, before.Schemas)
	var items []Item
	for _, name := range slices.Sorted(maps.Keys(all)) {
		was, is := before.Schemas[name], now.Schemas[name]
		item := Item{Name: name, Action: Change, Fields: fields(schema("type", was, false), schema("type", is, false))}
		switch {
		case was == nil:
			item.Action = Add
		case is == nil:
			item.Action = Remove
		case len(item.Fields) == 0:
			continue
		}
		items = append(items, item)
	}
	return items
}

// entry is a field of one side.
type entry struct{ name, value string }

// fields are the entries that differ: in the order of the new side, and those that are gone at the end.
func fields(before, now []entry) []Field {
	before, now = numbered(before), numbered(now)
	old := map[string]string{}
	for _, e := range before {
		old[e.name] = e.value
	}
	var all []Field
	for _, e := range now {
		if was, there := old[e.name]; !there || was != e.value {
			all = append(all, Field{e.name, was, e.value})
		}
		delete(old, e.name)
	}
	for _, e := range before {
		if _, gone := old[e.name]; gone {
			all = append(all, Field{e.name, e.value, ""})
		}
	}
	return all
}

// numbered gives those entries another name whose name has been there, such as a claim that is required twice.
func numbered(all []entry) []entry {
	count := map[string]int{}
	for i := range all {
		n := all[i].name
		count[n]++
		if count[n] > 1 {
			all[i].name += " (" + strconv.Itoa(count[n]) + ")"
		}
	}
	return all
}
