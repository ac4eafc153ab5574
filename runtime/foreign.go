package stella

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"
)

// DecodeJSON hands the value to encoding/json: for types that decode themselves, and types generated code cannot see
// into. What encoding/json would let pass is refused before: members given twice at any depth, text that is not UTF-8,
// members that a struct does not have in exactly this case, arrays of another length, and null or text in place of
// what has neither. How a type with UnmarshalJSON reads its own text is its own business.
func DecodeJSON[T any](b *Binder, dst *T) { decodeJSON(b, dst, reflect.TypeFor[T]()) }

// decodeJSON decodes to dst, which points to a t. No method of Binder mentions package reflect, as every package with
// endpoints would be compiled with it.
func decodeJSON(b *Binder, dst any, t reflect.Type) {
	from, before := b.at, len(b.faults)+b.dropped
	inspector{b}.inspect(t)
	if len(b.faults)+b.dropped != before {
		return
	}
	d := json.NewDecoder(bytes.NewReader(b.text[from:b.at]))
	if !b.lax {
		d.DisallowUnknownFields() // names that no field or two fields have: inspect knows only those that no field has
	}
	err := d.Decode(dst)
	if err == nil {
		if raw := b.text[from:b.at]; b.rule != nil && raw[0] == '"' { // only text that decodes itself has a rule
			s, _ := unquote(bytes.TrimRight(raw, " \n\t\r"))
			b.faultAll(b.rule.text(s))
		}
		return
	}
	wrong, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		b.fault("not a valid value: " + err.Error())
		return
	}
	depth := len(b.path)
	if wrong.Field != "" {
		for name := range strings.SplitSeq(wrong.Field, ".") {
			b.enter(name)
		}
	}
	b.fault(fmt.Sprintf("expected a value for Go's %v, got %s", wrong.Type, cut(wrong.Value)))
	b.path = b.path[:depth]
}

// Types whose JSON form is not the one of their kind.
var (
	jsonDecoder = reflect.TypeFor[json.Unmarshaler]()
	textDecoder = reflect.TypeFor[encoding.TextUnmarshaler]()
	numberType  = reflect.TypeFor[json.Number]()
	timeType    = reflect.TypeFor[time.Time]()
)

// inspector looks at what encoding/json is to decode.
type inspector struct{ *Binder }

// inspect takes the value that comes next and reports what encoding/json would pass over in silence when it decodes
// the value to t. A nil t stands for a type that takes anything.
func (b inspector) inspect(t reflect.Type) {
	for t != nil && t.Kind() == reflect.Pointer {
		if b.null() {
			return
		}
		t = t.Elem()
	}
	switch {
	case t == nil:
		b.inspectAny()
	case t == numberType:
		b.inspectNumber(t)
	case t == timeType:
		b.inspectText()
	case reflect.PointerTo(t).Implements(jsonDecoder):
		b.inspectAny()
	case reflect.PointerTo(t).Implements(textDecoder):
		b.inspectText()
	default:
		b.inspectKind(t)
	}
}

func (b inspector) inspectKind(t reflect.Type) {
	switch t.Kind() {
	case reflect.String:
		b.inspectText()
	case reflect.Bool:
		var v bool
		DecodeBool(b.Binder, &v)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr,
		reflect.Float32, reflect.Float64:
		b.inspectNumber(t)
	case reflect.Array:
		b.inspectArray(t)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 && b.text.at(b.at) == '"' { // base64
			b.inspectText()
		} else if !b.null() {
			b.inspectArray(t)
		}
	case reflect.Map:
		if !b.null() {
			b.inspectMap(t)
		}
	case reflect.Struct:
		b.inspectStruct(t)
	default:
		b.inspectAny()
	}
}

// inspectAny takes a value of any type.
func (b inspector) inspectAny() {
	switch b.text.at(b.at) {
	case '{':
		b.inspectMembers(func(string) (reflect.Type, bool) { return nil, true })
	case '[':
		b.inspectElements(nil)
	case '"':
		b.inspectText()
	default:
		b.raw()
	}
}

func (b inspector) inspectText() {
	var s string
	DecodeString(b.Binder, &s)
}

// inspectNumber takes a number that fits t.
func (b inspector) inspectNumber(t reflect.Type) {
	switch t.Kind() {
	case reflect.String:
		b.number(kindNumber) // json.Number keeps every number
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		if n, ok := b.uint(); ok {
			b.fits(!t.OverflowUint(n), "integer")
		}
	case reflect.Float32, reflect.Float64:
		if n, ok := b.float(); ok {
			b.fits(!t.OverflowFloat(n), kindNumber)
		}
	default:
		if n, ok := b.int(); ok {
			b.fits(!t.OverflowInt(n), "integer")
		}
	}
}

// inspectArray takes an array for an array or slice type.
func (b inspector) inspectArray(t reflect.Type) {
	if b.text.at(b.at) != '[' {
		b.mismatch("array", b.raw())
		return
	}
	n := b.inspectElements(t.Elem())
	if t.Kind() == reflect.Array && n != t.Len() {
		b.fault(fmt.Sprintf("expected array of %d, got %d", t.Len(), n))
	}
}

