package edge

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/spec"
)

// DefaultTenantHeader is the request header field by which callers choose a tenant, where they may.
const DefaultTenantHeader = "Stella-Tenant"

// checkTenantHeader says what is wrong with a field that chooses a tenant. It has to be one that no service ever sees, whoever
// sends it and whether or not it may choose: so it cannot be mistaken for the gateway's word.
func checkTenantHeader(name string) error {
	canonical := http.CanonicalHeaderKey(name)
	if !spec.IsReservedHeader(canonical) || canonical == headerVersion || strings.Contains(name, "_") ||
		(&spec.Field{Name: canonical}).Check() != nil {
		return fmt.Errorf("edge: tenant header %.80q: expected a field that never reaches services, such as %s or X-Tenant-Id", name, DefaultTenantHeader)
	}
	return nil
}

// actFor is the identity of a caller for the tenant that the request is for: the caller's own, or the one that the request
// chooses of those that the caller may act for.
func (x *Exchange) actFor(proof auth.Proof) (*spec.Identity, *problem) {
	if x.policy.tenantHeader == "" {
		return proof.Identity, nil
	}
	wanted, given := x.header()[x.policy.tenantHeader]
	switch {
	case !given:
		return proof.Identity, nil
	case len(wanted) != 1 || wanted[0] == "":
		return nil, &problem{Kind: kindRequest, detail: x.policy.tenantHeader + " must name one tenant"}
	}
	identity, err := proof.For(wanted[0])
	if err != nil {
		return nil, &problem{Kind: kindForbidden, detail: strings.TrimPrefix(err.Error(), "auth: "), challenge: challengeScope}
	}
	return identity, nil
}
