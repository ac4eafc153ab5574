package breaking

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/stella-ops/router/spec"
)

// claims is about who may call.
func (c *comparison) claims(p Pair) {
	was, is := p.Before.Claims, p.Now.Claims
	switch {
	case len(was) == 0 && len(is) > 0:
		c.at(p.Now, EndpointBecameAuthenticated, "claims", "", list(is), "was public and requires "+list(is), "")
		return
	case len(was) > 0 && len(is) == 0:
		c.at(p.Now, EndpointBecamePublic, "claims", list(was), "", "required "+list(was)+" and is public", "")
		return
	}
	gone, added := without(was, is), without(is, was)
	for _, a := range added {
		i := slices.IndexFunc(gone, func(g spec.ClaimRequirement) bool { return g.Type == a.Type })
		if i < 0 {
			if !implied(a, was) {
				c.at(p.Now, ClaimAdded, "claim "+a.Type, "", a.String(), "requires the claim "+a.String()+", too", "")
			}
			continue
		}
		g := gone[i]
		gone = slices.Delete(gone, i, i+1)
		switch where := "claim " + a.Type; {
		case g.Value == "":
			c.at(p.Now, ClaimValueNarrowed, where, g.String(), a.String(), fmt.Sprintf("required any %s and requires %s", a.Type, a), "")
		case a.Value == "":
			c.at(p.Now, ClaimValueWidened, where, g.String(), a.String(), fmt.Sprintf("required %s and requires any %s", g, a.Type), "")
		default:
			c.at(p.Now, ClaimValueChanged, where, g.String(), a.String(), fmt.Sprintf("required %s and requires %s", g, a), "")
		}
	}
	for _, g := range gone {
		if !implied(g, is) {
			c.at(p.Now, ClaimRemoved, "claim "+g.Type, g.String(), "", "does not require the claim "+g.String()+" any more", "")
		}
	}
}

// implied reports whether who fulfils the claims has r: presence is implied by a value.
func implied(r spec.ClaimRequirement, claims []spec.ClaimRequirement) bool {
	return r.Value == "" && slices.ContainsFunc(claims, func(c spec.ClaimRequirement) bool { return c.Type == r.Type })
}

// without returns the claims that are not among the others, sorted, each once.
func without(claims, others []spec.ClaimRequirement) []spec.ClaimRequirement {
	var left []spec.ClaimRequirement
	for _, c := range claims {
		if !slices.Contains(others, c) {
			left = append(left, c)
		}
	}
	slices.SortFunc(left, func(a, b spec.ClaimRequirement) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Value, b.Value))
	})
	return slices.Compact(left)
}

func list(claims []spec.ClaimRequirement) string {
	words := make([]string, len(claims))
	for i, c := range claims {
		words[i] = c.String()
	}
	slices.Sort(words)
	return strings.Join(words, " and ")
}
