package override

import (
	"slices"
	"strconv"
	"strings"

	"github.com/stella-ops/router/generator/directive"
	"github.com/stella-ops/router/spec"
)

// The keys of the file, and the one of an entry that is no key of a directive.
const (
	keyService   = "service"
	keyDefaults  = "defaults"
	keyEndpoints = "endpoints"
	keyClaims    = "claims"
	keyStream    = "stream"
)

// loosening is how a time is looser than another.
const loosening = "longer"

var fileKeys = []string{keyService, keyDefaults, keyEndpoints}

// Key is a key of the endpoint directive that the file may refine.
type Key struct {
	directive.Key

	Defaults bool // it may stand below defaults
	Jobs     bool // it is said of jobs alone
	Looser   string
	isLooser func(here, code directive.Value) bool
}

// Loosens reports whether a value of the file is looser than one that the code says.
func (k Key) Loosens(here, code directive.Value) bool {
	return k.isLooser != nil && k.isLooser(here, code)
}

// Same reports whether two texts are one value of the key: 60s is 1m.
func (k Key) Same(a, b string) bool {
	if a == b || k.Type == directive.List {
		return a == b
	}
	x, wrong := k.Check(a)
	y, alsoWrong := k.Check(b)
	switch {
	case wrong != "" || alsoWrong != "":
		return false
	case k.Type == directive.Duration:
		return x.Duration == y.Duration
	case k.Type == directive.Size || k.Type == directive.Integer:
		return x.Int == y.Int
	}
	return x.Text == y.Text
}

// Keys returns the keys in the order of their documentation. Claims are not among them.
func Keys() []Key { return slices.Clone(keys) }

// FindKey returns the key of this name.
func FindKey(name string) (Key, bool) {
	i := slices.IndexFunc(keys, func(k Key) bool { return k.Name == name })
	if i < 0 {
		return Key{}, false
	}
	return keys[i], true
}

// keys are those of the registry that say how much a handler may take. Those that say what it does have no place here:
// a file that is changed without the handler would make them wrong.
var keys = []Key{
	{Key: registered("unknown"), Defaults: true, Looser: "looser", isLooser: func(here, code directive.Value) bool {
		return here.Text == spec.UnknownIgnore && code.Text != here.Text
	}},
	{Key: registered("timeout"), Defaults: true, Looser: loosening, isLooser: longer},
	{Key: registered("idle"), Defaults: true, Looser: loosening, isLooser: longer},
	{Key: registered("body"), Defaults: true, Looser: "larger", isLooser: more},
	{Key: registered(keyStream), Looser: "wider", isLooser: wider},
	{Key: registered("attempts"), Defaults: true, Jobs: true, Looser: "more", isLooser: more},
	{Key: registered("lease"), Defaults: true, Jobs: true, Looser: loosening, isLooser: longer},
	{Key: registered("slo"), Defaults: true},
	{Key: registered("within"), Defaults: true},
	{Key: registered("stability"), Defaults: true},
	{Key: registered("sunset")},
	{Key: registered("tags"), Defaults: true},
}

func registered(name string) directive.Key {
	def, _ := directive.Lookup("endpoint")
	i := slices.IndexFunc(def.Keys, func(k directive.Key) bool { return k.Name == name })
	if i < 0 {
		return directive.Key{} // a test looks for it
	}
	return def.Keys[i]
}

func longer(here, code directive.Value) bool { return here.Duration > code.Duration }
func more(here, code directive.Value) bool   { return here.Int > code.Int }

// wider reports whether a body may be streamed here that the code does not stream. An upgrade is another thing than all else.
func wider(here, code directive.Value) bool {
	if upgrade := string(spec.StreamUpgrade); here.Text == upgrade || code.Text == upgrade {
		return here.Text != code.Text
	}
	return here.Text != code.Text && here.Text != string(spec.StreamNone) && code.Text != string(spec.StreamBoth)
}

// SpellClaim writes a claim as authors do, in directives and in the file.
func SpellClaim(r spec.ClaimRequirement) string {
	const special = " \t\r,\"`"
	text := r.Type
	if strings.ContainsAny(text, special+"=") || strings.HasPrefix(text, "//") { // an argument of another kind, or several
		text = strconv.Quote(text)
	}
	switch {
	case r.Value == "":
		return text
	case strings.ContainsAny(r.Value, special) || strings.HasPrefix(r.Value, "//"):
		return text + " " + strconv.Quote(r.Value)
	}
	return text + " " + r.Value
}

// names are those of the keys that an entry, or defaults, may have.
func names(defaults bool) []string {
	var list []string
	for _, k := range keys {
		if k.Defaults || !defaults {
			list = append(list, k.Name)
		}
	}
	return append(list, keyClaims)
}
