package stella

import (
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// Part is what [New] makes a service of, beside its manifest: [Endpoints], and options.
type Part interface {
	apply(c *config)
}

// option is a Part that changes the configuration.
type option func(*config)

func (o option) apply(c *config) { o(c) }

// WithGateways names the gateways to dial, as transport URLs such as tcp://127.0.0.1:5100. Within one argument, "|"
// separates alternative ways to the same gateway, tried in order. STELLA_GATEWAYS goes before it.
func WithGateways(urls ...string) Part {
	return option(func(c *config) { c.defaults[EnvGateways] = strings.Join(urls, ",") })
}

// WithRegion names the region that the service runs in. STELLA_REGION goes before it.
func WithRegion(region string) Part {
	return option(func(c *config) { c.defaults[EnvRegion] = region })
}

// WithInstanceID names this process among those of its service. Without it the name is random.
// STELLA_INSTANCE_ID goes before it.
func WithInstanceID(id string) Part {
	return option(func(c *config) { c.defaults[EnvInstanceID] = id })
}

// WithLease bounds the calls that the service takes on at once, over all its gateways. STELLA_LEASE goes before it.
func WithLease(calls int) Part {
	return option(func(c *config) { c.defaults[EnvLease] = formatInt(calls) })
}

// WithToken proves the right to the service's name to gateways that ask. A gateway that does not prove in turn that it
// knows the token is refused. STELLA_TOKEN goes before it, and is the better place for a secret.
func WithToken(token string) Part {
	return option(func(c *config) { c.defaults[EnvToken] = token })
}

// WithMaxAge bounds the age of a session: it is replaced before, without a gap, give or take a fifth. STELLA_MAX_AGE goes
// before it.
func WithMaxAge(d time.Duration) Part {
	return option(func(c *config) { c.defaults[EnvMaxAge] = d.String() })
}

// WithMemory bounds the bytes of request bodies that have come and not been read yet, over all sessions. When they are
// spent, the call whose handler has stalled for longest is ended. STELLA_MEMORY goes before it.
func WithMemory(bytes int64) Part {
	return option(func(c *config) { c.defaults[EnvMemory] = strconv.FormatInt(bytes, 10) + "B" })
}

// WithQueue names the broker from which the jobs of endpoints with delivery=queue are taken, as a transport URL such as
// valkey://127.0.0.1:6379; the gateway has the same. STELLA_QUEUE goes before it.
func WithQueue(url string) Part {
	return option(func(c *config) { c.defaults[EnvQueue] = url })
}

// WithJobs bounds the jobs that the service does at once. STELLA_JOBS goes before it.
func WithJobs(n int) Part {
	return option(func(c *config) { c.defaults[EnvJobs] = formatInt(n) })
}

// WithGrace bounds how long open calls may go on once the service drains. STELLA_GRACE goes before it.
func WithGrace(d time.Duration) Part {
	return option(func(c *config) { c.defaults[EnvGrace] = d.String() })
}

// WithVariable sets one of the STELLA_ variables for this service alone. It goes before the environment: it is for
// what a program's own command line says. An empty value says nothing, so that a flag can be passed on as it is.
func WithVariable(name, value string) Part {
	return option(func(c *config) { c.variables[name] = value })
}

// WithLogger says where the service logs; without it that is [slog.Default].
func WithLogger(l *slog.Logger) Part {
	return option(func(c *config) { c.logger = l })
}
