package breaking

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/stella-ops/router/generator/diagnostic"
)

// Change is one thing that a rule has found.
type Change struct {
	Rule      diagnostic.ID
	Severity  diagnostic.Severity
	Endpoints []string // METHOD /path of those that it shows at, sorted; the service's own changes have none
	Where     string   // within the endpoint or, if Shared, within the manifest's named schemas
	Shared    bool
	Old, New  string // values; may be empty
	Text      string // says what changed, without the endpoint
	Hint      string // may be empty
}

// Message is the change and where it shows.
func (c Change) Message() string {
	const most = 3
	shown := c.Endpoints
	var more string
	if len(shown) > most {
		more = fmt.Sprintf(" and %d more", len(shown)-most+1)
		shown = shown[:most-1]
	}
	switch {
	case len(shown) == 0:
		return c.Text
	case c.Shared:
		return c.Text + " (" + strings.Join(shown, ", ") + more + ")"
	}
	return strings.Join(shown, ", ") + more + ": " + c.Text
}

// fingerprintBytes are what is kept of a hash. Nobody gains anything by a second change of the same one.
const fingerprintBytes = 8

// Fingerprint names the change of a service: it is the same for as long as the rule, the place and the values are, however
// the text is put.
func (c Change) Fingerprint(service string) string {
	var endpoint string
	if !c.Shared {
		endpoint = strings.Join(c.Endpoints, ",")
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{string(c.Rule), service, endpoint, c.Where, c.Old, c.New}, "\x00")))
	return hex.EncodeToString(sum[:fingerprintBytes])
}

// changes collects them. A change of a named schema is one, at however many endpoints it shows.
type changes struct{ list []Change }

type changeKey struct {
	rule                      diagnostic.ID
	endpoint, where, old, new string
}

// add appends a change, with the severity of its rule unless it has one that is graver.
func (cs *changes) add(c Change) {
	if rule, ok := Find(string(c.Rule)); ok && c.Severity == diagnostic.Error {
		c.Severity = rule.Severity
	}
	cs.list = append(cs.list, c)
}

// sorted returns the changes by endpoint, rule and place, those of named schemas merged.
func (cs *changes) sorted() []Change {
	at := map[changeKey]int{}
	var merged []Change
	for _, c := range cs.list {
		key := changeKey{c.Rule, strings.Join(c.Endpoints, ","), c.Where, c.Old, c.New}
		if c.Shared {
			key.endpoint = ""
		}
		i, ok := at[key]
		if !ok {
			at[key] = len(merged)
			merged = append(merged, c)
			continue
		}
		merged[i].Endpoints = append(merged[i].Endpoints, c.Endpoints...)
	}
	for i := range merged {
		slices.Sort(merged[i].Endpoints)
		merged[i].Endpoints = slices.Compact(merged[i].Endpoints)
	}
	slices.SortStableFunc(merged, func(a, b Change) int {
		return cmp.Or(slices.Compare(a.Endpoints, b.Endpoints), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Where, b.Where),
			cmp.Compare(a.Old, b.Old), cmp.Compare(a.New, b.New))
	})
	return merged
}
