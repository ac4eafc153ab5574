package stella

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stella-ops/router/spec"
	"github.com/stella-ops/router/transports"
)

// The variables that an operator sets. They go before what the program's code says with an option, because whoever
// deploys a service knows more than whoever wrote it. An empty one counts as not set.
const (
	EnvGateways   = "STELLA_GATEWAYS"    // transport URLs; "," adds a gateway, "|" an alternative way to the same one
	EnvRegion     = "STELLA_REGION"      // the region the service runs in
	EnvInstanceID = "STELLA_INSTANCE_ID" // this process among those of its service; random unless set
	EnvLease      = "STELLA_LEASE"       // calls taken on at once, over all gateways
	EnvToken      = "STELLA_TOKEN"       // proves the right to the service's name; of several, separated by commas, the first
	EnvMaxAge     = "STELLA_MAX_AGE"     // how old a session gets before it is replaced, such as 1h
	EnvMemory     = "STELLA_MEMORY"      // bytes of request bodies that are held at most, such as 256MiB
	EnvQueue      = "STELLA_QUEUE"       // transport URL of the broker from which jobs are taken: endpoints with delivery=queue
	EnvJobs       = "STELLA_JOBS"        // jobs done at once
	EnvOverlay    = "STELLA_OVERLAY"     // file that says what this deployment changes about endpoints; see package runtime/overlay
	EnvGrace      = "STELLA_GRACE"       // how long open calls may go on while the service drains, such as 25s
)

// What holds where neither a variable nor an option says otherwise. The gateway has the same address and grace.
const (
	DefaultGateway = "tcp://127.0.0.1:5100"
	DefaultLease   = 1024
	DefaultGrace   = 25 * time.Second
	DefaultMaxAge  = time.Hour
	DefaultMemory  = "256MiB"
	DefaultJobs    = 16
)

// minMaxAge is the least time between two sessions with one gateway: more often, and a service would do little else.
const minMaxAge = 100 * time.Millisecond

// maxJobs bounds the jobs that one process does at once.
const maxJobs = 1024

// minToken is the least length of a token, in bytes; the gateway has the same.
const minToken = 16

// config is what New was given.
type config struct {
	endpoints []Endpoints
	defaults  map[string]string // by variable, from options
	variables map[string]string // by variable, from WithVariable
	logger    *slog.Logger
	tracer    Tracer // or nil

	interceptors []interception // outermost first
}

// settings are the effective configuration.
type settings struct {
	gateways []gatewayURLs
	instance spec.Instance
	lease    int
	token    string
	maxAge   time.Duration
	overlay  []spec.OverlayEndpoint

	queue     transports.Queue // or nil
	jobs      int
	maxMemory int64
	grace     time.Duration
	log       *slog.Logger
	tracer    Tracer // or nil
}

// gatewayURLs are the ways to one gateway, in the order to try them.
type gatewayURLs []string

// String is for logs.
func (g gatewayURLs) String() string {
	ways := make([]string, len(g))
	for i, raw := range g {
		ways[i] = transports.Redacted(raw)
	}
	return strings.Join(ways, "|")
}

