package legacy

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/internal/fault"
	"github.com/stella-ops/router/spec"
)

// Config is which requests go to HTTP servers instead of services. The zero value is none. It can change while the gateway runs.
type Config struct {
	Upstreams []Upstream
	Routes    []Route
}

// Upstream is an HTTP server.
type Upstream struct {
	Name string // in logs, metrics and routes: letters, digits, '-', '_' and '.'
	URL  string // http or https, and the host, with nothing behind it
	Host string // what it is asked for in Host; empty: what the client has asked for
}

// Route is the part of a site that an upstream has, or shares with a service.
type Route struct {
	Path     string   // a pattern, as endpoints have it
	Methods  []string // empty: all of [spec.Methods]
	Upstream string   // by name
	// Weight is the percentage of requests that goes to the upstream where an endpoint has the same method and path; the
	// service has the others. Requests that no endpoint has all go to the upstream, whatever it is.
	Weight int
	Sticky string // what of a request keeps it on one side, as [routing.ParseKey] reads it; empty: each goes by chance
	// Either of these: what callers have to hold, all of it, or why nobody has to hold anything. Where there is an endpoint,
	// its claims have to be held on both sides.
	Claims []spec.ClaimRequirement
	Public string
	// Limits bound what the upstream is asked, whatever endpoint has the same. A zero field means that of [spec.DefaultLimits], or the
	// endpoint's where that is larger. The timeout is until the answer's header.
	Limits spec.Limits
}

// Bounds of the configuration.
const (
	maxRoutes    = 1024
	maxUpstreams = 256
	maxName      = 64 // characters
	percent      = 100
)

// Name is the route's, in logs and metrics: its path, with the methods before it if it has not all of them.
func (r *Route) Name() string {
	if len(r.Methods) == 0 {
		return r.Path
	}
	return strings.Join(r.Methods, ",") + " " + r.Path
}

// Taken are the methods of the route.
func (r *Route) Taken() []string {
	if len(r.Methods) == 0 {
		return spec.Methods
	}
	return r.Methods
}

// Check says everything that is wrong with a configuration.
func (c *Config) Check() error {
	k := checker{upstreams: map[string]bool{}, taken: map[string]string{}}
	if len(c.Upstreams) > maxUpstreams || len(c.Routes) > maxRoutes {
		k.faultf("routes", "%d upstreams and %d routes, the limits are %d and %d", len(c.Upstreams), len(c.Routes), maxUpstreams, maxRoutes)
		return errors.Join(k.errs...)
	}
	for i := range c.Upstreams {
		k.upstream(&c.Upstreams[i], "upstreams["+strconv.Itoa(i)+"]")
	}
	for i := range c.Routes {
		k.route(&c.Routes[i], "routes["+strconv.Itoa(i)+"]")
	}
	return errors.Join(k.errs...)
}

// checker finds what is wrong.
type checker struct {
	errs      []error
	upstreams map[string]bool   // by name
	taken     map[string]string // the settings of what routes take, by method and identity of the path
}

// faultf says what is wrong with a setting below legacy.
func (k *checker) faultf(setting, format string, args ...any) {
	k.errs = append(k.errs, fault.At("legacy."+setting, fmt.Errorf("legacy: "+format, args...)))
}

func (k *checker) upstream(u *Upstream, at string) {
	if !plain(u.Name) {
		k.faultf(at+".name", "%.80q, expected 1 to %d letters, digits, '-', '_' and '.'", u.Name, maxName)
	}
	if k.upstreams[u.Name] {
		k.faultf(at+".name", "there are two upstreams %s: expected one entry for each", u.Name)
	}
	k.upstreams[u.Name] = true
	if err := checkURL(u.URL); err != nil {
		k.faultf(at+".url", "%w", err)
	}
	if strings.ContainsFunc(u.Host, notOfHost) {
		k.faultf(at+".host", "%.80q, expected a host as in Host, such as shop.internal or shop.internal:8080", u.Host)
	}
}

func (k *checker) route(r *Route, at string) {
	if !k.upstreams[r.Upstream] {
		k.faultf(at+".upstream", "there is no upstream %.80q: expected the name of one of legacy.upstreams", r.Upstream)
	}
	if r.Weight < 0 || r.Weight > percent {
		k.faultf(at+".weight", "%d, expected 0 to 100: percent of requests that stay with the upstream", r.Weight)
	}
	if r.Sticky != "" {
		if _, err := routing.ParseKey(r.Sticky); err != nil {
			k.faultf(at+".sticky", "%s", strings.TrimPrefix(err.Error(), "routing: "))
		}
	}
	if (r.Public == "") == (len(r.Claims) == 0) {
		k.faultf(at, "expected either claims, or why it is public")
	}
	for _, claim := range r.Claims {
		if err := claim.Check(); err != nil {
			k.faultf(at+".claims", "%w", err)
		}
	}
	if err := r.Limits.Check(); err != nil {
		k.faultf(at, "%w", err)
	}
	k.pattern(r, at)
}

// pattern checks what the route takes: nothing that is the gateway's own, and nothing that another one takes.
func (k *checker) pattern(r *Route, at string) {
	pattern, err := spec.ParsePattern(r.Path)
	switch {
	case err != nil:
		k.faultf(at+".path", "%w", err)
		return
	case pattern.Reserved():
		k.faultf(at+".path", "%s is the gateway's own, and all below it: expected another path", spec.ReservedPath)
	}
	for _, method := range r.Taken() {
		if !spec.ValidMethod(method) {
			k.faultf(at+".methods", "%.20q, expected %s", method, strings.Join(spec.Methods, ", "))
			continue
		}
		identity := method + " " + pattern.Identity()
		if first, ok := k.taken[identity]; ok {
			k.faultf(at+".path", "%s %s is taken by %s already: expected one route for each method and path", method, r.Path, first)
			return
		}
		k.taken[identity] = "legacy." + at
	}
}

// checkURL checks the URL of an upstream. What could be a password is not repeated.
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Hostname() == "" || u.Scheme != schemeHTTP && u.Scheme != schemeHTTPS {
		return errors.New("url: expected http or https and a host, such as http://127.0.0.1:9000")
	}
	if u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery {
		return errors.New("url: expected scheme and host with nothing beside them: no login, path or query. The path is the request's")
	}
	return nil
}

const (
	schemeHTTP  = "http"
	schemeHTTPS = "https"
)

// plain reports whether s may stand in logs and metrics as it is.
func plain(s string) bool {
	return s != "" && len(s) <= maxName && !strings.ContainsFunc(s, func(r rune) bool {
		return !letter(r) && !slices.Contains([]rune("-_."), r)
	})
}

func letter(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// notOfHost reports whether no host in Host has the character (RFC 9110, section 7.2), brackets of IPv6 being among those it has.
func notOfHost(r rune) bool { return !letter(r) && !slices.Contains([]rune("-_.:[]"), r) }
