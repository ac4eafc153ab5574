package config

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/internal/fault"
	"github.com/stella-ops/router/internal/spelling"
	"github.com/stella-ops/router/internal/strictyaml"
)

// Source is what a configuration is made of. What is further down stands above what is before it.
type Source struct {
	Name string // of the file, as it is opened, for faults and origins
	Text []byte // of the file; nil: there is none
	// Variable looks up a variable. Nil: there are none.
	Variable func(name string) (value string, ok bool)
	Flags    []Flag
	Host     string // this machine's name, which is the gateway's where nobody says another
}

// Flag is a value that a flag gives.
type Flag struct {
	Name string // as it is written: --http
	Path string // of the setting: admin.address
	Text string // as the variable would have it
}

// Loaded is a configuration without faults.
type Loaded struct {
	File File // with what is in force where nobody says anything

	origins  map[string]Origin
	routing  routing.Policy            // what was said of it
	services map[string]routing.Policy // what was said of them
}

// Origin is where a value came from.
type Origin struct {
	Kind OriginKind
	Name string // of the file, variable or flag
	Line int    // in the file, from 1
	Col  int    // in bytes, from 1
}

// OriginKind is a kind of origin.
type OriginKind string

// The kinds, the weakest first.
const (
	FromDefault  OriginKind = "default"
	FromFile     OriginKind = "file"
	FromVariable OriginKind = "variable"
	FromFlag     OriginKind = "flag"
)

// String is the place where the value can be changed.
func (o Origin) String() string {
	switch o.Kind {
	case FromFile:
		return fmt.Sprintf("%s:%d:%d", o.Name, o.Line, o.Col)
	case FromVariable, FromFlag:
		return o.Name
	case FromDefault:
	}
	return "default"
}

// Fault is one thing that is wrong with a configuration.
type Fault struct {
	Origin  Origin
	Path    string // of the setting; may be empty
	Message string
	Hint    string // what to do about it; may be empty
}

func (f *Fault) String() string {
	text := f.Origin.String() + ": "
	if f.Origin.Kind == "" || f.Origin.Kind == FromDefault {
		text = ""
	}
	if f.Path != "" {
		text += f.Path + ": "
	}
	text += f.Message
	if f.Hint != "" {
		text += " (" + f.Hint + ")"
	}
	return text
}

// Explain says where the settings stand that an error of the gateway's is about: everything that is wrong, in the order of the
// file. Kind is what errors about the configuration begin with, and is said once. Other errors are told as they are.
func (l *Loaded) Explain(err, kind error) error {
	if !errors.Is(err, kind) {
		return err
	}
	faults := l.faults(err, kind)
	faults.sort()
	return fmt.Errorf("%w:\n%w", kind, faults)
}

// faults are what an error of the gateway's joins, each once.
func (l *Loaded) faults(err, kind error) (list Faults) {
	for _, leaf := range fault.Leaves(err) {
		message := strings.TrimPrefix(leaf.Err.Error(), kind.Error()+": ")
		if !slices.ContainsFunc(list, func(f Fault) bool { return f.Path == leaf.Setting && f.Message == message }) {
			list = append(list, Fault{Origin: l.place(leaf.Setting), Path: leaf.Setting, Message: message})
		}
	}
	return list
}

// Faults is an error: everything that is wrong with a configuration, in the order of the file, behind what is wrong with
// variables and flags.
type Faults []Fault //nolint:errname // named for what it lists

// sort puts the faults into the order of the file.
func (f Faults) sort() {
	slices.SortStableFunc(f, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Origin.Line, b.Origin.Line), cmp.Compare(a.Origin.Col, b.Origin.Col))
	})
}

func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].String()
	}
	return strings.Join(lines, "\n")
}

// Load reads a configuration. Its error is [Faults]: what can be said without the parts of a gateway. [Check] says the rest.
func Load(s Source) (*Loaded, error) {
	r := read(s)
	if len(r.faults) > 0 {
		r.faults.sort()
		return nil, r.faults
	}
	return r.loaded, nil
}

// Check reads a configuration as Load does, and has the parts of a gateway check it, too: its error is everything that is wrong,
// but for what hangs on something else that is.
func Check(s Source) (*Loaded, error) {
	r := read(s)
	if !r.blind {
		r.gateway()
	}
	if len(r.faults) > 0 {
		r.faults.sort()
		return nil, r.faults
	}
	return r.loaded, nil
}

