package routing

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/stella-ops/router/internal/fault"
	"github.com/stella-ops/router/spec"
)

// Bounds of what a configuration may ask for.
const (
	maxNeighbours = 256
	maxWeights    = 64
	maxWeight     = 1_000_000
	maxTime       = 24 * time.Hour
	maxCount      = 1_000_000
	minWindow     = 100 * time.Millisecond
	minMissed     = 2   // intervals
	maxMissed     = 100 // intervals
)

// maxExpected bounds the instances that a service should have.
const maxExpected = 1_000_000

// FaultError is one thing that is wrong with a configuration.
type FaultError struct {
	// Field leads from [Config] to the value, by the names that it has in YAML: services, billing, version, sticky.
	Field []string
	Text  string
}

// setting is what the fault is about, as gateway.yaml has it: services[billing].version.sticky.
func (f *FaultError) setting() string {
	field := slices.Clone(f.Field)
	path := field[0]
	switch {
	case path == "default":
		path = "routing"
	case path == "services" && len(field) > 1:
		path, field = "services["+field[1]+"]", field[1:]
	case path == "access" && len(field) > 1:
		path, field = "endpoints["+field[1]+"]", field[1:]
	case path == "region" || path == "neighbours":
		path = "node." + path
	case path == "owners":
		path = "transports.owners"
	}
	return strings.Join(append([]string{path}, field[1:]...), ".")
}

// Error implements error.
func (f *FaultError) Error() string {
	return "routing: " + strings.Join(f.Field, ".") + ": " + f.Text
}

// checker collects faults.
type checker struct {
	at     []string
	faults []error
}

func (c *checker) faultf(field, format string, args ...any) {
	f := &FaultError{Field: append(slices.Clone(c.at), field), Text: fmt.Sprintf(format, args...)}
	c.faults = append(c.faults, fault.At(f.setting(), f))
}

// in checks something below a field.
func (c *checker) in(field string, f func()) {
	c.at = append(c.at, field)
	f()
	c.at = c.at[:len(c.at)-1]
}

// Check names everything that is wrong with the configuration: an error of as many [*FaultError], joined.
func (cfg *Config) Check() error {
	c := new(checker)
	c.regions(cfg)
	c.health(cfg)
	for _, name := range slices.Sorted(maps.Keys(cfg.Balancers)) {
		switch {
		case builtIn(name) != nil || name == "":
			c.in("balancers", func() { c.faultf(name, "the name is one of the gateway's own") })
		case cfg.Balancers[name] == nil:
			c.in("balancers", func() { c.faultf(name, "is nil, expected a function that makes one") })
		}
	}
	c.in("default", func() {
		c.policy(&cfg.Default, &Policy{}, cfg)
		if v := &cfg.Default.Version; v.Weights != nil {
			c.in("version", func() { c.faultf("weights", "versions are a service's own: name the service") })
		}
	})
	c.in("services", func() {
		for _, name := range slices.Sorted(maps.Keys(cfg.Services)) {
			if err := spec.CheckService(name); err != nil {
				c.faultf(name, "%s", unprefixed(err))
			}
			p := cfg.Services[name]
			c.in(name, func() { c.policy(&p, &cfg.Default, cfg) })
		}
	})
	c.in("access", func() { c.access(cfg.Access) })
	return errors.Join(c.faults...)
}

func unprefixed(err error) string { return strings.TrimPrefix(err.Error(), "spec: ") }

// health checks when instances are picked no longer. HEARTBEAT comes with a tenth more or less than its interval, so that one is too few.
func (c *checker) health(cfg *Config) {
	filled := *cfg
	filled.fill()
	c.in("health", func() {
		degraded, unhealthy := filled.DegradedAfter, filled.UnhealthyAfter
		if degraded < minMissed || degraded > maxMissed {
			c.faultf("degradedAfter", "%d, expected %d to %d", degraded, minMissed, maxMissed)
		}
		if unhealthy < minMissed || unhealthy > maxMissed {
			c.faultf("unhealthyAfter", "%d, expected %d to %d", unhealthy, minMissed, maxMissed)
		} else if unhealthy < degraded {
			c.faultf("unhealthyAfter", "%d is less than degradedAfter, %d", unhealthy, degraded)
		}
	})
}

func (c *checker) regions(cfg *Config) {
	if cfg.Region != "" {
		if err := spec.CheckRegion(cfg.Region); err != nil {
			c.faultf("region", "%s", unprefixed(err))
		}
	}
	if cfg.Region == "" && len(cfg.Neighbours) > 0 {
		c.faultf("neighbours", "the gateway has no region of its own, so none is near: set region")
	}
	if len(cfg.Neighbours) > maxNeighbours {
		c.faultf("neighbours", "%d regions, the limit is %d", len(cfg.Neighbours), maxNeighbours)
	}
	for i, region := range cfg.Neighbours {
		if err := spec.CheckRegion(region); err != nil {
			c.faultf("neighbours", "%s", unprefixed(err))
		} else if region == cfg.Region {
			c.faultf("neighbours", "%s is the gateway's own region", region)
		} else if slices.Contains(cfg.Neighbours[:i], region) {
			c.faultf("neighbours", "%s stands twice", region)
		}
	}
}

