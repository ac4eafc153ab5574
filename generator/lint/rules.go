package lint

import (
	"slices"

	"github.com/stella-ops/router/generator/diagnostic"
)

// The categories.
const (
	Style     = "STYLE"     // names and paths
	Security  = "SECURITY"  // who may call, and what leaks
	Bounds    = "LIMITS"    // how much, and how long
	Schema    = "SCHEMA"    // what JSON makes of Go types
	HTTP      = "HTTP"      // what methods and statuses promise
	Docs      = "DOCS"      // what readers look for
	Lifecycle = "LIFECYCLE" // deprecation and promises
	Transport = "TRANSPORT" // queues, and links that carry small calls only
	Code      = "CODE"      // function bodies: only an analyzer sees them
)

// Categories lists the categories.
func Categories() []string {
	return []string{Style, Security, Bounds, Schema, HTTP, Docs, Lifecycle, Transport, Code}
}

// Ids that are named elsewhere.
const (
	ignoreExpired diagnostic.ID = "STL1107"

	HandlerIgnoresContext diagnostic.ID = "STL1801"
	StreamIgnoresContext  diagnostic.ID = "STL1802"
	ReservedHeaderRead    diagnostic.ID = "STL1803"
)

// rule is an entry of the table: one or more of its functions are there, but for rules whose findings are made elsewhere.
type rule struct {
	diagnostic.Rule

	preset   Preset
	service  func(*reporter, *service)
	endpoint func(*reporter, *endpoint)
	param    func(*reporter, *param)
	object   func(*reporter, *object)
	member   func(*reporter, *member)
}

// needsBodies reports whether only a look at function bodies finds what the rule is about.
func (r rule) needsBodies() bool { return r.Category == Code }

// rules are sorted by id. The hundreds are those of the categories, so that each has room to grow.
var rules = slices.Concat(styleRules, securityRules, limitRules, schemaRules, httpRules, docRules, lifecycleRules, transportRules, codeRules)

// Rules returns the rules, sorted by id.
func Rules() []diagnostic.Rule {
	list := make([]diagnostic.Rule, len(rules))
	for i := range rules {
		list[i] = rules[i].Rule
	}
	return list
}

// Find returns the rule with this id or name.
func Find(name string) (diagnostic.Rule, bool) {
	if r := find(name); r != nil {
		return r.Rule, true
	}
	return diagnostic.Rule{}, false
}

// PresetOf is the smallest preset that has a rule.
func PresetOf(id diagnostic.ID) Preset {
	if r := find(string(id)); r != nil {
		return r.preset
	}
	return Off
}

func find(name string) *rule {
	i := slices.IndexFunc(rules, func(r rule) bool { return string(r.ID) == name || r.Name == name })
	if i < 0 {
		return nil
	}
	return &rules[i]
}

// entry begins an entry of the table. All can be ignored: what nothing excuses is an error of the input.
func entry(id diagnostic.ID, name, category string, severity diagnostic.Severity, preset Preset, title, text string) rule {
	return rule{
		Rule: diagnostic.Rule{
			ID: id, Name: name, Category: category, Severity: severity, Title: title, Text: text, Ignorable: id != ignoreExpired,
		},
		preset: preset,
	}
}

func (r rule) ofService(f func(*reporter, *service)) rule   { r.service = f; return r }
func (r rule) ofEndpoint(f func(*reporter, *endpoint)) rule { r.endpoint = f; return r }
func (r rule) ofParam(f func(*reporter, *param)) rule       { r.param = f; return r }
func (r rule) ofObject(f func(*reporter, *object)) rule     { r.object = f; return r }
func (r rule) ofMember(f func(*reporter, *member)) rule     { r.member = f; return r }

// Severities, short enough for the table.
const (
	grave = diagnostic.Error
	warn  = diagnostic.Warning
	info  = diagnostic.Info
)
