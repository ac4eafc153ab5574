package breaking

import (
	"net/textproto"
	"slices"
	"strconv"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/spec"
)

// paramRules are those about a parameter's presence, by where it is. A path has what its pattern says.
var paramRules = map[string]struct {
	noun              string
	required, removed diagnostic.ID
}{
	spec.InPath:   {noun: "path parameter"},
	spec.InQuery:  {"query parameter", QueryParamRequired, QueryParamRemoved},
	spec.InHeader: {"request header", HeaderParamRequired, HeaderParamRemoved},
	spec.InCookie: {"cookie", CookieParamRequired, CookieParamRemoved},
}

// params is about the parameters of requests.
func (c *comparison) params(p Pair) {
	moved := identity(p.Before) != identity(p.Now) // then its path parameters are no longer the same ones
	names := renames(p)
	for i := range p.Now.Params {
		is := &p.Now.Params[i]
		rules := paramRules[is.In]
		where := rules.noun + " " + quoted(is.Name)
		was := find(p.Before.Params, is.In, is.Name)
		if is.In == spec.InPath {
			if moved {
				continue
			}
			was = find(p.Before.Params, is.In, names[is.Name])
		}
		switch {
		case is.In == spec.InPath && was == nil:
			continue // it was not told
		case is.Required && was == nil:
			c.at(p.Now, rules.required, where, "", "", "the "+where+" is new and required", "let it be optional")
		case is.Required && is.In != spec.InPath && !was.Required:
			c.at(p.Now, rules.required, where, "", "", "the "+where+" became required", "")
		}
		if was != nil {
			w := c.walker(p, request)
			w.param = true
			w.walk(place{text: where}, was.Schema, is.Schema)
			if !is.Required {
				w.defaults(place{text: where}, was.Schema, is.Schema)
			}
		}
	}
	if reads(p.Now) == mediaBytes && reads(p.Before) != mediaBytes {
		return // what a handler reads itself, the manifest does not tell
	}
	for i := range p.Before.Params {
		was := &p.Before.Params[i]
		rules := paramRules[was.In]
		if was.In != spec.InPath && find(p.Now.Params, was.In, was.Name) == nil {
			where := rules.noun + " " + quoted(was.Name)
			c.at(p.Now, rules.removed, where, "", "", "the "+where+" was removed", "")
		}
	}
}

// renames are the names that path parameters had, by those that they have.
func renames(p Pair) map[string]string {
	before, now := pathParams(p.Before), pathParams(p.Now)
	names := map[string]string{}
	for i := range min(len(before), len(now)) {
		names[now[i]] = before[i]
	}
	return names
}

func find(params []spec.Param, in, name string) *spec.Param {
	i := slices.IndexFunc(params, func(p spec.Param) bool {
		return p.In == in && (p.Name == name ||
			in == spec.InHeader && textproto.CanonicalMIMEHeaderKey(p.Name) == textproto.CanonicalMIMEHeaderKey(name))
	})
	if i < 0 {
		return nil
	}
	return &params[i]
}

// quoted is a name as it stands in a place: as it is, if it can be told from what stands around it.
func quoted(s string) string {
	for _, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-'
		if !letter {
			return strconv.Quote(s)
		}
	}
	if s == "" {
		return `""`
	}
	return s
}
