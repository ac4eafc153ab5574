package lint

import (
	"go/types"
	"math/big"
	"regexp"
	"strings"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/generator/scan"
	"github.com/stella-ops/router/spec"
)

var schemaRules = []rule{
	entry("STL1301", "SCHEMA_OPEN_TYPE", Schema, warn, Standard, "any JSON value will do",
		"The manifest says nothing about what comes or goes here: an interface, or a type that decodes itself. No client has a "+
			"type for it, and no check looks at it.").ofMember(openType),
	entry("STL1302", "SCHEMA_MAP_KEY", Schema, warn, Standard, "map's keys are no text",
		"JSON has text for keys. Numbers and other types become text on the way, and callers see no more than that.").ofMember(mapKey),
	entry("STL1303", "SCHEMA_FLOAT_MONEY", Schema, warn, Standard, "money as a floating point number",
		"0.1 + 0.2 is not 0.3 in binary. Use an integer of the smallest unit, such as cents, or text.").
		ofMember(floatMoneyMember).ofParam(floatMoneyParam),
	entry("STL1304", "SCHEMA_INT64_JSON", Schema, warn, Standard, "integers that JSON readers round",
		"JavaScript, and whatever reads JSON numbers as doubles, keeps integers exact up to 2^53-1. Bound the member by maximum "+
			"(and minimum), or send it as text.").ofMember(wideInteger),
	entry("STL1305", "SCHEMA_TIME_ZONE", Schema, warn, Standard, "time without a zone",
		"Text or a number leaves it to the reader which zone, unit or form is meant. time.Time travels as RFC 3339, with its "+
			"zone.").ofMember(timeZone),
	entry("STL1306", "OMITEMPTY_ON_REQUIRED", Schema, warn, Standard, "required member may be left out",
		"The schema promises the member, and the encoder leaves it out when it is empty.").ofMember(omitEmpty),
	entry("STL1307", "ENUM_OF_ONE", Schema, warn, Standard, "choice of one",
		"A value that cannot be anything else tells nothing. Leave the member out until there is a choice.").
		ofParam(enumParam).ofMember(enumMember),
	entry("STL1308", "PATTERN_UNANCHORED", Schema, warn, Standard, "pattern matches parts",
		"A pattern that is not anchored is fulfilled by any text that has a match somewhere within: [a-z]+ lets \"<a>\" pass. Write "+
			"^...$.").ofParam(anchorParam).ofMember(anchorMember),
	entry("STL1309", "PATTERN_RE2_ONLY", Schema, warn, Standard, "pattern that JavaScript does not read",
		"JSON Schema's patterns are those of JavaScript. The parts named here mean something in Go alone: validators of callers "+
			"refuse the schema, or check something else.").ofParam(portableParam).ofMember(portableMember),
}

// isOpen reports whether a schema, or what it holds, says nothing.
func isOpen(s *spec.Schema) bool {
	switch {
	case s == nil || s.Ref != "":
		return false
	case s.Items != nil || s.Values != nil:
		return isOpen(s.Items) || isOpen(s.Values)
	}
	return s.Type == "" && len(s.Enum) == 0
}

func openType(r *reporter, m *member) {
	if isOpen(m.schema) {
		r.at(m.span(), "member %s may be any JSON value", m.Name).Hint = "give it a type that the generator can look into"
	}
}

func mapKey(r *reporter, m *member) {
	t := m.Type.Go
	for {
		switch u := t.Underlying().(type) {
		case *types.Pointer:
			t = u.Elem()
			continue
		case *types.Slice:
			t = u.Elem()
			continue
		case *types.Map:
			if basic, ok := u.Key().Underlying().(*types.Basic); !ok || basic.Info()&types.IsString == 0 {
				r.at(m.span(), "keys of member %s are %s, and JSON makes text of them", m.Name, u.Key().String())
				return
			}
			t = u.Elem()
			continue
		}
		return
	}
}

var money = []string{"amount", "balance", "charge", "cost", "fee", "price", "subtotal", "tax", "total", "vat"}

func isFloatMoney(name string, s *spec.Schema) bool {
	is := among(words(name), money...)
	return is && s.Type == spec.TypeNumber && (s.Format == "double" || s.Format == "float")
}

func floatMoneyMember(r *reporter, m *member) {
	if isFloatMoney(m.Name, m.schema) {
		r.at(m.span(), "%s looks like money, and is a floating point number", m.Name)
	}
}

func floatMoneyParam(r *reporter, p *param) {
	if isFloatMoney(p.spec.Name, p.spec.Schema) {
		r.at(p.at, "%s looks like money, and is a floating point number", p.spec.Name)
	}
}

// exact is the largest integer up to which doubles are exact.
var exact = big.NewRat(1<<53-1, 1)

