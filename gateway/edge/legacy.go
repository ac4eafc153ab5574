package edge

import (
	"slices"
	"strings"
	"time"

	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/gateway/legacy"
	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/gateway/telemetry"
	"github.com/stella-ops/router/spec"
)

// legacyTable is where requests go that have an HTTP server to go to. It does not change.
type legacyTable struct {
	paths  routing.Paths
	places []legacyPlace // by the numbers of paths
	routes []*legacyRoute
}

// legacyRoute is a route as requests use it.
type legacyRoute struct {
	*legacy.Route

	name   string
	server *legacy.Server
	key    routing.Key
	depth  int                    // how many of its path's segments are literals, before the first parameter
	meter  *telemetry.LegacyRoute // set when the table is put in force
}

// percent is the weight of a route all of whose requests go to the upstream.
const percent = 100

// legacyPlace is one method of a route.
type legacyPlace struct {
	route *legacyRoute
	alone *routing.Route // what counts of a request that no endpoint has
}

func newLegacyTable(c *legacy.Config) (*legacyTable, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	servers := map[string]*legacy.Server{}
	for i := range c.Upstreams {
		s, err := legacy.NewServer(&c.Upstreams[i])
		if err != nil {
			return nil, err
		}
		servers[s.Name] = s
	}
	t := new(legacyTable)
	for i := range c.Routes {
		given := c.Routes[i]
		r := &legacyRoute{Route: &given, name: given.Name(), server: servers[given.Upstream]}
		if given.Sticky != "" {
			r.key, _ = routing.ParseKey(given.Sticky) // it has been checked
		}
		pattern, err := spec.ParsePattern(given.Path)
		if err != nil { // cannot be: as above
			return nil, err
		}
		for r.depth < len(pattern.Segments) && pattern.Segments[r.depth].Literal != "" {
			r.depth++
		}
		access := routing.Access{Claims: given.Claims, Public: given.Public}
		for _, method := range given.Taken() {
			t.paths.Add(method, pattern, int32(len(t.places))) // the check bounds it
			t.places = append(t.places, legacyPlace{r, routing.Foreign(method, pattern, access, given.Limits.WithDefaults())})
		}
		t.routes = append(t.routes, r)
	}
	return t, nil
}

// find is where a method and a canonical path lead, behind which there may be a slash; nil: nowhere. In the match are the methods
// that the path has otherwise. With a slash a path is one below, as net/http has it: /books/{rest...} takes /books/, with nothing for
// rest.
func (t *legacyTable) find(method, path string, slash bool, memory []string) (*legacyPlace, routing.Match) {
	number, m := t.paths.Find(method, path, slash, memory)
	if number < 0 {
		return nil, m
	}
	return &t.places[number], m
}

// upstreamAt is find for a path that no endpoint has if it is free: then a folder of files takes it whose own path is longer than what
// of the route's is before the first parameter, be it that there is no such file. So /app of static is not lost below /{rest...}.
func (p *prepared) upstreamAt(method, path string, slash, free bool, memory []string) (*legacyPlace, routing.Match) {
	place, m := p.legacy.find(method, path, slash, memory)
	if place == nil && m.Free() || !free {
		return place, m
	}
	d := p.folder(path)
	if d == nil || d.Path == "/" {
		return place, m
	}
	depth := 0
	if place != nil {
		depth = place.route.depth
	} else { // the path is some route's for other methods
		for _, other := range spec.Methods {
			if other, _ := p.legacy.find(other, path, slash, memory); other != nil {
				depth = max(depth, other.route.depth)
			}
		}
	}
	if strings.Count(d.Path, "/") > depth {
		return nil, routing.Match{}
	}
	return place, m
}

// count has the routes be counted. A nil table has none.
func (t *legacyTable) count(by *telemetry.Telemetry) {
	if t == nil {
		by.LegacyRoutes(nil, nil)
		return
	}
	names, weights := make([]string, len(t.routes)), make([]int, len(t.routes))
	for i, r := range t.routes {
		names[i], weights[i] = r.name, r.Weight
	}
	for i, meter := range by.LegacyRoutes(names, weights) {
		t.routes[i].meter = meter
	}
}

// count counts the request, which is over.
func (r *legacyRoute) count(x *Exchange, took time.Duration) {
	side := telemetry.SideService
	if x.away {
		side = telemetry.SideLegacy
	}
	r.meter.End(side, x.outcome(), took)
}

