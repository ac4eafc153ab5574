package routing

import (
	"cmp"
	"time"
)

// Off as a number or a duration of a [Policy] switches off what zero would leave at its default.
const Off = -1

// The defaults of a [Policy].
const (
	DefaultSlowStart           = 10 * time.Second
	DefaultConsecutiveFailures = 5
	DefaultFailurePercent      = 50
	DefaultMinRequests         = 20
	DefaultWindow              = 10 * time.Second
	DefaultBaseTime            = 30 * time.Second
	DefaultMaxTime             = 5 * time.Minute
	DefaultMaxEjectedPercent   = 50
)

// Policy says how requests to a service find a version and an instance. It is plain data. A zero field means what
// [Config.Default] says, and if that says nothing, the default.
type Policy struct {
	Version VersionPolicy
	// Balancer names how an instance of a tier is picked: [BalancerEWMA], which is the default, [BalancerPing],
	// [BalancerRoundRobin], or one of [Config.Balancers].
	Balancer string
	// SlowStart is how long the share of an instance grows that has come, or come back from ejection; [DefaultSlowStart].
	SlowStart time.Duration
	Ejection  Ejection
	// PanicPercent switches panic mode on: with fewer usable instances than this, of those that do not drain, all of those
	// are used. By default it is off.
	PanicPercent int
	Hedge        Hedge
	Trust        Trust // [TrustGateway]
	// Loosen names what overlays may loosen, by [spec.OverlayKeys]; nil: nothing. They may always tighten.
	Loosen []string
	// Instances is how many the service should have, over all its versions. Nothing is refused for it: operators are told,
	// before any of them has come, too.
	Instances int
}

// Trust is who sees to it that callers hold the claims which an endpoint requires.
type Trust string

// The trust modes. Whoever sends a token that is no good is refused in all of them.
const (
	TrustGateway Trust = "gateway" // the gateway; no credential goes further
	TrustHybrid  Trust = "hybrid"  // the gateway, and then the service, which gets the credential as well
	TrustService Trust = "service" // the service alone: it gets the identity, if one was proved, and the credential
)

// VersionPolicy says which version a request goes to that names none.
type VersionPolicy struct {
	// Default is [ByCapacity], which is the default, [Newest], or a version, exactly. With Weights it is empty.
	Default string
	// Weights are versions, exactly, and their shares in relation to each other's sum.
	Weights map[string]int
	// Sticky names what of a request keeps it with one of the weighted versions: subject, tenant, claim:TYPE, header:NAME,
	// cookie:NAME or address. Requests that lack it, and all where it is empty, are spread at random.
	Sticky string
}

// Values of [VersionPolicy.Default] beside versions.
const (
	// ByCapacity spreads requests over the live stable versions of the highest major, by the leases of their routable
	// instances. Prereleases count only where no stable version is live, and then the highest.
	ByCapacity = "capacity"
	// Newest is the highest live stable version, and a prerelease only where no stable one is live.
	Newest = "newest"
)

// Ejection says when an instance is taken out of its tier because its calls fail: with a status of 500 or more, by the
// loss of its session, or by a timeout. What clients break off counts neither for nor against it.
type Ejection struct {
	Off *bool // nobody is ejected; nil: as in [Config.Default], and if that says nothing, false

	ConsecutiveFailures int           // calls that fail in a row; [DefaultConsecutiveFailures]
	FailurePercent      int           // of the calls of a window; [DefaultFailurePercent]
	MinRequests         int           // that a window must have for that; [DefaultMinRequests]
	Window              time.Duration // [DefaultWindow]
	BaseTime            time.Duration // out of the tier, times how often in a row; [DefaultBaseTime]
	MaxTime             time.Duration // out of the tier at most; [DefaultMaxTime]
	MaxEjectedPercent   int           // of a tier at once, and at least one stays; [DefaultMaxEjectedPercent]
}

// Hedge says when a call to an idempotent endpoint is sent to a second instance as well, because the first has not
// answered yet.
type Hedge struct {
	After time.Duration // zero, the default: never
}

// off reports whether nobody is ejected.
func (e *Ejection) off() bool { return e.Off != nil && *e.Off }

// Over fills in what p leaves open: from base, and then with the defaults. It is the policy that is in force, so [Off] has become
// zero, which then stands for it.
func (p Policy) Over(base Policy) Policy {
	if p.Version.zero() {
		p.Version = base.Version
	}
	if p.Version.Default == "" && p.Version.Weights == nil {
		p.Version.Default = ByCapacity
	}
	p.Instances = max(cmp.Or(p.Instances, base.Instances), 0)
	p.Trust = cmp.Or(p.Trust, base.Trust, TrustGateway)
	if p.Loosen == nil {
		p.Loosen = base.Loosen
	}
	p.Balancer = cmp.Or(p.Balancer, base.Balancer, BalancerEWMA)
	p.SlowStart = max(cmp.Or(p.SlowStart, base.SlowStart, DefaultSlowStart), 0)
	p.PanicPercent = max(cmp.Or(p.PanicPercent, base.PanicPercent), 0)
	p.Hedge.After = max(cmp.Or(p.Hedge.After, base.Hedge.After), 0)
	e, b := &p.Ejection, &base.Ejection
	e.Off = cmp.Or(e.Off, b.Off, new(bool))
	e.ConsecutiveFailures = max(cmp.Or(e.ConsecutiveFailures, b.ConsecutiveFailures, DefaultConsecutiveFailures), 0)
	e.FailurePercent = max(cmp.Or(e.FailurePercent, b.FailurePercent, DefaultFailurePercent), 0)
	e.MinRequests = cmp.Or(e.MinRequests, b.MinRequests, DefaultMinRequests)
	e.Window = cmp.Or(e.Window, b.Window, DefaultWindow)
	e.BaseTime = cmp.Or(e.BaseTime, b.BaseTime, DefaultBaseTime)
	e.MaxTime = max(cmp.Or(e.MaxTime, b.MaxTime, DefaultMaxTime), e.BaseTime)
	e.MaxEjectedPercent = cmp.Or(e.MaxEjectedPercent, b.MaxEjectedPercent, DefaultMaxEjectedPercent)
	return p
}

func (v *VersionPolicy) zero() bool { return v.Default == "" && v.Weights == nil && v.Sticky == "" }
