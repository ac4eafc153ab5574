package breaking

import (
	"fmt"
	"go/token"
	"slices"
	"strings"
	"time"

	"github.com/stella-ops/router/generator/diagnostic"
	"github.com/stella-ops/router/spec"
)

// WaiversFile is the name of the file with waivers. It stands beside go.mod.
const WaiversFile = "stella.waivers.yaml"

// maxWaiver bounds how far ahead a waiver ends, in days: what is waived for longer is forgotten.
const maxWaiver = 180

// AnyEndpoint is the endpoint of waivers for changes of the service itself.
const AnyEndpoint = "*"

// Waiver says why a change does not count, who says so, and until when.
type Waiver struct {
	Rule        string // name or id
	Endpoint    string // METHOD /path, one of those at which the change shows; AnyEndpoint for the service itself
	Fingerprint string
	Reason      string
	Owner       string
	Until       string // the last day, YYYY-MM-DD
	Pos         token.Position
}

// waiverKeys are what the values of a waiver are called in the file. All are mandatory.
var waiverKeys = []string{"rule", "endpoint", "fingerprint", "reason", "owner", "until"}

// waiverValues are those of the keys.
func waiverValues(v *Waiver) []*string {
	return []*string{&v.Rule, &v.Endpoint, &v.Fingerprint, &v.Reason, &v.Owner, &v.Until}
}

// Waivers are those of one run. It is not safe for concurrent use. Nil has none.
type Waivers struct {
	list  []Waiver
	used  []bool
	known map[string]bool // endpoints of the manifests that were compared
}

// NewWaivers returns waivers for one run.
func NewWaivers(list []Waiver) *Waivers {
	return &Waivers{list: slices.Clone(list), used: make([]bool, len(list)), known: map[string]bool{AnyEndpoint: true}}
}

// reason is why a change is waived; empty if it is not.
func (w *Waivers) reason(c Change, service string, today time.Time) string {
	if w == nil {
		return ""
	}
	fingerprint, reason := c.Fingerprint(service), ""
	for i, v := range w.list {
		rule, ok := Find(v.Rule)
		if !ok || rule.ID != c.Rule || v.Fingerprint != fingerprint || v.fault(today) != "" || v.expired(today) {
			continue
		}
		if slices.Contains(c.Endpoints, v.Endpoint) || len(c.Endpoints) == 0 && v.Endpoint == AnyEndpoint {
			w.used[i] = true
			reason = fmt.Sprintf("%s (%s, until %s)", v.Reason, v.Owner, v.Until)
		}
	}
	return reason
}

// know notes endpoints that waivers may be about.
func (w *Waivers) know(manifests ...*spec.Manifest) {
	if w == nil {
		return
	}
	for _, m := range manifests {
		for i := range m.Endpoints {
			w.known[name(&m.Endpoints[i])] = true
		}
	}
}

// Findings are what is wrong with the waivers, after every review of the run. Those for endpoints that were not
// compared, or for rules that were not selected, may be of use in another run.
func (w *Waivers) Findings(cfg Config) []diagnostic.Finding {
	var list diagnostic.List
	add := func(rule diagnostic.ID, v Waiver, text, hint string) {
		r, _ := Find(string(rule))
		list.Add(diagnostic.Finding{Rule: rule, Severity: r.Severity, Pos: v.Pos, Endpoint: v.Endpoint, Message: text, Hint: hint})
	}
	for i, v := range w.list {
		rule, _ := Find(v.Rule)
		switch fault := v.fault(cfg.Today); {
		case fault != "":
			add(WaiverInvalid, v, fault, "")
		case v.expired(cfg.Today):
			add(WaiverExpired, v, fmt.Sprintf("the waiver of %s at %s has expired on %s", v.Rule, v.Endpoint, v.Until),
				"mend what it waived, or let "+v.Owner+" decide anew")
		case !w.used[i] && w.known[v.Endpoint] && cfg.Rules.Has(rule.ID):
			add(WaiverUnused, v, fmt.Sprintf("the waiver of %s at %s waives nothing: there is no such change with the fingerprint %s",
				v.Rule, v.Endpoint, v.Fingerprint), "delete it")
		}
	}
	return list.Sorted()
}

// expired reports whether its last day has passed.
func (v Waiver) expired(today time.Time) bool { return v.Until < today.Format(time.DateOnly) }

// fault is what is wrong with the waiver itself; empty if nothing is.
func (v Waiver) fault(today time.Time) string {
	for i, value := range waiverValues(&v) {
		if *value == "" {
			return "the waiver has no " + waiverKeys[i] + ": it needs " + strings.Join(waiverKeys, ", ")
		}
	}
	if _, ok := Find(v.Rule); !ok {
		return fmt.Sprintf("the waiver is of the rule %.80q, which there is not: stellagen rules lists them", v.Rule)
	}
	until, err := time.ParseInLocation(time.DateOnly, v.Until, today.Location())
	switch {
	case err != nil:
		return fmt.Sprintf("the waiver ends %.40q, expected a day such as 2027-01-31", v.Until)
	case until.After(today.AddDate(0, 0, maxWaiver)):
		return fmt.Sprintf("the waiver ends on %s, which is more than %d days ahead", v.Until, maxWaiver)
	}
	return ""
}
