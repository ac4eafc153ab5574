package limit

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stella-ops/router/gateway/telemetry"

	"github.com/stella-ops/router/spec"
)

// maxPlans bounds the plans that are kept: the endpoints that are connected, and some that were.
const maxPlans = 1 << 14

// class is a [Class] on the way of a request: an index.
type class uint8

const (
	critical class = iota
	normal
	background
	classes
)

var classNumber = map[Class]class{ClassCritical: critical, ClassNormal: normal, ClassBackground: background}

// Plan is everything that concerns one endpoint. It does not change, but for its counts.
type Plan struct {
	rules    []*rule // those of this gateway before those of the environment
	identity bool    // a rule counts by who calls
	class    class
	policy   []string // RateLimit-Policy; nil: answers say nothing
	calls    target
}

// Limited reports whether any rule applies.
func (p *Plan) Limited() bool { return len(p.rules) > 0 }

// Identity reports whether a rule counts by who calls.
func (p *Plan) Identity() bool { return p.identity }

// Policy is the value of RateLimit-Policy, which must not be changed; nil: answers say nothing.
func (p *Plan) Policy() []string { return p.policy }

// key names an endpoint of a service.
type key struct{ service, identity string }

// rule is a Rule as requests use it. It is the same in all plans.
type rule struct {
	Rule

	given string // its Endpoint as it was given: else it is the identity
	kind  string // of By, without the claim's type
	claim string
	salt  uint64 // of its keys in memory
	rate  rate
	local rate     // of the failure mode local
	args  []string // of the script

	counts [sources]struct{ allowed, refused atomic.Uint64 }
}

// Sources of decisions, as indices.
const (
	fromMemory = iota
	fromValkey
	fromFallback
	sources
)

var sourceNames = [sources]Source{SourceMemory, SourceValkey, SourceFallback}

// table is a configuration as requests use it. It does not change, but for what its rules count.
type table struct {
	active     bool // anything is limited
	rules      []*rule
	priorities []Priority // their endpoints as identities
	headers    bool
	shares     [classes]int64 // of a limit, in percent
	total      int64          // 0: no limit
	adaptive   bool
}

// newTable prepares a configuration that has been checked. A rule that stays what it was keeps its counts.
func newTable(c *Config, seed maphash.Seed, old *table) *table {
	t := &table{
		active: c.limits(), headers: c.Headers, shares: [classes]int64{100, 100, 100}, total: int64(c.Concurrency.Total),
		adaptive: c.Concurrency.Adaptive,
	}
	if len(c.Priorities) > 0 {
		t.shares = [classes]int64{critical: 100, normal: 90, background: 70}
	}
	for _, p := range c.Priorities {
		if p.Endpoint != "" {
			p.Endpoint, _ = spec.ParseIdentity(p.Endpoint) // checked
		}
		t.priorities = append(t.priorities, p)
	}
	for i := range c.Rules {
		t.rules = append(t.rules, newRule(&c.Rules[i], c.Gateways, seed, old))
	}
	return t
}

func newRule(given *Rule, gateways int, seed maphash.Seed, old *table) *rule {
	r := &rule{Rule: *given, given: given.Endpoint}
	if r.Endpoint != "" {
		r.Endpoint, _ = spec.ParseIdentity(r.Endpoint) // checked
	}
	r.kind = r.by()
	if name, ok := strings.CutPrefix(r.kind, byClaim); ok {
		r.kind, r.claim = byClaim, name
	}
	r.salt = maphash.String(seed, r.Name+" "+r.by()) * mix
	r.rate = rate{int64(r.interval()), int64(r.burst())}
	r.local = rate{r.rate.interval * int64(gateways), max(1, r.rate.burst/int64(gateways))}
	r.args = []string{
		strconv.FormatFloat(float64(r.Per.Nanoseconds())/float64(r.Rate)/float64(time.Microsecond), 'f', -1, 64),
		strconv.Itoa(r.burst()),
	}
	if old != nil {
		if i := slices.IndexFunc(old.rules, func(o *rule) bool { return o.Name == r.Name }); i >= 0 {
			for s := range r.counts {
				r.counts[s].allowed.Store(old.rules[i].counts[s].allowed.Load())
				r.counts[s].refused.Store(old.rules[i].counts[s].refused.Load())
			}
		}
	}
	return r
}

// specificity is how closely a rule or priority fits an endpoint; 0: not at all.
func (k key) specificity(service, endpoint string) int {
	if service != "" && service != k.service || endpoint != "" && endpoint != k.identity {
		return 0
	}
	s := 1
	if service != "" {
		s++
	}
	if endpoint != "" {
		s += 2
	}
	return s
}

// plan makes the plan of an endpoint.
func (t *table) plan(k key) *Plan {
	p := &Plan{class: normal}
	best := map[string]*rule{}
	for _, r := range t.rules {
		fits := k.specificity(r.Service, r.Endpoint)
		if other := best[r.by()]; fits > 0 && (other == nil || fits > k.specificity(other.Service, other.Endpoint)) {
			best[r.by()] = r
		}
	}
	for _, r := range best {
		p.rules = append(p.rules, r)
		p.identity = p.identity || r.kind != ByAll && r.kind != ByAddress
	}
	slices.SortFunc(p.rules, func(a, b *rule) int { // what costs a round trip comes last
		return cmp.Or(cmp.Compare(bit(a.Scope == ScopeEnvironment), bit(b.Scope == ScopeEnvironment)), cmp.Compare(a.Name, b.Name))
	})
	most := 0
	for _, c := range t.priorities {
		if fits := k.specificity(c.Service, c.Endpoint); fits > most {
			p.class, most = classNumber[c.Class], fits
		}
	}
	if t.headers && len(p.rules) > 0 {
		p.policy = []string{policyOf(p.rules)}
	}
	return p
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// counted are the decisions of all rules.
func (t *table) counted() []telemetry.RuleCount {
	var all []telemetry.RuleCount
	for _, r := range t.rules {
		for s := range r.counts {
			used := s == fromMemory
			if r.Scope == ScopeEnvironment {
				used = s != fromMemory
			}
			if used {
				all = append(all, telemetry.RuleCount{
					Rule: r.Name, Source: string(sourceNames[s]), Allowed: r.counts[s].allowed.Load(), Refused: r.counts[s].refused.Load(),
				})
			}
		}
	}
	return all
}
