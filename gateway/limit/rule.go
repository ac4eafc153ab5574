package limit

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stella-ops/router/spec"
)

// Scope is who shares a rule's counts.
type Scope string

// The scopes. An empty one is [ScopeInstance].
const (
	ScopeInstance    Scope = "instance"    // this gateway alone, in its memory
	ScopeEnvironment Scope = "environment" // all gateways of the environment, in Valkey
)

// Failure is what a rule of an environment decides while Valkey cannot be asked.
type Failure string

// The failure modes. There is no default: whoever counts for an environment has to say.
const (
	FailureOpen   Failure = "open"   // everything passes
	FailureClosed Failure = "closed" // nothing passes: 503
	FailureLocal  Failure = "local"  // this gateway counts by itself, with its share of the rate
)

// What a rule counts by: each value of it has a count of its own. An empty one is [ByAll]; the claim of type t is
// "claim:t", and of a claim with several values the first counts. Requests that lack what is counted by share one count.
const (
	ByAll     = "all"
	BySubject = "subject"
	ByTenant  = "tenant"
	ByAddress = "address" // of the client: IPv4 whole, IPv6 its /64
	byClaim   = "claim:"
)

// Bounds of rules.
const (
	minInterval = 10 * time.Microsecond     // between requests at the rate: 100,000 a second
	maxPer      = 31 * 24 * time.Hour       // of a rate
	maxRefill   = 10 * 366 * 24 * time.Hour // until a whole burst is there again
	maxName     = 64                        // characters
)

// Rule is one rate limit.
//
// Of the rules that count by the same, the most specific one that a request falls under replaces the others: one with an
// Endpoint and a Service, before one with an Endpoint, before one with a Service, before one with neither. Rules that count
// by different things all apply. What falls under a rule shares its count, over all endpoints.
type Rule struct {
	Name     string // in headers and metrics, and in the keys of Valkey: letters, digits, '-', '_' and '.'
	Service  string // empty: every service
	Endpoint string // such as "POST /invoices"; parameters' names do not matter; empty: every endpoint
	By       string // what is counted; [ByAll]

	// Rate requests pass in Per, evenly: the second one passes a Per/Rate after the first. Burst is how many pass at once
	// before that counts, and after a pause of Burst*Per/Rate pass again; zero: Rate. Over any time t, Burst + t*Rate/Per
	// requests pass at most.
	Rate  int
	Per   time.Duration
	Burst int

	Scope   Scope
	Failure Failure // only, and always, with ScopeEnvironment
}

// Check names everything that is wrong with a rule.
func (r *Rule) Check() error {
	var errs []error
	fault := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("limit: rule %q: "+format, append([]any{r.Name}, args...)...))
	}
	if !plain(r.Name) {
		fault("its name: expected 1 to %d letters, digits, '-', '_' and '.'", maxName)
	}
	if r.Service != "" {
		if err := spec.CheckService(r.Service); err != nil {
			fault("service: %w", err)
		}
	}
	if r.Endpoint != "" {
		if _, err := spec.ParseIdentity(r.Endpoint); err != nil {
			fault("endpoint: %w", err)
		}
	}
	if !validBy(r.by()) {
		fault("by: expected all, subject, tenant, claim:TYPE or address, got %q", r.By)
	}
	if r.Rate < 1 {
		fault("rate: expected at least 1, got %d", r.Rate)
	}
	if r.Per <= 0 || r.Per > maxPer {
		fault("per: expected a time above zero and up to 744h, got %s", r.Per)
	}
	if r.Burst < 0 {
		fault("burst: expected at least 1, or 0 for the rate, got %d", r.Burst)
	}
	if r.Rate > 0 && r.Per > 0 {
		if int64(r.Per/minInterval) < int64(r.Rate) {
			fault("rate: expected at most one request in %s, got %d in %s", minInterval, r.Rate, r.Per)
		}
		if float64(r.interval())*float64(r.burst()) > float64(maxRefill) {
			fault("burst: expected one that is whole again within %s, got %d at %d in %s", maxRefill, r.burst(), r.Rate, r.Per)
		}
	}
	switch r.Scope {
	case "", ScopeInstance:
		if r.Failure != "" {
			fault("failure: is for scope environment: a gateway's own memory does not fail")
		}
	case ScopeEnvironment:
		if r.Failure != FailureOpen && r.Failure != FailureClosed && r.Failure != FailureLocal {
			fault("failure: expected open, closed or local, got %q: say what counts while Valkey cannot be asked", r.Failure)
		}
	default:
		fault("scope: expected instance or environment, got %q", r.Scope)
	}
	return errors.Join(errs...)
}

func (r *Rule) by() string {
	if r.By == "" {
		return ByAll
	}
	return r.By
}

func (r *Rule) burst() int {
	if r.Burst == 0 {
		return r.Rate
	}
	return r.Burst
}

// interval is the time between requests at the rate, rounded up: never more than the rate passes.
func (r *Rule) interval() time.Duration {
	return (r.Per + time.Duration(r.Rate) - 1) / time.Duration(r.Rate)
}

func validBy(by string) bool {
	switch by {
	case ByAll, BySubject, ByTenant, ByAddress:
		return true
	}
	name, ok := strings.CutPrefix(by, byClaim)
	return ok && name != ""
}

// plain reports whether s may stand in keys, labels and header fields as it is.
func plain(s string) bool {
	for _, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("-_.", rune(c)) {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}
