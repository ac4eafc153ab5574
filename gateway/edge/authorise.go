package edge

import (
	"errors"
	"slices"
	"strings"

	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/spec"
)

const (
	headerAuthorization = "Authorization"
	bearer              = "Bearer "
)

// authorise proves who calls and that they hold every claim that the endpoint requires.
//
// On an endpoint with claims, Authorization ends here: the service gets the identity that it proved, and no
// credential that it could use elsewhere. A public endpoint gets the field as it came, and no identity.
func (e *Edge) authorise(x *Exchange) *problem {
	required := x.route.Claims
	if len(required) == 0 {
		if x.route.Public == "" { // no manifest that was checked has one; fail closed
			return &problem{Kind: kindForbidden, detail: "the endpoint is not public and names no claims"}
		}
		return nil
	}
	identity, p := e.identity(x)
	if p != nil {
		return p
	}
	for _, r := range required {
		if !auth.Holds(identity.Claims, r) {
			return &problem{
				Kind: kindForbidden, detail: "the caller lacks the claim " + r.String(), challenge: `Bearer error="insufficient_scope"`,
			}
		}
	}
	x.request.Identity = identity
	x.request.Header = slices.DeleteFunc(x.request.Header, func(f spec.Field) bool { return f.Name == headerAuthorization })
	return nil
}

// identity is who the request's bearer token proves to call.
func (e *Edge) identity(x *Exchange) (*spec.Identity, *problem) {
	given := x.header()[headerAuthorization]
	if len(given) == 0 {
		return nil, &problem{Kind: kindUnauthenticated, detail: "the endpoint requires a bearer token", challenge: "Bearer"}
	}
	if e.cfg.Verifier == nil {
		return nil, &problem{Kind: kindUnauthenticated, detail: "the gateway has no authentication configured", challenge: "Bearer"}
	}
	if len(given) > 1 || len(given[0]) <= len(bearer) || !strings.EqualFold(given[0][:len(bearer)], bearer) {
		return nil, &problem{
			Kind: kindUnauthenticated, detail: "Authorization must be Bearer and one token", challenge: `Bearer error="invalid_request"`,
		}
	}
	identity, err := e.cfg.Verifier.Verify(x.ctx, strings.TrimLeft(given[0][len(bearer):], " "), x.start)
	if errors.Is(err, auth.ErrKeys) {
		e.log.WarnContext(x.ctx, "a token cannot be checked", "error", err, "requestId", x.request.ID.String())
		return nil, &problem{Kind: kindKeys, detail: "the keys of the token's issuer cannot be had now", retryable: true}
	}
	if err != nil {
		return nil, &problem{Kind: kindUnauthenticated, detail: err.Error(), challenge: `Bearer error="invalid_token"`}
	}
	return identity, nil
}
