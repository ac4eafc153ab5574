package generator

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stella-ops/router/generator/directive"
	"github.com/stella-ops/router/generator/scan"
	"github.com/stella-ops/router/internal/spelling"
	"github.com/stella-ops/router/spec"
)

// Setting is one effective value of an endpoint, and where it is said.
type Setting struct {
	Key    string // of the endpoint directive, or claim or public, which are directives of their own
	Value  string // as authors write it
	Origin scan.Origin
	Over   []scan.Origin // what it took the place of, nearest first; what is built in, if anything, is the last
}

// Explain lists the effective values of an endpoint in the order of the directives' documentation. Those that do not
// concern it, such as the lease of what is no job, are left out, and so is what nobody says and nothing is built in for.
func Explain(e *scan.Endpoint) []Setting {
	var list []Setting
	def, _ := directive.Lookup("endpoint")
	for _, k := range def.Keys {
		f, known := facets[k.Name]
		if !known || !f.concerns(e) {
			continue
		}
		builtIn := scan.Origin{Layer: scan.BuiltIn}
		if f.builtIn != nil {
			builtIn.Text = f.builtIn(e)
		}
		o, said := e.Origins.Keys[k.Name]
		if !said {
			o = builtIn
			o.Text = f.effective(e)
		}
		s := setting(k.Name, f.effective(e), o)
		if said && builtIn.Text != "" {
			s.Over = append(s.Over, builtIn)
		}
		list = append(list, s)
	}
	for _, o := range e.Origins.Claims {
		list = append(list, setting("claim", o.Text, o))
	}
	if e.Public != "" {
		list = append(list, setting("public", e.Public, e.Origins.Public))
	}
	return list
}

func setting(key, value string, o scan.Origin) Setting {
	s := Setting{Key: key, Value: value, Origin: o}
	for over := o.Over; over != nil; over = over.Over {
		s.Over = append(s.Over, *over)
	}
	return s
}

// facet is how a key of the endpoint directive shows in the model.
type facet struct {
	concerns  func(e *scan.Endpoint) bool
	effective func(e *scan.Endpoint) string
	builtIn   func(e *scan.Endpoint) string // nil: nothing
}

func always(*scan.Endpoint) bool { return true }

func fixed(text string) func(*scan.Endpoint) string {
	return func(*scan.Endpoint) string { return text }
}

// either is the first text that is not empty.
func either(get func(e *scan.Endpoint) string, standard string) func(*scan.Endpoint) string {
	return func(e *scan.Endpoint) string {
		if text := get(e); text != "" {
			return text
		}
		return standard
	}
}

// optional is a key that has no value unless it is said.
func optional(get func(e *scan.Endpoint) string) facet {
	return facet{concerns: func(e *scan.Endpoint) bool { return get(e) != "" }, effective: get}
}

func isJob(e *scan.Endpoint) bool { return e.Queue != nil }

func milliseconds(n int64) string { return directive.Spell(time.Duration(n) * time.Millisecond) }