// inspectElements takes an array and counts its elements.
func (b inspector) inspectElements(elem reflect.Type) int {
	b.open('[', "array")
	n := 0
	for ; b.more(']'); n++ {
		b.path = append(b.path, step{index: n})
		b.inspect(elem)
		b.leave()
	}
	return n
}

func (b inspector) inspectMap(t reflect.Type) {
	key := t.Key()
	check := func(name string) string { return integerKey(key, name) }
	if reflect.PointerTo(key).Implements(textDecoder) {
		seen := map[any]bool{}
		check = func(name string) string { return textKey(key, name, seen) }
	}
	b.inspectMembers(func(name string) (reflect.Type, bool) {
		if detail := check(name); detail != "" {
			b.fault(detail)
		}
		return t.Elem(), true
	})
}

// textKey tells what is wrong with a member's name that becomes a map's key by UnmarshalText: it may be the same as one
// that was seen before in other words.
func textKey(key reflect.Type, name string, seen map[any]bool) string {
	v := reflect.New(key)
	decoder, _ := reflect.TypeAssert[encoding.TextUnmarshaler](v)
	if err := decoder.UnmarshalText([]byte(name)); err != nil {
		return "not a valid name: " + err.Error()
	}
	if !v.Elem().Comparable() { // a key that is an interface may hold what no map takes
		return "not a valid name"
	}
	k := v.Elem().Interface()
	if seen[k] {
		return "member given twice, in other words"
	}
	seen[k] = true
	return ""
}

// integerKey tells what is wrong with a member's name that becomes a map's key, if that is an integer: it must be
// written in the one way that encoding/json writes it, or else two names are one key.
func integerKey(key reflect.Type, name string) string {
	wrong := false
	switch {
	case key.Kind() == reflect.String:
	case reflect.Int <= key.Kind() && key.Kind() <= reflect.Int64:
		n, err := strconv.ParseInt(name, 10, key.Bits())
		wrong = err != nil || strconv.FormatInt(n, 10) != name
	default:
		n, err := strconv.ParseUint(name, 10, key.Bits())
		wrong = err != nil || strconv.FormatUint(n, 10) != name
	}
	if wrong {
		return expected("a name that is a decimal "+key.Kind().String(), name)
	}
	return ""
}

func (b inspector) inspectStruct(t reflect.Type) {
	fields := membersOf(t)
	b.inspectMembers(func(name string) (reflect.Type, bool) {
		member, known := fields[name]
		if !known && b.lax && fields != nil { // what encoding/json would take for a field's name in another case is a fault
			known = true
			for field := range fields {
				known = known && !strings.EqualFold(field, name)
			}
		}
		return member, known
	})
}

// inspectMembers takes an object; find says of what type the member at hand is, and whether there may be one of this
// name.
func (b inspector) inspectMembers(find func(name string) (reflect.Type, bool)) {
	if !b.open('{', "object") {
		return
	}
	seen := map[string]bool{}
	for {
		name, more := b.name()
		if !more {
			return
		}
		b.enter(name)
		var t reflect.Type
		if seen[name] {
			b.fault("member given twice")
		} else if member, known := find(name); known {
			t = member
		} else {
			b.fault("unknown member")
		}
		seen[name] = true
		b.inspect(t)
		b.leave()
	}
}

// structs are the members of struct types that generated code cannot see into, which do not change: by type, each a
// map[string]reflect.Type.
var structs sync.Map

// membersOf are the types of a struct's members, by their names in JSON; nil where encoding/json judges alone.
func membersOf(t reflect.Type) map[string]reflect.Type {
	if known, ok := structs.Load(t); ok {
		members, _ := known.(map[string]reflect.Type)
		return members
	}
	members := map[string]reflect.Type{}
	visited := map[reflect.Type]bool{t: true}
	for level := []reflect.Type{t}; len(level) > 0; { // what is embedded deeper gives way
		var next []reflect.Type
		found := map[string]reflect.Type{}
		for _, s := range level {
			for f := range s.Fields() {
				name, member, embedded := memberOf(&f)
				if embedded != nil && !visited[embedded] {
					visited[embedded] = true
					next = append(next, embedded)
				}
				if _, twice := found[name]; twice {
					member = nil // which one it is, encoding/json knows
				}
				if name != "" {
					found[name] = member
				}
			}
		}
		for name, member := range found {
			if _, hidden := members[name]; !hidden {
				members[name] = member
			}
		}
		level = next
	}
	structs.Store(t, members)
	return members
}

// memberOf is what encoding/json makes of a field: a member, or the fields of an embedded struct, or nothing.
func memberOf(f *reflect.StructField) (name string, member, embedded reflect.Type) {
	tag := f.Tag.Get("json")
	if tag == "-" {
		return "", nil, nil
	}
	name, options, _ := strings.Cut(tag, ",")
	if f.Anonymous && name == "" {
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			return "", nil, inner
		}
	}
	if !f.IsExported() {
		return "", nil, nil
	}
	if name == "" {
		name = f.Name
	}
	for option := range strings.SplitSeq(options, ",") {
		if option == "string" { // a number within a string
			return name, nil, nil
		}
	}
	return name, f.Type, nil
}
