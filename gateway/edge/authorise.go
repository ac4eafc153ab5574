package edge

import (
	"errors"
	"slices"
	"strings"

	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
)

const (
	headerAuthorization = "Authorization"
	bearer              = "Bearer "
)

// What WWW-Authenticate says (RFC 6750, section 3).
const (
	challengeNone    = "Bearer"
	challengeRequest = `Bearer error="invalid_request"`
	challengeToken   = `Bearer error="invalid_token"` //nolint:gosec // no secret
	challengeScope   = `Bearer error="insufficient_scope"`
)

// authorise proves who calls and that they hold every claim that the endpoint requires.
//
// On an endpoint with claims, Authorization ends here: the service gets the identity that it proved, and no
// credential that it could use elsewhere. A service that is trusted with more ([routing.Trust]) gets both. A public endpoint
// gets the field as it came, unless it is a job's, and no identity.
func (e *Edge) authorise(x *Exchange) *problem {
	if x.away {
		return e.authoriseAway(x)
	}
	access := &x.route.Access
	required := access.Claims
	if len(required) == 0 {
		if access.Unknown {
			return &problem{Kind: kindAuthority, detail: "who may call the endpoint is not known yet", retryable: true}
		}
		if access.Public == "" { // nothing that was checked says so; fail closed
			return &problem{Kind: kindForbidden, detail: "the endpoint is not public and names no claims"}
		}
		if x.route.Queue != nil { // a job waits for longer than a credential should be kept
			x.withhold(headerAuthorization)
		}
		return nil
	}
	if access.Trust == routing.TrustService && len(x.header()[headerAuthorization]) == 0 && !x.certified() {
		return nil // the service is told that nobody has proved who they are, and refuses them
	}
	identity, p := e.identity(x)
	if p != nil {
		return p
	}
	if access.Trust == routing.TrustService {
		required = nil
	}
	if r, missing := auth.Missing(required, identity.Claims); missing {
		return &problem{Kind: kindForbidden, detail: "the caller lacks the claim " + r.String(), challenge: insufficient(required)}
	}
	x.request.Identity = identity
	checks := access.Trust == routing.TrustHybrid || access.Trust == routing.TrustService
	if checks && x.route.Queue == nil { // a job waits for longer than a credential should be kept
		return nil
	}
	x.withhold(headerAuthorization)
	return nil
}

// withhold keeps a header field from the service.
func (x *Exchange) withhold(name string) {
	x.request.Header = slices.DeleteFunc(x.request.Header, func(f spec.Field) bool { return f.Name == name })
}

// identity is who the request's bearer token proves to call or, where it has no Authorization at all, the client's
// certificate. Who sends one is held to it: a token that is no good is not made up for by a certificate, which may be that of
// a proxy for many callers. The identity is for the tenant that the request chooses, where it may.
func (e *Edge) identity(x *Exchange) (*spec.Identity, *problem) {
	given := x.header()[headerAuthorization]
	if len(given) == 0 && x.certified() {
		if !x.ownPage() {
			return nil, &problem{
				Kind: kindForbidden, challenge: challengeNone, detail: "a page of another site (Origin) sends the client's certificate: " +
					"expected a page of this host, or of an origin that may send credentials (cors), or a bearer token",
			}
		}
		who, p := x.policy.certificates.identity(x.certificate(), x.start)
		if p != nil {
			return nil, p
		}
		return x.actFor(auth.Proof{Identity: who})
	}
	if len(given) == 0 {
		return nil, &problem{Kind: kindUnauthenticated, detail: "the endpoint requires " + x.proofs(), challenge: challengeNone}
	}
	if !e.cfg.Verifier.Takes() {
		return nil, &problem{Kind: kindUnauthenticated, detail: "the gateway has no authentication configured", challenge: challengeNone}
	}
	if len(given) > 1 || len(given[0]) <= len(bearer) || !strings.EqualFold(given[0][:len(bearer)], bearer) {
		return nil, &problem{
			Kind: kindUnauthenticated, detail: "Authorization must be Bearer and one token", challenge: challengeRequest,
		}
	}
	proof, err := e.cfg.Verifier.Verify(x.context(), strings.TrimLeft(given[0][len(bearer):], " "), x.start)
	switch {
	case errors.Is(err, auth.ErrKeys): // whether the token is good cannot be told, and nobody passes on trust
		return nil, &problem{Kind: kindKeys, detail: "the keys of the token's issuer cannot be had now", retryable: true}
	case err != nil:
		return nil, &problem{Kind: kindUnauthenticated, detail: err.Error(), challenge: challengeToken}
	}
	return x.actFor(proof)
}

// proofs are the ways to prove who calls.
func (x *Exchange) proofs() string {
	if x.policy.certificates != nil {
		return "a bearer token, or a client certificate"
	}
	return "a bearer token"
}

// insufficient says which scopes a token needs, as far as they can be said in a header.
func insufficient(required []spec.ClaimRequirement) string {
	var scopes []string
	for _, r := range required {
		if r.Type == "scope" && r.Value != "" && !strings.ContainsFunc(r.Value, notOfScope) {
			scopes = append(scopes, r.Value)
		}
	}
	if len(scopes) == 0 {
		return challengeScope
	}
	return challengeScope + `, scope="` + strings.Join(scopes, " ") + `"`
}

// notOfScope reports whether r cannot stand in a scope (RFC 6749, section 3.3).
func notOfScope(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' || r == '\\' }
