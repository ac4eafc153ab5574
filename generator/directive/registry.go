package directive

import (
	"slices"

	"github.com/stella-ops/router/spec"
)

// Place is where a directive may stand.
type Place int

// The places.
const (
	OnPackage Place = iota + 1 // in the package's doc comment
	OnFunc                     // in the doc comment of a top-level function or method
	OnAny                      // in any doc comment
)

func (p Place) String() string {
	switch p {
	case OnPackage:
		return "the package's doc comment"
	case OnFunc:
		return "the doc comment of a top-level function or method"
	case OnAny:
	}
	return "a doc comment"
}

// ValueType is the form of an argument.
type ValueType int

// The forms.
const (
	Flag     ValueType = iota + 1 // no value: the name alone
	Text                          // any text; quoted if it has spaces or commas
	Word                          // text without spaces
	Name                          // a service's name
	Integer                       // a decimal number
	Duration                      // a Go duration with its unit
	Size                          // bytes, with a unit
	Enum                          // one of a list
	Version                       // strict semver
	List                          // words separated by commas
	Method                        // an HTTP method
	Path                          // a path pattern
	Rule                          // the id of a rule
	Integers                      // decimal numbers separated by commas
	Percent                       // a decimal number between 0 and 100
	Date                          // YYYY-MM-DD
	Pairs                         // words with a decimal number each, separated by commas: NotFound:404,Conflict:409
)

func (t ValueType) String() string {
	return [...]string{
		"", "flag", "text", "word", "name", "integer", "duration", "size", "enum", "version", "list", "method", "path", "rule", "integers", "percent",
		"date", "pairs",
	}[t]
}

// Key is one argument of a directive: positional, key=value, or a flag.
type Key struct {
	Name     string
	Type     ValueType
	Doc      string
	Required bool
	Values   []string // of an Enum
	Min, Max int64    // of an Integer, Integers and Pairs; of a Duration in milliseconds, 0 and 0 for what every limit may be
}

// Definition is one directive.
type Definition struct {
	Name       string
	Doc        string
	Place      Place
	Repeatable bool  // may stand several times on one declaration
	Args       []Key // positional, in order
	Rest       bool  // the last positional argument takes all that is left of the line
	Keys       []Key // key=value and flags
}

// Registry returns all directives, in the order of their documentation.
func Registry() []Definition { return slices.Clone(registry) }

// Lookup returns the directive of this name.
func Lookup(name string) (Definition, bool) {
	i := slices.IndexFunc(registry, func(d Definition) bool { return d.Name == name })
	if i < 0 {
		return Definition{}, false
	}
	return registry[i], true
}

func names(keys []Key) []string {
	list := make([]string, len(keys))
	for i, k := range keys {
		list[i] = k.Name
	}
	return list
}

func directiveNames() []string {
	list := make([]string, len(registry))
	for i, d := range registry {
		list[i] = d.Name
	}
	return list
}

var endpointKeys = []Key{
	{
		Name: "status", Type: Integers, Min: 200, Max: 299,
		Doc: "status of a successful answer; 200, or 204 without a result. Of several the result chooses by its method " +
			"HTTPStatus() int, where 0 is the first",
	},
	{
		Name: "errors", Type: Pairs, Min: 400, Max: 599,
		Doc: "error types of the handler's package and the statuses that answer them: NotFound:404,Conflict:409",
	},
	{
		Name: "unknown", Type: Enum, Values: []string{"reject", "ignore"},
		Doc: "what becomes of members of the request body that the input does not have; reject",
	},
	{Name: "timeout", Type: Duration, Doc: "bounds a call whole, and a stream's time to response headers; 30s"},
	{Name: "idle", Type: Duration, Doc: "bounds the silence of a stream after its response headers; 60s"},
	{Name: "body", Type: Size, Doc: "largest request body, inclusive; 1MiB"},
	{
		Name: "stream", Type: Enum, Values: []string{"none", "request", "response", "both", "upgrade"},
		Doc: "which bodies may be streamed; response for a handler that returns iter.Seq2, which has no other, none for all " +
			"others; request and both only for raw and net/http handlers. upgrade, for the same and GET, is a WebSocket: the " +
			"handler accepts it by Response.Upgrade or by http.Hijacker",
	},
	{Name: "idempotent", Type: Flag, Doc: "safe to repeat; GET and HEAD always are"},
	{
		Name: "delivery", Type: Enum, Values: []string{"call", "queue"},
		Doc: "call if callers wait for the answer, queue if their calls are jobs, which wait in a queue until somebody has done them; call",
	},
	{Name: "attempts", Type: Integer, Min: 1, Max: spec.MaxAttempts, Doc: "how often a job is tried until it is dead; 5"},
	{
		Name: "lease", Type: Duration, Min: spec.MinLeaseMS, Max: spec.MaxLeaseMS,
		Doc: "after how long without news an attempt at a job counts as lost; at least the timeout; 60s",
	},
	{Name: "slo", Type: Percent, Doc: "share of calls to be answered well, in percent, such as 99.9"},
	{
		Name: "within", Type: Duration,
		Doc: "how long a call may take and still count as answered well for slo: a bucket of the gateway's latency histogram ends there; any time",
	},
	{
		Name: "stability", Type: Enum, Values: []string{"experimental", "beta", "stable"},
		Doc: "how much callers may rely on the endpoint staying as it is; stable",
	},
	{Name: "sunset", Type: Date, Doc: "the day after which a deprecated endpoint may go, such as 2027-01-31"},
	{Name: "tags", Type: List, Doc: "groups for documentation"},
}

var registry = []Definition{
	{
		Name: "service", Place: OnPackage, Doc: "The package serves a service's endpoints, and holds its manifest.",
		Args: []Key{{Name: "NAME", Type: Name, Required: true, Doc: "the service's name"}},
		Keys: []Key{
			{Name: "version", Type: Version, Required: true, Doc: "the service's version"},
			{Name: "owner", Type: Text, Doc: "who answers for the service: a team, an address"},
		},
	},
	{
		Name: "part", Place: OnPackage, Doc: "The package serves some endpoints of a service of several packages.",
		Keys: []Key{{Name: "of", Type: Name, Required: true, Doc: "the service's name"}},
	},
	{
		Name: "endpoint", Place: OnFunc, Doc: "The function serves one method of one path.",
		Args: []Key{
			{Name: "METHOD", Type: Method, Required: true, Doc: "GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS"},
			{Name: "PATH", Type: Path, Required: true, Doc: "net/http pattern: /invoices/{id}, /files/{rest...}"},
		},
		Keys: endpointKeys,
	},
	{Name: "with", Place: OnFunc, Repeatable: true, Doc: "More keys of the endpoint directive above.", Keys: endpointKeys},
	{
		Name: "claim", Place: OnFunc, Repeatable: true, Doc: "A claim that callers must hold; all of several.",
		Args: []Key{
			{Name: "TYPE", Type: Word, Required: true, Doc: "the claim's type"},
			{Name: "VALUE", Type: Text, Doc: "its value; without one, presence is enough"},
		},
	},
	{
		Name: "public", Place: OnFunc, Doc: "Callers need no claims.",
		Args: []Key{{Name: "WHY", Type: Text, Required: true, Doc: "the reason, for reviewers"}},
	},
	{
		Name: "ignore", Place: OnAny, Repeatable: true, Doc: "Silences a rule on the declaration.", Rest: true,
		Args: []Key{
			{Name: "RULE", Type: Rule, Required: true, Doc: "the rule's id, such as STL0020"},
			{Name: "REASON", Type: Text, Required: true, Doc: "why, for reviewers"},
		},
	},
}
