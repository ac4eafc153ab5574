package routing

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// KeyKind is what of a request a [Key] reads.
type KeyKind string

// The kinds.
const (
	KeyNone    KeyKind = ""
	KeySubject KeyKind = "subject"
	KeyTenant  KeyKind = "tenant"
	KeyClaim   KeyKind = "claim"
	KeyHeader  KeyKind = "header"
	KeyCookie  KeyKind = "cookie"
	KeyAddress KeyKind = "address" // of the client, without its port
)

// Key says what of a request keeps it with one version.
type Key struct {
	Kind KeyKind
	Name string // of the claim's type, of the header in canonical form, or of the cookie
}

// String is the key as [ParseKey] reads it.
func (k Key) String() string {
	if k.Name == "" {
		return string(k.Kind)
	}
	return string(k.Kind) + ":" + k.Name
}

// choice is a weighted version that is live, of an endpoint that it offers.
type choice struct {
	route  *Route
	weight int
	salt   uint64 // of the version, the same at every gateway
}

// Key is what of a request keeps it with one version, where the service's policy asks for that.
func (e *Endpoint) Key() Key { return e.key }

// Default returns the route of a request that names no version, by the service's policy: nil when the endpoint has none
// such. key is the value of the request's [Endpoint.Key], empty where it is not known. Equal keys lead to equal versions
// for as long as the weights and the live versions are the same, at every gateway; and where those change, only as
// many keys move as have to.
func (e *Endpoint) Default(key string) *Route {
	switch {
	case len(e.choices) == 0:
		return e.fallback
	case len(e.choices) == 1:
		return e.choices[0].route
	case e.weighted && key != "":
		return e.rendezvous(key)
	case e.weighted:
		return e.draw(func(c *choice) int64 { return int64(c.weight) })
	}
	return e.draw(func(c *choice) int64 { return c.route.Release.capacity.Load() })
}

// draw picks at random, by weight.
func (e *Endpoint) draw(weight func(*choice) int64) *Route {
	sum := int64(0)
	for i := range e.choices {
		sum += weight(&e.choices[i])
	}
	if sum <= 0 { // no lease anywhere, at this moment
		return e.choices[0].route
	}
	at := rand.Int64N(sum) //nolint:gosec // spreads load, guards nothing
	for i := range e.choices {
		if at -= weight(&e.choices[i]); at < 0 {
			return e.choices[i].route
		}
	}
	return e.choices[0].route // a capacity has shrunk between the two looks
}

// rendezvous picks by weighted rendezvous hashing: every version draws a number for the key, exponentially distributed
// with its weight, and the smallest wins. A version's number depends on nothing but itself and the key, so that a version
// that gets more weight takes keys from the others, and nothing else moves.
func (e *Endpoint) rendezvous(key string) *Route {
	hash := hashOf(key)
	var best *Route
	least := math.Inf(1)
	for i := range e.choices {
		c := &e.choices[i]
		u := (float64(mix(hash^c.salt)>>11) + 0.5) / (1 << 53) // in (0, 1)
		if n := -math.Log(u) / float64(c.weight); best == nil || n < least {
			best, least = c.route, n
		}
	}
	return best
}

// hashOf is FNV-1a of 64 bits: of keys that are short, and that nobody profits from choosing.
func hashOf(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h)
}

// mix is the finaliser of SplitMix64: each bit of x decides on each bit of the result.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// percentileSalt keeps percentiles apart from what a key decides on versions.
var percentileSalt = hashOf("percentile")

// Percentile is a number from 0 to 99 for a key, the same at every gateway; for an empty one it is a random one. A rule that takes
// all below a bound takes more with a higher bound, and lets nobody go.
func Percentile(key string) int {
	if key == "" {
		return rand.IntN(100) //nolint:gosec,mnd // percent; spreads load, guards nothing
	}
	return int(mix(hashOf(key)^percentileSalt) % 100) //nolint:mnd // percent
}

// decide finds the endpoint's choices among its routes, of which the best comes first. versions are all known ones of
// the service.
func (e *Endpoint) decide(p *policy, known func(version string) *Release) {
	e.key, e.choices, e.fallback, e.weighted = p.key, nil, nil, false
	switch v := &p.Version; {
	case v.Weights != nil:
		e.weigh(p.weights, known)
	case v.Default == Newest:
		e.fallback = e.routes[0]
	case v.Default == ByCapacity:
		e.fallback = e.routes[0]
		e.equals()
	default:
		e.fallback = e.Select(v.Default)
		e.awaited = e.fallback == nil && known(v.Default) == nil
	}
}

// weigh passes versions over that have no live instance: the others have their shares.
func (e *Endpoint) weigh(weights []weight, known func(version string) *Release) {
	e.weighted = true
	e.awaited = true
	for _, w := range weights {
		r := e.Select(w.version)
		if r == nil {
			e.awaited = e.awaited && known(w.version) == nil
			continue
		}
		e.awaited = false
		if e.fallback == nil { // it says that there is no instance
			e.fallback = r
		}
		if r.Release.Live() {
			e.choices = append(e.choices, choice{r, w.weight, w.salt})
		}
	}
}

// equals are the live stable versions of the highest major.
func (e *Endpoint) equals() {
	first := e.routes[0].Release
	if !first.Live() || !first.version.Stable() {
		return
	}
	n := 1
	for n < len(e.routes) && e.routes[n].Release.Live() && e.routes[n].Release.version.Stable() && e.routes[n].Release.version.Major() == first.version.Major() {
		n++
	}
	if n == 1 {
		return
	}
	e.choices = make([]choice, n)
	for i, r := range e.routes[:n] {
		e.choices[i] = choice{route: r}
	}
}

// Awaited reports whether the policy names only versions that no instance has offered yet: requests that name none are
// to come again.
func (e *Endpoint) Awaited() bool { return e.awaited }

// share is the part of the requests without a version that a route gets, from 0 to 1.
func (e *Endpoint) share(r *Route) float64 {
	if len(e.choices) == 0 {
		if r == e.fallback {
			return 1
		}
		return 0
	}
	sum, own := 0.0, 0.0
	for i := range e.choices {
		c := &e.choices[i]
		w := float64(c.weight)
		if !e.weighted {
			w = float64(c.route.Release.capacity.Load())
		}
		sum += w
		if c.route == r {
			own = w
		}
	}
	if sum == 0 {
		return 0
	}
	return own / sum
}

// policy is a [Policy], filled in and prepared.
type policy struct {
	Policy

	key     Key
	weights []weight // above zero, sorted by version
}

type weight struct {
	version string
	weight  int
	salt    uint64
}

// prepare fills a policy in, which has been checked.
func prepare(p, base Policy) *policy {
	prepared := &policy{Policy: p.Over(base)}
	v := &prepared.Version
	if v.Sticky != "" {
		prepared.key, _ = ParseKey(v.Sticky) // checked
	}
	for version, w := range v.Weights {
		if w > 0 {
			prepared.weights = append(prepared.weights, weight{version, w, hashOf(version)})
		}
	}
	slices.SortFunc(prepared.weights, func(a, b weight) int { return cmp.Compare(a.version, b.version) })
	return prepared
}