var facets = map[string]facet{
	"status": {always, statuses, func(e *scan.Endpoint) string {
		switch {
		case e.Stream == spec.StreamUpgrade:
			return strconv.Itoa(http.StatusSwitchingProtocols)
		case e.Kind == spec.KindTyped && e.Out == nil:
			return strconv.Itoa(http.StatusNoContent)
		}
		return strconv.Itoa(http.StatusOK)
	}},
	"errors": optional(func(e *scan.Endpoint) string { return e.Origins.Keys["errors"].Text }),
	"unknown": {
		func(e *scan.Endpoint) bool { return e.In != nil && e.HasBody() },
		either(func(e *scan.Endpoint) string { return e.Unknown }, "reject"), fixed("reject"),
	},
	"timeout": {
		always, func(e *scan.Endpoint) string { return milliseconds(e.Limits.TimeoutMS) }, fixed(milliseconds(spec.DefaultLimits.TimeoutMS)),
	},
	"idle": {
		always, func(e *scan.Endpoint) string { return milliseconds(e.Limits.IdleMS) }, fixed(milliseconds(spec.DefaultLimits.IdleMS)),
	},
	"body": {
		always, func(e *scan.Endpoint) string { return directive.SpellSize(e.Limits.MaxBodyBytes) },
		fixed(directive.SpellSize(spec.DefaultLimits.MaxBodyBytes)),
	},
	"stream": {always, func(e *scan.Endpoint) string { return string(e.Stream) }, func(e *scan.Endpoint) string {
		if e.Kind == spec.KindStream {
			return string(spec.StreamResponse)
		}
		return string(spec.StreamNone)
	}},
	"idempotent": {always, func(e *scan.Endpoint) string { return strconv.FormatBool(e.Idempotent) }, func(e *scan.Endpoint) string {
		return strconv.FormatBool(e.Method == http.MethodGet || e.Method == http.MethodHead)
	}},
	"delivery": {always, func(e *scan.Endpoint) string {
		if isJob(e) {
			return "queue"
		}
		return "call"
	}, fixed("call")},
	"attempts": {
		isJob, func(e *scan.Endpoint) string { return strconv.Itoa(e.Queue.Attempts) }, fixed(strconv.Itoa(spec.DefaultQueueing.Attempts)),
	},
	"lease": {
		isJob, func(e *scan.Endpoint) string { return milliseconds(e.Queue.LeaseMS) }, fixed(milliseconds(spec.DefaultQueueing.LeaseMS)),
	},
	"slo": optional(func(e *scan.Endpoint) string { return e.SLO }),
	"within": optional(func(e *scan.Endpoint) string {
		if e.WithinMS == 0 {
			return ""
		}
		return milliseconds(e.WithinMS)
	}),
	"stability": {always, either(func(e *scan.Endpoint) string { return e.Stability }, "stable"), fixed("stable")},
	"sunset":    optional(func(e *scan.Endpoint) string { return e.Sunset }),
	"tags":      optional(func(e *scan.Endpoint) string { return strings.Join(e.Tags, ",") }),
}

func statuses(e *scan.Endpoint) string {
	list := []string{strconv.Itoa(e.Status)}
	for _, n := range e.Statuses {
		list = append(list, strconv.Itoa(n))
	}
	return strings.Join(list, ",")
}

// Listed is an endpoint and the service that it belongs to.
type Listed struct {
	*scan.Endpoint

	Service *scan.Service
}

// List lists the endpoints of all services that were read: by service, then path, then method.
func List(result *scan.Result) []Listed {
	var list []Listed
	for _, svc := range result.Services {
		for _, e := range svc.Endpoints() {
			list = append(list, Listed{e, svc})
		}
	}
	return list
}

// Find returns the endpoints that are called as METHOD /path; several if services of the module share a name for
// theirs. The names of path parameters do not count. The error, if there are none, says what may have been meant.
func Find(result *scan.Result, name string) ([]Listed, error) {
	method, path, _ := strings.Cut(name, " ")
	want := spec.Endpoint{Method: method, Path: path}
	id, err := want.Identity()
	if err != nil || path == "" {
		return nil, fmt.Errorf("generator: %q names no endpoint: expected a method, a space and a path, such as \"POST /invoices\"", name)
	}
	var found []Listed
	var names []string
	for _, l := range List(result) {
		e := spec.Endpoint{Method: l.Method, Path: l.Path}
		if own, err := e.Identity(); err == nil && own == id {
			found = append(found, l)
		}
		names = append(names, l.Method+" "+l.Path)
	}
	if len(found) > 0 {
		return found, nil
	}
	guess := ""
	if s := spelling.Suggest(name, names); s != "" {
		guess = ": did you mean " + s + "?"
	}
	return nil, fmt.Errorf("generator: there is no endpoint %s%s", name, guess)
}
