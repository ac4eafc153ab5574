package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/stella-ops/router/spec"
)

const (
	scopeClaim = "scope" // RFC 8693, section 4.2: words in one string
	scpClaim   = "scp"   // what some issuers call it; words in one string, or a list
	// maxTenant bounds a tenant's name, in bytes.
	maxTenant = 128
)

// ErrTenant is what [SelectTenant] wraps: the caller may not act for the tenant that it asks for.
var ErrTenant = errors.New("auth: tenant refused")

// Missing returns the first of required that the claims held do not satisfy. Every requirement has to be satisfied: by
// a claim of its type, and of its value where it asks for one. Scopes expand: orders:* satisfies orders:read and
// orders:read:all, but neither orders nor what begins otherwise. A star anywhere else stands for itself only. It does
// not allocate.
func Missing(required []spec.ClaimRequirement, held []spec.Claim) (missing spec.ClaimRequirement, lacking bool) {
	for i := range required {
		if !holds(held, &required[i]) {
			return required[i], true
		}
	}
	return spec.ClaimRequirement{}, false
}

func holds(held []spec.Claim, r *spec.ClaimRequirement) bool {
	kind := r.Type
	if kind == scpClaim {
		kind = scopeClaim // as claimsOf has joined them
	}
	for i := range held {
		c := &held[i]
		if c.Type != kind {
			continue
		}
		if r.Value == "" || c.Value == r.Value || kind == scopeClaim && covers(c.Value, r.Value) {
			return true
		}
	}
	return false
}

// covers reports whether held is a scope that ends in :* and wanted lies below it.
func covers(held, wanted string) bool {
	n := len(held) - 1
	return n >= 2 && held[n] == '*' && held[n-1] == ':' && len(wanted) > n && wanted[:n] == held[:n]
}

// SelectTenant returns the tenant that a request is for: the caller's own where none is wanted, else the one that is,
// if the token allows it. Errors wrap [ErrTenant].
func SelectTenant(p Proof, wanted string) (string, error) {
	switch {
	case p.Identity == nil:
		return "", fmt.Errorf("%w: nobody has proved who they are", ErrTenant)
	case wanted == "", wanted == p.Tenant, slices.Contains(p.Tenants, wanted):
		if wanted == "" {
			return p.Tenant, nil
		}
		return wanted, nil
	case len(p.Tenants) == 0:
		return "", fmt.Errorf("%w: the caller may act for no other tenant than their own", ErrTenant)
	}
	return "", fmt.Errorf("%w: the caller may act for other tenants than the one that is asked for", ErrTenant)
}

// For returns the identity of a caller who acts for a tenant that they have chosen; see [SelectTenant]. The claim that names
// their own tenant names that one then, and one that would have named it in its absence is gone: who asks for the claim and
// who reads the identity's tenant must not see two.
func (p Proof) For(wanted string) (*spec.Identity, error) {
	tenant, err := SelectTenant(p, wanted)
	if err != nil {
		return nil, err
	}
	if tenant == p.Tenant {
		return p.Identity, nil
	}
	chosen := &spec.Identity{Subject: p.Subject, Tenant: tenant, Claims: slices.Clone(p.Claims)}
	chosen.Claims = slices.DeleteFunc(chosen.Claims, func(c spec.Claim) bool { return slices.Contains(p.tenantElse, c.Type) })
	for i := range chosen.Claims {
		if c := &chosen.Claims[i]; p.tenantClaim != "" && c.Type == p.tenantClaim {
			c.Value = tenant
		}
	}
	return chosen, nil
}

// claimsOf maps a token's claims: a string is one claim, a list of strings one each, and the words of scope and scp
// one each, all of them of type scope. Claims of other types cannot be asked for, and are left out, as are those that only a
// certificate makes.
func claimsOf(t jwt.Token) ([]spec.Claim, error) {
	var claims []spec.Claim
	keys := t.Keys()
	slices.Sort(keys)
	for _, key := range keys {
		if strings.HasPrefix(key, certClaim) { // what only a certificate says
			continue
		}
		var value any
		if err := t.Get(key, &value); err != nil {
			continue // null: nothing is claimed
		}
		kind, list := key, texts(value)
		if key == scopeClaim || key == scpClaim {
			kind, list = scopeClaim, strings.Fields(strings.Join(list, " "))
		}
		for _, s := range list {
			if kind == scopeClaim && slices.Contains(claims, spec.Claim{Type: kind, Value: s}) {
				continue
			}
			if len(claims) == spec.MaxFields {
				return nil, fmt.Errorf("it holds more than %d claims", spec.MaxFields)
			}
			claims = append(claims, spec.Claim{Type: kind, Value: s})
		}
	}
	return claims, nil
}

// texts are the strings that a claim's value consists of.
func texts(value any) []string {
	switch value := value.(type) {
	case string:
		return []string{value}
	case []string:
		return value
	case []any:
		list := make([]string, 0, len(value))
		for _, e := range value {
			if s, ok := e.(string); ok {
				list = append(list, s)
			}
		}
		return list
	}
	return nil
}

// tenantOf reads the tenant, and those that may be chosen, from the claims that the issuer's configuration names.
func (i *Issuer) tenantOf(t jwt.Token, p *Proof) error {
	names := []string{i.TenantClaim}
	if i.TenantClaim == "" {
		names = []string{defaultTenantClaim, fallbackTenantClaim}
	}
	for n, name := range names {
		if !t.Has(name) {
			continue
		}
		var tenant string
		if err := t.Get(name, &tenant); err != nil || !validTenant(tenant) {
			if i.anyTenant {
				return nil
			}
			return fmt.Errorf("its claim %s is not the name of a tenant", name)
		}
		p.Tenant, p.tenantClaim, p.tenantElse = tenant, name, names[n+1:]
		break
	}
	if i.TenantsClaim == "" || !t.Has(i.TenantsClaim) {
		return nil
	}
	var value any
	if err := t.Get(i.TenantsClaim, &value); err != nil {
		return fmt.Errorf("its claim %s is not a list of tenants", i.TenantsClaim)
	}
	if words, ok := value.(string); ok { // as scope has them
		p.Tenants = strings.Fields(words)
	} else { // an item is one name: "globex corp" must not make its owner one of globex
		p.Tenants = texts(value)
	}
	for _, name := range p.Tenants {
		if !validTenant(name) {
			return fmt.Errorf("its claim %s holds what is not the name of a tenant", i.TenantsClaim)
		}
	}
	return nil
}

// validTenant keeps out what could mean something else wherever a tenant's name ends up.
func validTenant(s string) bool {
	return s != "" && len(s) <= maxTenant && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.:@", r)
	})
}