// read reads a configuration as far as it goes.
func read(s Source) *reader {
	r := &reader{name: s.Name, loaded: &Loaded{origins: map[string]Origin{}}}
	root := reflect.ValueOf(&r.loaded.File).Elem()
	var node *strictyaml.Node
	if s.Text != nil {
		var faults []strictyaml.Fault
		node, faults = strictyaml.Parse(s.Text)
		for _, f := range faults {
			r.faults = append(r.faults, Fault{Origin: r.at(f.Place), Message: f.Message, Hint: f.Hint})
		}
		if node == nil {
			r.blind = true
			return r
		}
		r.refused = refusedIn(faults)
	}
	r.section(node, root, "")
	for _, found := range r.refused {
		r.blind = r.blind || !*found
	}
	r.variables(root, "", s.Variable)
	for _, f := range s.Flags {
		if !r.flag(root, f) {
			r.faults = append(r.faults, Fault{Origin: Origin{Kind: FromFlag, Name: f.Name}, Message: "there is no setting " + f.Path})
		}
	}
	if !r.blind {
		r.relations()
	}
	r.loaded.derive(s.Host)
	return r
}

// reader makes a File of a document, variables and flags.
type reader struct {
	name   string
	loaded *Loaded
	faults Faults

	blind    bool     // it is not known what the faults so far hide: nothing that hangs on several settings can be said
	doubtful []string // the paths of settings that have faults
	refused  refused
}

func (r *reader) at(p strictyaml.Place) Origin {
	return Origin{Kind: FromFile, Name: r.name, Line: p.Line, Col: p.Column}
}

func (r *reader) faultf(n *strictyaml.Node, path, text string, args ...any) *Fault {
	r.doubt(path)
	r.faults = append(r.faults, Fault{Origin: r.at(n.Place), Path: path, Message: fmt.Sprintf(text, args...)})
	return &r.faults[len(r.faults)-1]
}

// section reads a struct; a nil node is a section that is not there: its settings have their defaults.
func (r *reader) section(n *strictyaml.Node, v reflect.Value, path string) {
	settings := settingsOf(v.Type(), path)
	given, strange := map[string]*strictyaml.Node{}, false
	if n != nil {
		if n.Kind != strictyaml.Mapping {
			r.faultf(n, path, "expected keys and values, got %s", n.Kind)
			r.blind = r.blind || path == ""
			return
		}
		for _, m := range n.Members {
			i := slices.IndexFunc(settings, func(s setting) bool { return s.key == m.Key.Text })
			if i < 0 {
				strange = !r.unknown(m.Key, path, settings) || strange
				continue
			}
			at := join(path, m.Key.Text)
			r.look(at, m.Key, m.Value)
			given[m.Key.Text] = m.Value
			r.loaded.origins[at] = r.at(m.Key.Place)
		}
	}
	for i := range settings {
		s := &settings[i]
		node := given[s.key]
		if strange && node == nil && path == "" { // elsewhere the whole section is in doubt
			r.doubt(s.key) // it may have been meant
		}
		switch {
		case node != nil:
			r.value(node, s, v.Field(s.index), join(path, s.key))
		case s.required && slices.Contains(r.doubtful, join(path, s.key)): // another key was probably meant to be this one
		case s.required && n != nil:
			what, _, _ := strings.Cut(s.doc, ". ") // the rest is for the reference
			r.faultf(n, join(path, s.key), "is not said: %s.", strings.TrimSuffix(what, "."))
		default:
			r.preset(s, v.Field(s.index), join(path, s.key))
		}
	}
}

// unknown refuses a key. It reports whether it is known which one was meant.
func (r *reader) unknown(key *strictyaml.Node, path string, settings []setting) bool {
	r.look(path, key)
	f := r.faultf(key, path, "there is no key %.80q", key.Text)
	names := make([]string, len(settings))
	for i := range settings {
		names[i] = settings[i].key
	}
	if near := spelling.Suggest(key.Text, names); near != "" {
		r.doubt(join(path, near))
		f.Hint = "is it " + near + "?"
		return true
	}
	f.Hint = "there are " + strings.Join(names, ", ")
	return false
}

// preset gives a setting that nobody has said its default.
func (r *reader) preset(s *setting, v reflect.Value, path string) {
	if shapeOf(s.typ) == section && s.typ.Kind() == reflect.Struct {
		r.section(nil, v, path)
		return
	}
	if s.preset == "" {
		return
	}
	value, err := s.parseFlat(s.preset)
	if err != nil {
		r.faults = append(r.faults, Fault{Path: path, Message: "the default " + s.preset + ": " + err.Error()}) // a test finds it
		return
	}
	v.Set(value)
}

// value reads what stands behind a key.
func (r *reader) value(n *strictyaml.Node, s *setting, v reflect.Value, path string) {
	if r.unread(n) {
		return
	}
	if n.Kind == strictyaml.Null {
		r.faultf(n, path, "is empty").Hint = "write a value, or remove the key"
		return
	}
	switch shapeOf(s.typ) {
	case section:
		if v.Kind() == reflect.Pointer {
			v.Set(reflect.New(v.Type().Elem()))
			v = v.Elem()
		}
		r.section(n, v, path)
	case entries:
		r.items(n, v, path, func(item *strictyaml.Node, e reflect.Value, path string) { r.section(item, e, path) })
	case list:
		r.items(n, v, path, func(item *strictyaml.Node, e reflect.Value, path string) { r.scalar(item, s, e, path) })
	case named:
		r.members(n, s, v, path, func(value *strictyaml.Node, e reflect.Value, path string) { r.section(value, e, path) })
	case table:
		r.members(n, s, v, path, func(value *strictyaml.Node, e reflect.Value, path string) { r.scalar(value, s, e, path) })
	case scalar:
		r.scalar(n, s, v, path)
	}
}

