package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Value is one value of a configuration, as operators see it.
type Value struct {
	Path    string `json:"path"`
	Text    string `json:"value"` // or, in parentheses, what counts where there is none
	Origin  string `json:"origin"`
	Restart bool   `json:"restart,omitempty"` // it cannot change while the gateway runs
	// AfterRestart is what the file says, where that is not in force. Then there may be neither value nor origin: nothing of the
	// kind was there when the gateway was started.
	AfterRestart *Waiting `json:"afterRestart,omitempty"`

	compare string // what Text may not show
	with    string
}

// Waiting is a value that a restart puts in force. It is empty where a restart takes the setting away.
type Waiting struct {
	Text   string `json:"value"`
	Origin string `json:"origin"`
}

// Values lists all values, in the order of the reference. Secrets are not shown.
func (l *Loaded) Values() []Value {
	var all []Value
	l.walk(reflect.ValueOf(&l.File).Elem(), "", false, &all)
	return all
}

func (l *Loaded) walk(v reflect.Value, path string, restart bool, all *[]Value) {
	settings := settingsOf(v.Type(), path)
	for i := range settings {
		s := &settings[i]
		at, field, fixed := join(path, s.key), v.Field(s.index), restart || s.restart
		switch shapeOf(s.typ) {
		case section:
			if field.Kind() == reflect.Pointer {
				if field.IsNil() {
					continue
				}
				field = field.Elem()
			}
			l.walk(field, at, fixed, all)
		case entries:
			for i := range field.Len() {
				l.walk(field.Index(i), fmt.Sprintf("%s[%d]", at, i), fixed, all)
			}
		case named:
			for _, key := range sortedKeys(field) {
				l.walk(field.MapIndex(reflect.ValueOf(key)), fmt.Sprintf("%s[%s]", at, key), fixed, all)
			}
		case scalar, list, table:
			text, origin := format(field), l.Origin(at)
			shown := shown(s, text)
			if s.unsaid != "" && field.IsZero() && origin.Kind == FromDefault {
				shown = "(" + s.unsaid + ")"
			}
			*all = append(*all, Value{Path: at, Text: shown, Origin: origin.String(), Restart: fixed, compare: text, with: s.with})
		}
	}
}

func sortedKeys(m reflect.Value) []string {
	keys := make([]string, 0, m.Len())
	for _, k := range m.MapKeys() {
		keys = append(keys, k.String())
	}
	slices.Sort(keys)
	return keys
}

// Change is one value that another configuration has otherwise.
type Change struct {
	Path    string `json:"path"`
	Old     string `json:"old,omitempty"`
	New     string `json:"new,omitempty"`
	Kind    string `json:"kind"` // added, removed, changed
	Origin  string `json:"origin"`
	Restart bool   `json:"restart,omitempty"`
}

// Diff lists what another configuration, the newer, has otherwise.
func (l *Loaded) Diff(newer *Loaded) []Change { return diff(l.Values(), newer.Values()) }

// Diff lists what a file has otherwise than the gateway that the state is of has in force: what that one's variables and flags say
// stays, whatever the file says. Secrets are not shown, so that nothing can be said of them.
func (s *State) Diff(file *Loaded) []Change {
	var older, newer []Value
	stays, running := map[string]bool{}, map[string]string{} // origins
	for _, v := range s.Values {
		if v.Origin == "" { // it waits for a restart, and is in force nowhere
			continue
		}
		v.compare = v.Text
		older, running[v.Path] = append(older, v), v.Origin
		stays[v.Path] = strings.HasPrefix(v.Origin, "--") || strings.HasPrefix(v.Origin, variablePrefix)
	}
	for _, v := range file.Values() {
		v.compare = v.Text
		newer = append(newer, v)
		if host := string(FromDefault); v.Path == "node.id" && v.Origin == host && running[v.Path] == host {
			stays[v.Path] = true // whichever machine that is
		}
	}
	unmoved := func(v Value) bool { return stays[v.Path] }
	return diff(slices.DeleteFunc(older, unmoved), slices.DeleteFunc(newer, unmoved))
}

func diff(older, newer []Value) []Change {
	changes := []Change{}
	before, with := map[string]Value{}, map[string]string{}
	for _, v := range older {
		before[v.Path] = v
	}
	for _, v := range newer {
		with[v.Path] = v.with
		old, was := before[v.Path]
		delete(before, v.Path)
		switch {
		case !was:
			changes = append(changes, Change{Path: v.Path, New: v.Text, Kind: "added", Origin: v.Origin, Restart: v.Restart})
		case old.compare != v.compare:
			changes = append(changes, Change{Path: v.Path, Old: old.Text, New: v.Text, Kind: "changed", Origin: v.Origin, Restart: v.Restart})
		}
	}
	for _, v := range older { // in their order
		if _, gone := before[v.Path]; gone {
			changes = append(changes, Change{Path: v.Path, Old: v.Text, Kind: "removed", Origin: v.Origin, Restart: v.Restart})
		}
	}
	for i := range changes {
		c := &changes[i]
		c.Restart = c.Restart || slices.ContainsFunc(changes, func(other Change) bool { return other.Path == with[c.Path] && other.Restart })
	}
	return changes
}

// reloaded is what is in force when newer was read, but for what waits for a restart, which is listed.
func reloaded(running, newer []Value) (now []Value, waiting []string) {
	before, after := map[string]Value{}, map[string]Value{}
	for _, v := range running {
		if v.AfterRestart != nil && v.Origin == "" { // there was none
			continue
		}
		v.AfterRestart = nil
		before[v.Path] = v
	}
	running = slices.DeleteFunc(slices.Clone(running), func(v Value) bool { _, ok := before[v.Path]; return !ok })
	waits := map[string]bool{}
	for _, c := range diff(running, newer) {
		if c.Restart {
			waits[c.Path] = true
			waiting = append(waiting, c.Path)
		}
	}
	for _, v := range newer {
		after[v.Path] = v
		if waits[v.Path] {
			old := before[v.Path]
			v = Value{
				Path: v.Path, Text: old.Text, Origin: old.Origin, Restart: v.Restart, AfterRestart: &Waiting{v.Text, v.Origin}, compare: old.compare, with: v.with,
			}
		}
		now = append(now, v)
	}
	for _, v := range running {
		if _, still := after[v.Path]; !still && waits[v.Path] {
			v.AfterRestart = new(Waiting)
			now = append(now, v)
		}
	}
	return now, waiting
}