// settings resolves the configuration for a service of this manifest. It reports everything that is wrong.
func (c *config) settings(m *spec.Manifest) (*settings, error) {
	s := &settings{
		instance: spec.Instance{Service: m.Service, Version: m.Version},
		log:      c.logger,
		tracer:   c.tracer,
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	var errs []error
	for name := range c.variables {
		if !slices.Contains(variables, name) {
			errs = append(errs, fmt.Errorf("stella: WithVariable(%q): there is no such variable; there are %s", name, strings.Join(variables, ", ")))
		}
	}
	resolve := func(name, fallback string, parse func(string) error) {
		value := cmp.Or(c.variables[name], os.Getenv(name), c.defaults[name], fallback)
		if err := parse(value); err != nil {
			errs = append(errs, fmt.Errorf("stella: %s: %w", name, err))
		}
	}
	resolve(EnvGateways, DefaultGateway, func(v string) (err error) {
		s.gateways, err = parseGateways(v)
		return err
	})
	resolve(EnvRegion, "", func(v string) error {
		s.instance.Region = v
		return checkInstance(spec.Instance{Region: v})
	})
	resolve(EnvInstanceID, strings.ToLower(rand.Text()), func(v string) error {
		s.instance.ID = v
		return checkInstance(spec.Instance{ID: v})
	})
	resolve(EnvLease, formatInt(DefaultLease), func(v string) (err error) {
		s.lease, err = strconv.Atoi(v)
		if err != nil || s.lease < 1 || s.lease > spec.MaxLease {
			return fmt.Errorf("%q, expected a number of calls from 1 to %d", v, spec.MaxLease)
		}
		return nil
	})
	resolve(EnvGrace, DefaultGrace.String(), func(v string) (err error) {
		s.grace, err = time.ParseDuration(v)
		if err != nil || s.grace < 0 {
			return fmt.Errorf("%q, expected a duration such as %v", v, DefaultGrace)
		}
		return nil
	})
	resolve(EnvToken, "", func(v string) error {
		s.token, _, _ = strings.Cut(v, ",")
		for i, token := range strings.Split(v, ",") { // never part of an error: it is a secret
			if v != "" && (len(token) < minToken || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' })) {
				return fmt.Errorf("token %d: expected at least %d printable characters without spaces", i+1, minToken)
			}
		}
		return nil
	})
	resolve(EnvMaxAge, DefaultMaxAge.String(), func(v string) (err error) {
		s.maxAge, err = time.ParseDuration(v)
		if err != nil || s.maxAge < minMaxAge {
			return fmt.Errorf("%q, expected a duration of at least %v, such as %v", v, minMaxAge, DefaultMaxAge)
		}
		return nil
	})
	resolve(EnvMemory, DefaultMemory, func(v string) (err error) {
		s.maxMemory, err = spec.ParseSize(v)
		return err
	})
	resolve(EnvOverlay, "", func(v string) (err error) {
		s.overlay, err = readOverlay(v, m)
		return err
	})
	resolve(EnvQueue, "", func(v string) (err error) {
		if v != "" {
			s.queue, err = transports.OpenQueue(v)
		}
		return err
	})
	resolve(EnvJobs, formatInt(DefaultJobs), func(v string) (err error) {
		s.jobs, err = strconv.Atoi(v)
		if err != nil || s.jobs < 1 || s.jobs > maxJobs {
			return fmt.Errorf("%q, expected a number of jobs from 1 to %d", v, maxJobs)
		}
		return nil
	})
	if s.lease < len(s.gateways) && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("stella: %s: %d calls are not one for each of %d gateways", EnvLease, s.lease, len(s.gateways)))
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return s, errors.Join(errs...)
}

// parseGateways reads the value of STELLA_GATEWAYS, and checks that transports that are linked in take its URLs.
func parseGateways(value string) ([]gatewayURLs, error) {
	var gateways []gatewayURLs
	var errs []error
	seen := map[string]bool{}
	for ways := range strings.SplitSeq(value, ",") {
		var urls gatewayURLs
		for raw := range strings.SplitSeq(ways, "|") {
			raw = strings.TrimSpace(raw)
			if _, _, err := transports.Parse(raw); err != nil {
				errs = append(errs, err)
			} else if seen[raw] {
				errs = append(errs, fmt.Errorf("%s is named twice", transports.Redacted(raw)))
			}
			seen[raw] = true
			urls = append(urls, raw)
		}
		gateways = append(gateways, urls)
	}
	return gateways, errors.Join(errs...)
}

// checkInstance checks the fields of i that are set, as the gateway will when it reads HELLO.
func checkInstance(i spec.Instance) error {
	i.Service, i.Version, i.ID = cmp.Or(i.Service, "x"), cmp.Or(i.Version, "0.0.0"), cmp.Or(i.ID, "x")
	h := spec.Hello{Instance: i, Nonce: "0000000000000000", ManifestDigest: spec.Digest(nil), Lease: 1, StreamWindow: 1, SessionWindow: 1}
	return h.Check()
}

func formatInt(n int) string { return strconv.Itoa(n) }