func (r *reader) items(n *strictyaml.Node, v reflect.Value, path string, one func(*strictyaml.Node, reflect.Value, string)) {
	if n.Kind != strictyaml.List {
		r.faultf(n, path, "expected a list, got %s", n.Kind)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Items), len(n.Items)))
	for i, item := range n.Items {
		at := fmt.Sprintf("%s[%d]", path, i)
		r.loaded.origins[at] = r.at(item.Place)
		r.look(at, item)
		if !r.unread(item) {
			one(item, v.Index(i), at)
		}
	}
}

func (r *reader) members(n *strictyaml.Node, s *setting, v reflect.Value, path string, one func(*strictyaml.Node, reflect.Value, string)) {
	if n.Kind != strictyaml.Mapping {
		r.faultf(n, path, "expected keys and values, got %s", n.Kind)
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, m := range n.Members {
		at := fmt.Sprintf("%s[%s]", path, m.Key.Text)
		r.loaded.origins[at] = r.at(m.Key.Place)
		r.look(at, m.Key, m.Value)
		if r.unread(m.Value) {
			continue
		}
		if err := s.checkKey(m.Key.Text); err != nil {
			r.faultf(m.Key, path, "%v", err)
			continue
		}
		e := reflect.New(v.Type().Elem()).Elem()
		one(m.Value, e, at)
		v.SetMapIndex(reflect.ValueOf(m.Key.Text), e)
	}
}

func (r *reader) scalar(n *strictyaml.Node, s *setting, v reflect.Value, path string) {
	if n.Kind != strictyaml.Text {
		r.faultf(n, path, "expected one value, got %s", n.Kind)
		return
	}
	if n.Quoted && (v.Kind() == reflect.Int || v.Kind() == reflect.Bool) {
		r.faultf(n, path, "expected %s, got text in quotes", v.Kind())
		return
	}
	value, err := s.parse(v.Type(), n.Text)
	if err != nil {
		r.faultf(n, path, "%v", err)
		return
	}
	v.Set(value)
}

// variables reads the variables of all settings that have one.
func (r *reader) variables(v reflect.Value, path string, lookup func(string) (string, bool)) {
	if lookup == nil {
		return
	}
	settings := settingsOf(v.Type(), path)
	for i := range settings {
		s := &settings[i]
		at := join(path, s.key)
		switch {
		case shapeOf(s.typ).flat():
			name := s.variable(at)
			if text, ok := lookup(name); ok && text != "" {
				r.flat(s, v.Field(s.index), at, text, Origin{Kind: FromVariable, Name: name})
			}
		case s.typ.Kind() == reflect.Struct:
			r.variables(v.Field(s.index), at, lookup)
		}
	}
}

// flag gives the setting at a path the text of a flag. It reports whether there is one.
func (r *reader) flag(v reflect.Value, f Flag) bool {
	rest, at := f.Path, ""
	for {
		key, below, more := strings.Cut(rest, ".")
		settings := settingsOf(v.Type(), at)
		i := slices.IndexFunc(settings, func(s setting) bool { return s.key == key })
		if i < 0 {
			return false
		}
		s := &settings[i]
		v, at = v.Field(s.index), join(at, key)
		switch {
		case !more && shapeOf(s.typ).flat():
			r.flat(s, v, at, f.Text, Origin{Kind: FromFlag, Name: f.Name})
			return true
		case !more || s.typ.Kind() != reflect.Struct:
			return false
		}
		rest = below
	}
}

func (r *reader) flat(s *setting, v reflect.Value, path, text string, from Origin) {
	value, err := s.parseFlat(text)
	if err != nil {
		r.doubt(path)
		r.faults = append(r.faults, Fault{Origin: from, Path: path, Message: err.Error()})
		return
	}
	v.Set(value)
	for below := range r.loaded.origins { // what the file has said of its items counts no more
		if strings.HasPrefix(below, path+"[") {
			delete(r.loaded.origins, below)
		}
	}
	r.loaded.origins[path] = from
}

// Origin is where the value at a path came from.
func (l *Loaded) Origin(path string) Origin {
	if o, ok := l.origins[path]; ok {
		return o
	}
	if from := l.inherited(path); from != "" {
		return l.Origin(from)
	}
	return Origin{Kind: FromDefault}
}

// place is where a fault of the setting at a path stands: the setting, or what of the file it would be a part of.
func (l *Loaded) place(path string) Origin {
	for path != "" {
		if o, ok := l.origins[path]; ok {
			return o
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			break
		}
		path = path[:cut]
	}
	return Origin{Kind: FromDefault}
}
