package limit

import (
	"errors"
	"fmt"

	"github.com/stella-ops/router/internal/fault"
	"github.com/stella-ops/router/spec"
)

// Defaults.
const (
	DefaultKeys        = 100_000
	DefaultEnvironment = "default"
	DefaultMin         = 16   // calls
	DefaultMax         = 4096 // calls
)

// Config is every limit of a gateway. The zero value limits nothing.
type Config struct {
	Rules   []Rule // of rates
	Headers bool   // answers say RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-10)

	// Store is the URL of the Valkey or Redis server for rules of scope environment:
	// valkey://[user:password@]host:port[/database][?prefix=name].
	Store       string
	Environment string // whose gateways share their counts; [DefaultEnvironment]
	Gateways    int    // how many those are, for the failure mode local; 1
	Keys        int    // that are counted in memory at most, over all rules; [DefaultKeys]

	Priorities  []Priority // of endpoints, when not everything can be served
	Concurrency Concurrency
	Connections Connections
}

// Class is how much an endpoint matters when not everything can be served.
type Class string

// The classes. Endpoints of which nothing is said are normal.
const (
	ClassCritical   Class = "critical"   // has all of a limit
	ClassNormal     Class = "normal"     // has nine tenths of it
	ClassBackground Class = "background" // has seven tenths of it, and so is refused first
)

// Priority puts endpoints into a class. The most specific one counts, as with rules.
type Priority struct {
	Service  string
	Endpoint string
	Class    Class
}

// Concurrency is how much is served at once.
type Concurrency struct {
	// Total bounds the requests that are served at once, streams among them. Zero: nothing does.
	Total int
	// Adaptive bounds the unary calls at once by what their latency says: as long as calls take as long as ever, the limit
	// grows with demand; when they take longer, it falls until they do not.
	Adaptive bool
	Min, Max int // of the adaptive limit; [DefaultMin] and [DefaultMax]
}

// Connections is how many connections clients may have at once. Zeros: as many as they like.
type Connections struct {
	Total      int // over all addresses, on all listeners
	PerAddress int // from one address: IPv4 whole, IPv6 its /64
}

// withDefaults fills in the defaults.
func (c Config) withDefaults() Config {
	if c.Environment == "" {
		c.Environment = DefaultEnvironment
	}
	if c.Gateways == 0 {
		c.Gateways = 1
	}
	if c.Keys == 0 {
		c.Keys = DefaultKeys
	}
	if c.Concurrency.Min == 0 {
		c.Concurrency.Min = DefaultMin
	}
	if c.Concurrency.Max == 0 {
		c.Concurrency.Max = max(DefaultMax, c.Concurrency.Min)
	}
	return c
}

// Check names everything that is wrong with a configuration.
func (c Config) Check() error {
	c = c.withDefaults()
	var errs []error
	wrong := func(setting, format string, args ...any) {
		errs = append(errs, fault.At("limits."+setting, fmt.Errorf("limit: "+format, args...)))
	}
	type place struct{ service, endpoint, by string }
	names, places, shared := map[string]bool{}, map[place]string{}, ""
	for i := range c.Rules {
		r := &c.Rules[i]
		setting := fmt.Sprintf("rules[%d]", i)
		err := r.Check()
		errs = append(errs, fault.At("limits."+setting, err))
		if names[r.Name] {
			wrong(setting+".name", "rule %q is given twice: expected a name of its own for each", r.Name)
		}
		names[r.Name] = true
		if err == nil { // else it is not known what it would count
			identity, _ := spec.ParseIdentity(r.Endpoint) // none, or it has been checked
			at := place{r.Service, identity, r.by()}
			if other, taken := places[at]; taken && other != r.Name {
				wrong(setting, "rule %q counts the same requests by the same as rule %q: expected one of them", r.Name, other)
			}
			places[at] = r.Name
		}
		if r.Scope == ScopeEnvironment {
			shared = r.Name
		}
	}
	if c.Store != "" {
		if _, err := parseStore(c.Store); err != nil {
			errs = append(errs, fault.At("limits.store", err))
		}
	} else if shared != "" {
		wrong("rules", "rule %q counts for an environment: expected a store, valkey://host:port", shared)
	}
	if !plain(c.Environment) {
		err := fmt.Errorf("limit: environment: expected 1 to %d letters, digits, '-', '_' and '.', got %q", maxName, c.Environment)
		errs = append(errs, fault.At("node.environment", err))
	}
	if c.Gateways < 1 || c.Keys < 1 {
		wrong("gateways", "gateways %d and keys %d: expected at least 1 each", c.Gateways, c.Keys)
	}
	if n := c.Concurrency; n.Total < 0 || n.Min < 1 || n.Max < n.Min {
		wrong("concurrency", "concurrency: expected a total from 0, and 1 <= min <= max, got total %d, min %d, max %d", n.Total, n.Min, n.Max)
	}
	if n := c.Connections; n.Total < 0 || n.PerAddress < 0 {
		wrong("connections", "connections: expected numbers from 0, got total %d, per address %d", n.Total, n.PerAddress)
	}
	return errors.Join(append(errs, c.checkPriorities())...)
}

func (c Config) checkPriorities() error {
	type place struct{ service, endpoint string }
	var errs []error
	taken := map[place]bool{}
	for i := range c.Priorities {
		p := &c.Priorities[i]
		wrong := func(format string, args ...any) {
			err := fmt.Errorf("limit: priority %d: "+format, append([]any{i}, args...)...)
			errs = append(errs, fault.At(fmt.Sprintf("limits.priorities[%d]", i), err))
		}
		if _, ok := classNumber[p.Class]; !ok {
			wrong("class: expected critical, normal or background, got %q", p.Class)
		}
		if p.Service == "" && p.Endpoint == "" {
			wrong("expected a service, an endpoint, or both")
		}
		if p.Service != "" {
			if err := spec.CheckService(p.Service); err != nil {
				wrong("service: %w", err)
			}
		}
		at := place{p.Service, p.Endpoint}
		if p.Endpoint != "" {
			identity, err := spec.ParseIdentity(p.Endpoint)
			if err != nil {
				wrong("endpoint: %w", err)
			}
			at.endpoint = identity
		}
		if taken[at] {
			wrong("is for the same as another one: service %q, endpoint %q", p.Service, p.Endpoint)
		}
		taken[at] = true
	}
	return errors.Join(errs...)
}

// limits reports whether anything on the way of a request is limited.
func (c Config) limits() bool {
	return len(c.Rules) > 0 || c.Concurrency.Total > 0 || c.Concurrency.Adaptive
}
