package edge

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stella-ops/router/spec"
)

// CORS says which other sites' pages may read the answers below a path. The methods they may use are those that services
// offer. What services say of it themselves, in Access-Control fields, does not count there.
type CORS struct {
	Path string // "/" is every path
	// Origins are sites such as https://app.example, or https://*.app.example for every name below it, or "*" for all.
	Origins     []string
	Headers     []string      // request fields that pages may set beside the safelisted; "*" for all
	Expose      []string      // fields of answers that pages may read beside the safelisted
	Credentials bool          // pages may have cookies and TLS certificates sent along; not with the origin "*"
	MaxAge      time.Duration // how long browsers remember what they may; up to 24 hours
}

const (
	headerOrigin        = "Origin"
	headerAskedMethod   = "Access-Control-Request-Method"
	headerAskedHeaders  = "Access-Control-Request-Headers"
	headerAllowOrigin   = "Access-Control-Allow-Origin"
	accessControl       = "Access-Control-"
	maxCORSAge          = 24 * time.Hour
	maxAskedHeaders     = 64
	anything            = "*"
	wildcardBelowOrigin = "*."
)

// cors is an entry as requests use it.
type cors struct {
	path        string
	all         bool            // every origin
	exact       map[string]bool // origins
	below       []originsBelow  // origins by the end of their host
	anyHeader   bool            // every request field
	headers     map[string]bool // request fields, in lower case
	expose      []string        // the value of Access-Control-Expose-Headers; nil: none
	age         []string        // of Access-Control-Max-Age; nil: none
	credentials bool
}

// originsBelow are the sites whose origin begins and ends so: https:// and .app.example.
type originsBelow struct{ begin, end string }

func (c *CORS) prepare() (cors, error) {
	out := cors{path: c.Path, exact: map[string]bool{}, headers: map[string]bool{}, credentials: c.Credentials}
	var errs []error
	fault := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("edge: CORS of %s: "+format, append([]any{c.Path}, args...)...))
	}
	if p, err := spec.ParsePattern(c.Path); err != nil || slices.ContainsFunc(p.Segments, func(s spec.Segment) bool { return s.Param != "" || s.Rest }) {
		fault("expected a path without parameters")
	}
	if len(c.Origins) == 0 {
		fault("expected at least one origin")
	}
	for _, o := range c.Origins {
		if err := out.origin(o); err != nil {
			fault("origin %.80q: %w", o, err)
		}
	}
	if out.all && c.Credentials {
		fault("credentials need origins by name: with * every site could act for whoever is logged in")
	}
	for _, name := range c.Headers {
		if name == anything {
			out.anyHeader = true
			continue
		}
		out.headers[strings.ToLower(name)] = true
	}
	for _, name := range slices.Concat(c.Headers, c.Expose) {
		if name != anything && (&spec.Field{Name: http.CanonicalHeaderKey(name)}).Check() != nil {
			fault("%.80q is no name of a header field", name)
		}
	}
	if len(c.Expose) > 0 {
		out.expose = []string{strings.Join(c.Expose, ", ")}
	}
	if c.MaxAge < 0 || c.MaxAge > maxCORSAge {
		fault("maxAge %v, expected up to %v", c.MaxAge, maxCORSAge)
	}
	if c.MaxAge > 0 {
		out.age = []string{strconv.Itoa(int(c.MaxAge.Seconds()))}
	}
	return out, errors.Join(errs...)
}

// origin takes one origin in.
func (c *cors) origin(text string) error {
	if text == anything {
		c.all = true
		return nil
	}
	scheme, host, _ := strings.Cut(text, "://")
	u, err := url.Parse(scheme + "://" + strings.TrimPrefix(host, wildcardBelowOrigin))
	if err != nil || u.Host == "" || u.Scheme != scheme || text != strings.ToLower(text) || strings.Contains(u.Host, anything) ||
		u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return errors.New("expected scheme and host as browsers send them, such as https://app.example or https://*.app.example")
	}
	if rest, ok := strings.CutPrefix(host, wildcardBelowOrigin); ok {
		c.below = append(c.below, originsBelow{scheme + "://", "." + rest})
		return nil
	}
	c.exact[text] = true
	return nil
}

// allows reports whether pages of an origin may read answers.
func (c *cors) allows(origin string) bool {
	if c.all || c.exact[origin] {
		return true
	}
	for _, b := range c.below {
		if len(origin) > len(b.begin)+len(b.end) && strings.HasPrefix(origin, b.begin) && strings.HasSuffix(origin, b.end) {
			return true
		}
	}
	return false
}

// share finds out whether a page of another site asks, and may read the answer.
func (x *Exchange) share() {
	for i := range x.policy.cors {
		c := &x.policy.cors[i]
		if !below(x.path, c.path) {
			continue
		}
		x.cors = c
		if origin := x.header()[headerOrigin]; len(origin) == 1 && c.allows(origin[0]) {
			x.origin = origin[0]
		}
		return
	}
}

// Shared values of header fields: never changed.
var (
	varyOrigin    = []string{headerOrigin}
	varyPreflight = []string{headerOrigin + ", " + headerAskedMethod + ", " + headerAskedHeaders}
	isTrue        = []string{"true"}
)

// shareAnswer says in the answer who may read it.
func (x *Exchange) shareAnswer(h http.Header) {
	h["Vary"] = varyOrigin
	if x.origin == "" {
		return
	}
	if x.cors.all && !x.cors.credentials {
		h[headerAllowOrigin] = []string{anything}
	} else {
		h[headerAllowOrigin] = []string{x.origin}
	}
	if x.cors.credentials {
		h["Access-Control-Allow-Credentials"] = isTrue
	}
	if x.cors.expose != nil {
		h["Access-Control-Expose-Headers"] = x.cors.expose
	}
}

// preflight answers a browser that asks whether a page may send a request. It reports whether that is what was asked.
func (e *Edge) preflight(x *Exchange) bool {
	asked := x.header()[headerAskedMethod]
	if x.cors == nil || x.method != http.MethodOptions || len(asked) != 1 || len(x.header()[headerOrigin]) != 1 {
		return false
	}
	h := x.answerHeader()
	x.stamp(h)
	h["Vary"] = varyPreflight
	delete(h, "Access-Control-Expose-Headers")
	m := e.cfg.Registry.Snapshot().Match(asked[0], x.path, x.params)
	x.params = m.Params
	fields, ok := x.askedFields()
	served := m.Endpoint != nil && !x.slash
	if x.policy.legacy != nil && !served {
		place, _ := x.policy.upstreamAt(asked[0], x.path, x.slash, x.slash || m.Free(), x.params)
		served = place != nil
	}
	if x.origin != "" && served && ok {
		h["Access-Control-Allow-Methods"] = asked
		if fields != nil {
			h["Access-Control-Allow-Headers"] = fields
		}
		if x.cors.age != nil {
			h["Access-Control-Max-Age"] = x.cors.age
		}
	} else {
		delete(h, headerAllowOrigin)
	}
	x.spare(h)
	x.status = http.StatusNoContent
	x.head(x.status)
	return true
}

// askedFields are the request fields that a page wants to set, if it may set all of them.
func (x *Exchange) askedFields() (fields []string, ok bool) {
	fields = x.header()[headerAskedHeaders]
	n := 0
	for _, field := range fields {
		for name := range strings.SplitSeq(field, ",") {
			name = strings.ToLower(strings.TrimSpace(name))
			if n++; n > maxAskedHeaders || name != "" && !x.cors.anyHeader && !x.cors.headers[name] {
				return nil, false
			}
		}
	}
	return fields, true
}