// beyond reports whether a bound of a schema, which may be missing, lets pass what is not exact.
func beyond(bound string, sign int64) bool {
	n, ok := new(big.Rat).SetString(bound)
	return !ok || new(big.Rat).Mul(n, big.NewRat(sign, 1)).Cmp(exact) > 0
}

func wideInteger(r *reporter, m *member) {
	s := m.schema
	basic, ok := element(m.Type).Go.Underlying().(*types.Basic)
	if s.Items != nil {
		s = s.Items
	}
	if !ok || basic.Kind() != types.Int64 && basic.Kind() != types.Uint64 || s.Type != spec.TypeInteger || len(s.Enum) > 0 {
		return // int counts things; whoever writes int64 means that numbers may be large
	}
	high, low := s.Maximum, s.Minimum
	if high == "" {
		high = s.Below
	}
	if low == "" {
		low = s.Above
	}
	if beyond(high, 1) || basic.Kind() == types.Int64 && low != "" && beyond(low, -1) {
		r.at(m.span(), "member %s may be larger than 2^53-1, which JSON readers round", m.Name).Hint =
			"add `maximum:\"9007199254740991\"` or less, or make it text"
	}
}

// element is what a type is one or several of.
func element(t *scan.Type) *scan.Type {
	for t.Elem != nil && t.Kind != scan.Map {
		t = t.Elem
	}
	return t
}

func timeZone(r *reporter, m *member) {
	list := words(m.Name)
	last := list[max(len(list)-1, 0):]
	is := among(last, "at", "time", "timestamp")
	plain := m.schema.Format == "" || strings.Contains(m.schema.Format, "int")
	text := m.schema.Type == spec.TypeString && m.schema.Pattern == "" && len(m.schema.Enum) == 0
	if is && (len(list) > 1 || last[0] != "at") && plain && (text || m.schema.Type == spec.TypeInteger) {
		r.at(m.span(), "%s looks like a time, and is a plain %s", m.Name, m.schema.Type).Hint = "make it a time.Time"
	}
}

func omitEmpty(r *reporter, m *member) {
	for _, option := range jsonOptions(m.Source) {
		if m.Required && (option == "omitempty" || option == "omitzero") {
			f := r.at(m.span(), "member %s is required, and %s leaves it out", m.Name, option)
			f.Hint = "remove one of both"
			if fix, ok := withoutOption(m.Source, option); ok {
				f.Fixes = []diagnostic.Fix{fix}
			}
		}
	}
}

func enumParam(r *reporter, p *param) {
	if len(p.spec.Schema.Enum) == 1 {
		r.at(p.at, "%s can be nothing but %s", p.spec.Name, p.spec.Schema.Enum[0])
	}
}

func enumMember(r *reporter, m *member) {
	if len(m.schema.Enum) == 1 {
		r.at(m.span(), "%s can be nothing but %s", m.Name, m.schema.Enum[0])
	}
}

// pattern is that of a value, or of the items of an array.
func pattern(s *spec.Schema) string {
	for ; s != nil; s = s.Items {
		if s.Pattern != "" {
			return s.Pattern
		}
	}
	return ""
}

func anchored(p string) bool {
	return p == "" || strings.HasPrefix(p, "^") && strings.HasSuffix(p, "$") && !strings.HasSuffix(p, `\$`)
}

const anchorHint = "write ^...$ around it"

func anchorParam(r *reporter, p *param) {
	if text := pattern(p.spec.Schema); !anchored(text) {
		r.at(p.at, "pattern %s of %s matches parts of the text", text, p.spec.Name).Hint = anchorHint
	}
}

func anchorMember(r *reporter, m *member) {
	if text := pattern(m.schema); !anchored(text) {
		r.at(m.span(), "pattern %s of %s matches parts of the text", text, m.Name).Hint = anchorHint
	}
}

// goOnly finds what RE2 has and JavaScript does not, or reads otherwise.
var goOnly = regexp.MustCompile(`\(\?[a-zA-Z-]+[:)]|\(\?P<|\\[AzQEaC]|\[\[:\^?[a-z]+:\]|\\x\{|\\[pP][A-Z]`)

func foreign(s *spec.Schema) string {
	return goOnly.FindString(strings.ReplaceAll(pattern(s), `\\`, ""))
}

func portableParam(r *reporter, p *param) {
	if part := foreign(p.spec.Schema); part != "" {
		r.at(p.at, "%s in the pattern of %s means nothing to JavaScript", part, p.spec.Name)
	}
}

func portableMember(r *reporter, m *member) {
	if part := foreign(m.schema); part != "" {
		r.at(m.span(), "%s in the pattern of %s means nothing to JavaScript", part, m.Name)
	}
}
