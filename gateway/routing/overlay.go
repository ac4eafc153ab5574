package routing

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stella-ops/router/spec"
)

// overlay is what a deployment says of endpoints, above their manifest. It is not changed.
type overlay struct {
	key       string // the same for all that say the same
	endpoints map[string]*spec.OverlayEndpoint
}

// newOverlay is the overlay of a HELLO, which has been checked; nil if there is none.
func newOverlay(said []spec.OverlayEndpoint) *overlay {
	if len(said) == 0 {
		return nil
	}
	o := &overlay{key: fmt.Sprintf("%#v", said), endpoints: make(map[string]*spec.OverlayEndpoint, len(said))}
	for i := range said {
		if identity, err := spec.ParseIdentity(said[i].Endpoint); err == nil {
			o.endpoints[identity] = &said[i]
		}
	}
	return o
}

// under is what the overlays of a release's instances made of its offers.
type under struct {
	overlays []*overlay // of instances, each once; nil among them stands for those that have none
	base     []offer
	policy   *policy
}

func (u *under) same(v *under) bool {
	return u.policy == v.policy && same(u.base, v.base) && slices.EqualFunc(u.overlays, v.overlays, equal)
}

// equal reports whether two overlays say the same.
func equal(a, b *overlay) bool {
	return a == b || a != nil && b != nil && a.key == b.key
}

// overlay puts in force what the overlays of a release's instances say: a request is authorised before it has an instance, so
// of instances that say different things the tightest counts. Something looser counts when all of them say it. Where none
// takes calls, what has counted last goes on: jobs are taken, and who may call is not up to who has left. The caller holds mu.
func (r *Registry) overlay(rel *release) {
	next := under{base: rel.base, policy: rel.policy}
	for _, in := range rel.standing {
		if in.health != Draining && !slices.ContainsFunc(next.overlays, func(o *overlay) bool { return equal(o, in.overlay) }) {
			next.overlays = append(next.overlays, in.overlay)
		}
	}
	if len(next.overlays) == 0 {
		next.overlays = rel.under.overlays
	}
	slices.SortFunc(next.overlays, func(a, b *overlay) int {
		if a == nil || b == nil {
			return compareBool(a != nil, b != nil)
		}
		return strings.Compare(a.key, b.key)
	})
	if next.same(&rel.under) {
		return
	}
	rel.under = next
	if !slices.ContainsFunc(next.overlays, func(o *overlay) bool { return o != nil }) {
		rel.offers = rel.base
		return
	}
	rel.offers = make([]offer, len(rel.base))
	for i := range rel.base {
		rel.offers[i] = overlaid(&rel.base[i], next.overlays, rel.policy.Loosen)
		for _, what := range rel.offers[i].refused {
			r.cfg.Logger.Warn("a value of an overlay does not count: it is looser than the manifest's, and routing.overlays.loosen does not name it",
				"service", rel.service, "version", rel.version.String(), "endpoint", rel.base[i].Method+" "+rel.base[i].Path, "value", what)
		}
	}
}

// overlaid is an offer with the tightest of what overlays say, where nil says what the manifest does.
func overlaid(base *offer, overlays []*overlay, loosen []string) offer {
	o := *base
	e, first := *o.Endpoint, true
	origins := map[string]string{}
	limits := e.Limits.WithDefaults()
	manifest := limits
	e.Claims, e.Public = nil, ""
	open := true // all leave the endpoint public
	for _, over := range overlays {
		said := over.says(o.identity)
		for _, v := range []struct {
			key            string
			said, manifest int64
			effective      *int64
		}{
			{spec.OverlayTimeout, said.TimeoutMS, manifest.TimeoutMS, &limits.TimeoutMS},
			{spec.OverlayIdle, said.IdleMS, manifest.IdleMS, &limits.IdleMS},
			{spec.OverlayBody, said.MaxBodyBytes, manifest.MaxBodyBytes, &limits.MaxBodyBytes},
		} {
			value, origin := v.manifest, ""
			switch {
			case v.said == 0:
			case v.said > v.manifest && !slices.Contains(loosen, v.key):
				o.refuse(v.key, amount(v.key, v.said), amount(v.key, v.manifest), said.Origins)
			case v.said != v.manifest:
				value, origin = v.said, cmp.Or(said.Origins[v.key], originOverlay)
			}
			if first || value < *v.effective {
				*v.effective = value
				origins[v.key] = origin
			}
		}
		claims := o.Claims
		if len(said.Claims) > 0 {
			loose := slices.ContainsFunc(o.Claims, func(c spec.ClaimRequirement) bool {
				return !slices.ContainsFunc(said.Claims, func(narrower spec.ClaimRequirement) bool { return narrower.Covers(c) })
			})
			if loose && !slices.Contains(loosen, spec.OverlayClaims) {
				o.refuse(spec.OverlayClaims, spell(said.Claims), spell(o.Claims), said.Origins)
			} else {
				claims = said.Claims
				origins[spec.OverlayClaims] = cmp.Or(said.Origins[spec.OverlayClaims], originOverlay)
			}
		}
		open = open && len(claims) == 0
		for _, c := range claims {
			if !slices.Contains(e.Claims, c) {
				e.Claims = append(e.Claims, c)
			}
		}
		first = false
	}
	if open {
		e.Public = o.Public
	}
	if slices.Equal(e.Claims, o.Claims) {
		delete(origins, spec.OverlayClaims)
	}
	maps.DeleteFunc(origins, func(_, origin string) bool { return origin == "" })
	e.Limits = limits
	o.manifest, o.Endpoint, o.origins = o.Endpoint, &e, origins
	return o
}

// originOverlay is the origin of a value whose overlay does not tell it.
const originOverlay = "overlay"

// says is what the overlay says of an endpoint.
func (o *overlay) says(identity string) spec.OverlayEndpoint {
	if o != nil {
		if e := o.endpoints[identity]; e != nil {
			return *e
		}
	}
	return spec.OverlayEndpoint{}
}

// refuse notes a value that does not count.
func (o *offer) refuse(key, said, manifest string, origins map[string]string) {
	o.refused = append(o.refused, fmt.Sprintf("%s %s (%s), the manifest says %s", key, said, cmp.Or(origins[key], originOverlay), manifest))
}

// amount is a limit as authors write it.
func amount(key string, n int64) string {
	if key == spec.OverlayBody {
		return fmt.Sprintf("%d bytes", n)
	}
	return (time.Duration(n) * time.Millisecond).String()
}

func spell(claims []spec.ClaimRequirement) string {
	words := make([]string, len(claims))
	for i, c := range claims {
		words[i] = c.String()
	}
	return strings.Join(words, " ")
}
