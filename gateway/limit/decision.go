package limit

import (
	"strconv"
	"strings"
	"time"
)

// Source is who made a decision.
type Source string

// The sources.
const (
	SourceMemory   Source = "memory"   // this gateway, for itself
	SourceValkey   Source = "valkey"   // the server, for the environment
	SourceFallback Source = "fallback" // a rule's failure mode: the server could not be asked
)

// Decision is what rate limits say of a request: of all rules that apply the one that refused it, else the one that has
// the fewest requests left.
type Decision struct {
	Allowed bool
	// Unavailable says that nothing is known against the request, but that it cannot be counted, and the rule is closed then.
	Unavailable bool
	Rule        string        // its name; empty: no rule applies
	Limit       int           // requests at once: the burst
	Remaining   int           // of those, that would pass now; -1: not known
	Reset       time.Duration // until all of them would
	RetryAfter  time.Duration // until one would; 0 where Allowed
	Source      Source
}

// decision is what a rule says.
func (r *rule) decision(v verdict, source int) Decision {
	limit := r.rate.burst
	if source == fromFallback && r.Failure == FailureLocal {
		limit = r.local.burst
	}
	return Decision{
		Allowed: v.allowed, Rule: r.Name, Limit: int(limit), Remaining: int(v.remaining), Reset: time.Duration(v.reset),
		RetryAfter: time.Duration(v.wait), Source: sourceNames[source],
	}
}

// RetryAfterSeconds is the value of Retry-After: whole seconds, rounded up, and at least one.
func (d *Decision) RetryAfterSeconds() string {
	return strconv.FormatInt(max(seconds(d.RetryAfter), 1), 10)
}

// Field is the value of RateLimit (draft-ietf-httpapi-ratelimit-headers-10, section 4): what is left of which policy, and
// in how many seconds all of it is there again. It is empty where that is not known.
func (d *Decision) Field() string {
	if d.Rule == "" || d.Remaining < 0 {
		return ""
	}
	b := make([]byte, 0, 64)
	b = append(b, '"')
	b = append(b, d.Rule...)
	b = append(b, `";r=`...)
	b = strconv.AppendInt(b, int64(d.Remaining), 10)
	b = append(b, ";t="...)
	b = strconv.AppendInt(b, seconds(d.Reset), 10)
	return string(b)
}

// policyOf is the value of RateLimit-Policy (section 3): each rule with its burst as the quota, and the seconds in which
// that is whole again as the window.
func policyOf(rules []*rule) string {
	list := make([]string, len(rules))
	for i, r := range rules {
		window := max(seconds(time.Duration(r.rate.interval*r.rate.burst)), 1)
		list[i] = `"` + r.Name + `";q=` + strconv.FormatInt(r.rate.burst, 10) + ";w=" + strconv.FormatInt(window, 10)
	}
	return strings.Join(list, ", ")
}

// seconds rounds up.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
