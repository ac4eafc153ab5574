package routing

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stella-ops/router/spec"
)

// Where it is said who may call an endpoint, beside the places in the gateway's configuration. What is further down stands
// above what is before it, and the configuration between them.
const (
	OriginManifest  = "manifest"
	OriginAuthority = "authority"
)

// Access is who may call an endpoint, as it is in force. It must not be changed.
type Access struct {
	Claims []spec.ClaimRequirement `json:"claims,omitempty"` // all must be held
	Public string                  `json:"public,omitempty"` // why it needs no claims; empty where it has some
	Origin string                  `json:"origin"`           // where that is said
	// Unknown says that nobody may call it yet, since the authority over it has not been reached.
	Unknown bool `json:"unknown,omitempty"`
	// Trust is who sees to it that callers hold the claims.
	Trust Trust `json:"trust"`
}

// AccessRule replaces who may call an endpoint, and its limits, in all versions of its service. It has claims, or a reason to be
// public, or neither where it has limits.
type AccessRule struct {
	Service  string                  `json:"service"`
	Endpoint string                  `json:"endpoint"` // METHOD /path; the names of path parameters do not count
	Claims   []spec.ClaimRequirement `json:"claims,omitempty"`
	Public   string                  `json:"public,omitempty"`
	Origin   string                  `json:"origin"` // where it is said
	// Limits that are not zero replace the endpoint's. A rule that has some need not say who may call.
	Limits spec.Limits `json:"limits,omitzero"`
}

// AccessRuleView is a rule, as operators see it.
type AccessRuleView struct {
	AccessRule

	Offered bool `json:"offered"` // there is such an endpoint: else the rule may have its name wrong
}

// place names an endpoint: its service, and its identity.
type place struct{ service, identity string }

// access is who may call what, above what manifests say. It is not changed. A nil one says nothing.
type access struct {
	rules    map[place]Access // of the configuration, and those of the authority above them
	bounds   map[place]bound  // of the configuration
	awaiting bool             // the authority has not been reached, and nobody passes before
}

// newAccess puts the authority's rules, which are the last ones, above the configuration's. They have been checked.
func newAccess(configured, decreed []AccessRule, awaiting bool) *access {
	a := &access{rules: make(map[place]Access, len(configured)+len(decreed)), bounds: map[place]bound{}, awaiting: awaiting}
	for _, r := range slices.Concat(configured, decreed) {
		identity, err := spec.ParseIdentity(r.Endpoint)
		if err != nil { // cannot be: it has been checked
			continue
		}
		if r.Limits != (spec.Limits{}) {
			a.bounds[place{r.Service, identity}] = bound{r.Limits, r.Origin}
		}
		if len(r.Claims) > 0 || r.Public != "" {
			a.rules[place{r.Service, identity}] = Access{Claims: r.Claims, Public: r.Public, Origin: r.Origin}
		}
	}
	return a
}

// of is who may call an endpoint of a service under a policy.
func (a *access) of(service string, o *offer, p *policy) Access {
	who := a.says(service, o)
	who.Trust = TrustGateway
	if p != nil && p.Trust != "" {
		who.Trust = p.Trust
	}
	return who
}

func (a *access) says(service string, o *offer) Access {
	if a != nil {
		if a.awaiting {
			return Access{Origin: OriginAuthority, Unknown: true}
		}
		if rule, ok := a.rules[place{service, o.identity}]; ok {
			return rule
		}
	}
	return Access{Claims: o.Claims, Public: o.Public, Origin: cmp.Or(o.origins[spec.OverlayClaims], OriginManifest)}
}

// Check says what is wrong with a rule.
func (r *AccessRule) Check() error {
	if err := spec.CheckService(r.Service); err != nil {
		return err
	}
	if _, err := spec.ParseIdentity(r.Endpoint); err != nil {
		return err
	}
	silent := r.Public == "" && len(r.Claims) == 0
	if r.Public != "" && len(r.Claims) > 0 || silent && r.Limits == (spec.Limits{}) {
		return fmt.Errorf("routing: %s: expected either claims, or why it is public", r.Endpoint)
	}
	if err := r.Limits.Check(); err != nil {
		return fmt.Errorf("routing: %s: %w", r.Endpoint, err)
	}
	if len(r.Claims) > spec.MaxFields {
		return fmt.Errorf("routing: %s: %d claims, the limit is %d", r.Endpoint, len(r.Claims), spec.MaxFields)
	}
	for _, c := range r.Claims {
		if err := c.Check(); err != nil {
			return err
		}
	}
	return nil
}

// access checks the configuration's rules.
func (c *checker) access(rules []AccessRule) {
	known := map[place]bool{}
	for i := range rules {
		r := &rules[i]
		if err := r.Check(); err != nil {
			c.faultf(strconv.Itoa(i), "%s", strings.TrimPrefix(unprefixed(err), "routing: "))
			continue
		}
		identity, _ := spec.ParseIdentity(r.Endpoint) // it has just been checked
		at := place{r.Service, identity}
		if known[at] {
			c.faultf(strconv.Itoa(i), "%s of service %s is there twice: expected one entry, with all its claims", r.Endpoint, r.Service)
		}
		known[at] = true
	}
}

// Decree puts what the authority says above everything else, with the next snapshot, which it makes. The rules replace those
// of before, and have passed [AccessRule.Check].
func (r *Registry) Decree(rules []AccessRule, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.decreed, r.reached = rules, true
	r.regulate()
	r.settle(now)
}

// regulate brings up to date who may call what. What has not changed stays the same: snapshots share what is. The caller holds
// mu.
func (r *Registry) regulate() {
	next := newAccess(r.cfg.Access, r.decreed, r.cfg.AwaitAuthority && !r.reached)
	if r.access == nil || !reflect.DeepEqual(*r.access, *next) {
		r.access = next
	}
}

// AccessRules lists the rules in force, the authority's first, sorted.
func (r *Registry) AccessRules() []AccessRuleView {
	r.mu.Lock()
	defer r.mu.Unlock()
	views := []AccessRuleView{}
	for _, rules := range [][]AccessRule{r.decreed, r.cfg.Access} {
		from := len(views)
		for _, rule := range rules {
			identity, _ := spec.ParseIdentity(rule.Endpoint) // it has been checked
			e := r.current.Load().endpoint(identity)
			views = append(views, AccessRuleView{rule, e != nil && e.Service == rule.Service})
		}
		slices.SortFunc(views[from:], func(a, b AccessRuleView) int {
			return cmp.Or(strings.Compare(a.Service, b.Service), strings.Compare(a.Endpoint, b.Endpoint))
		})
	}
	return views
}