// maxBody, timeout and idle are what bounds a request on the upstream's side: what the route says, whatever endpoint has the method and
// path too, since a service that connects must take nothing away from the server that was there before it. Where the route says nothing,
// that is the default, or what the endpoint has if that is more. timeout is until the answer's header, also where the endpoint's
// bounds its calls whole: the upstream may stream what the service does not.
func (r *legacyRoute) maxBody(endpoint *routing.Route) int64 {
	if n := r.Limits.MaxBodyBytes; n > 0 {
		return n
	}
	return max(endpoint.MaxBody, spec.DefaultLimits.MaxBodyBytes)
}

func (r *legacyRoute) timeout(endpoint *routing.Route) time.Duration {
	if r.Limits.TimeoutMS > 0 {
		return r.Limits.Timeout()
	}
	return max(endpoint.Timeout, spec.DefaultLimits.Timeout())
}

func (r *legacyRoute) idle(endpoint *routing.Route) time.Duration {
	if r.Limits.IdleMS > 0 {
		return r.Limits.Idle()
	}
	return max(endpoint.Idle, spec.DefaultLimits.Idle())
}

// maxBody is the largest body that the request may have, in bytes.
func (x *Exchange) maxBody() int64 {
	if x.away {
		return x.shift.maxBody(x.route)
	}
	return x.route.MaxBody
}

// timeout is how long the answer's header may take, and the whole of a unary call.
func (x *Exchange) timeout() time.Duration {
	if x.away {
		return x.shift.timeout(x.route)
	}
	return x.route.Timeout
}

// idle is how long nothing may move in the answer's body, and either way of a WebSocket.
func (x *Exchange) idle() time.Duration {
	if x.away {
		return x.shift.idle(x.route)
	}
	return x.route.Idle
}

// goesAway decides whether a request goes to an upstream of legacy routes rather than to a service, and reports whether it does.
// What says so is, in this order: a version that the request names, which is a service's; that no endpoint has the method and path, or
// that the path has a slash at its end; and the weight, which is of what both sides have: a weight of 0 leaves the rest of a site where
// it is. m is given the methods that the path has there.
func (e *Edge) goesAway(x *Exchange, m *routing.Match) bool {
	place, match := x.policy.upstreamAt(x.method, x.path, x.slash, x.slash || m.Free(), x.params[len(x.params):])
	m.Add(match)
	if place == nil {
		return false
	}
	x.shift = place.route
	switch endpoint := m.Endpoint; {
	case len(x.header()[headerVersion]) > 0:
		return false
	case endpoint == nil:
		x.route = place.alone
	case x.slash: // the upstream may take it for the endpoint's path: who may call that is who may call this
		x.route = endpoint.Best()
	case place.route.Weight == 0:
		return false
	case place.route.Weight < percent && routing.Percentile(e.keyOf(x, place.route.key)) >= place.route.Weight: // at the whole nobody asks who calls
		return false
	default:
		if x.route = endpoint.Default(e.keyOf(x, endpoint.Key())); x.route == nil {
			x.route = endpoint.Best()
		}
	}
	if x.away = true; x.slash {
		x.path += "/"
	}
	return true
}

// authoriseAway is authorise for a request that goes to an upstream: its caller holds what the legacy route requires, and what the
// endpoint does, if there is one. The gateway sees to that whatever trust the service has. Authorization goes on as it came: the
// upstream has no other way to know who calls, and was given it before there was a gateway.
func (e *Edge) authoriseAway(x *Exchange) *problem {
	access := &x.route.Access
	if len(access.Claims) == 0 && access.Unknown {
		return &problem{Kind: kindAuthority, detail: "who may call the endpoint is not known yet", retryable: true}
	}
	if len(access.Claims) == 0 && access.Public == "" { // fail closed, as for services
		return &problem{Kind: kindForbidden, detail: "the endpoint is not public and names no claims"}
	}
	required := access.Claims
	if more := x.shift.Claims; len(required) == 0 {
		required = more
	} else if len(more) > 0 {
		required = slices.Concat(required, more)
	}
	if len(required) == 0 {
		return nil
	}
	identity, p := e.identity(x)
	if p != nil {
		return p
	}
	if r, missing := auth.Missing(required, identity.Claims); missing {
		return &problem{Kind: kindForbidden, detail: "the caller lacks the claim " + r.String(), challenge: insufficient(required)}
	}
	x.request.Identity = identity
	return nil
}