// policy checks what a policy says, which lies above base.
func (c *checker) policy(p, base *Policy, cfg *Config) {
	c.in("version", func() { c.version(&p.Version) })
	if p.Balancer != "" && builtIn(p.Balancer) == nil && cfg.Balancers[p.Balancer] == nil {
		names := slices.Sorted(maps.Keys(cfg.Balancers))
		c.faultf("balancer", "%.40q, expected one of %s", p.Balancer,
			strings.Join(append([]string{BalancerEWMA, BalancerPing, BalancerRoundRobin}, names...), ", "))
	}
	switch p.Trust {
	case "", TrustGateway, TrustHybrid, TrustService:
	default:
		c.faultf("trust", "%.40q, expected %s, %s or %s", p.Trust, TrustGateway, TrustHybrid, TrustService)
	}
	c.duration("slowStart", p.SlowStart, 0, true)
	c.number("panicPercent", p.PanicPercent, 100, true)
	c.number("instances", p.Instances, maxExpected, true)
	c.in("hedge", func() { c.duration("after", p.Hedge.After, time.Millisecond, true) })
	c.in("ejection", func() {
		e := &p.Ejection
		c.number("consecutiveFailures", e.ConsecutiveFailures, maxCount, true)
		c.number("failurePercent", e.FailurePercent, 100, true)
		c.number("minRequests", e.MinRequests, maxCount, false)
		c.duration("window", e.Window, minWindow, false)
		c.duration("baseTime", e.BaseTime, time.Millisecond, false)
		c.duration("maxTime", e.MaxTime, time.Millisecond, false)
		least, most := cmp.Or(e.BaseTime, base.Ejection.BaseTime, DefaultBaseTime), cmp.Or(e.MaxTime, base.Ejection.MaxTime)
		switch { // a maxTime that nobody has said grows with baseTime
		case most <= 0 || least <= most:
		case e.MaxTime > 0:
			c.faultf("maxTime", "%v is shorter than baseTime, %v", most, least)
		case e.BaseTime > 0:
			c.faultf("baseTime", "%v is longer than maxTime, %v", least, most)
		}
		c.number("maxEjectedPercent", e.MaxEjectedPercent, 100, false)
	})
}

// number allows 0, which stands for the default, to limit, and [Off] where the thing can be switched off.
func (c *checker) number(field string, n, limit int, off bool) {
	if n > limit || n < 0 && (!off || n != Off) {
		c.faultf(field, "%d, expected 1 to %d%s", n, limit, orOff(off))
	}
}

func (c *checker) duration(field string, d, least time.Duration, off bool) {
	if d > maxTime || d > 0 && d < least || d < 0 && (!off || d != Off) {
		c.faultf(field, "%v, expected %v to %v%s", d, least, maxTime, orOff(off))
	}
}

func orOff(off bool) string {
	if off {
		return ", or that it is off"
	}
	return ""
}

func (c *checker) version(v *VersionPolicy) {
	switch v.Default {
	case "", ByCapacity, Newest:
	default:
		if _, err := spec.ParseVersion(v.Default); err != nil {
			c.faultf("default", "%.80q, expected %s, %s or a version such as 1.4.0", v.Default, ByCapacity, Newest)
		}
	}
	if v.Default != "" && v.Weights != nil {
		c.faultf("weights", "there is a default, %.80s, already: one of the two has to go", v.Default)
	}
	if v.Sticky != "" {
		if v.Weights == nil {
			c.faultf("sticky", "nothing is spread without weights")
		}
		if _, err := ParseKey(v.Sticky); err != nil {
			c.faultf("sticky", "%s", strings.TrimPrefix(err.Error(), "routing: "))
		}
	}
	if v.Weights == nil {
		return
	}
	if len(v.Weights) > maxWeights {
		c.faultf("weights", "%d versions, the limit is %d", len(v.Weights), maxWeights)
		return
	}
	sum := 0
	c.in("weights", func() {
		for _, version := range slices.Sorted(maps.Keys(v.Weights)) {
			if _, err := spec.ParseVersion(version); err != nil {
				c.faultf(version, "%s", unprefixed(err))
			}
			w := v.Weights[version]
			if w < 0 || w > maxWeight {
				c.faultf(version, "weight %d, expected 0 to %d", w, maxWeight)
			}
			sum += w
		}
	})
	if sum <= 0 {
		c.faultf("weights", "their sum is %d, expected more than 0", sum)
	}
}

// ParseKey reads what a request is known by: subject, tenant, claim:TYPE, header:NAME, cookie:NAME or address.
func ParseKey(text string) (Key, error) {
	kind, name, named := strings.Cut(text, ":")
	k := Key{Kind: KeyKind(kind), Name: name}
	switch k.Kind {
	case KeySubject, KeyTenant, KeyAddress:
		if named {
			return Key{}, fmt.Errorf("routing: key %.80q: nothing follows %s", text, kind)
		}
	case KeyClaim:
		if name == "" || len(name) > maxKeyName {
			return Key{}, fmt.Errorf("routing: key %.80q, expected claim: and the claim's type, up to %d bytes", text, maxKeyName)
		}
	case KeyCookie:
		if name == "" || len(name) > maxKeyName || strings.ContainsFunc(name, func(r rune) bool { return !token(r) }) {
			return Key{}, fmt.Errorf("routing: key %.80q, expected cookie: and a cookie's name", text)
		}
	case KeyHeader:
		if name == "" || len(name) > maxKeyName || strings.ContainsFunc(name, func(r rune) bool { return !token(r) }) {
			return Key{}, fmt.Errorf("routing: key %.80q, expected header: and a header's name", text)
		}
		k.Name = http.CanonicalHeaderKey(name)
	default:
		return Key{}, fmt.Errorf("routing: key %.80q, expected subject, tenant, claim:TYPE, header:NAME, cookie:NAME or address", text)
	}
	return k, nil
}

const maxKeyName = 128

// token reports whether a header's name may have the character (RFC 9110, section 5.6.2).
func token(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r < 0x80 && strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}
