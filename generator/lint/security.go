package lint

import (
	"slices"
	"strings"

	"github.com/stella-ops/router/generator/scan"
	"github.com/stella-ops/router/spec"
)

var securityRules = []rule{
	entry("STL1101", "PUBLIC_MUTATION", Security, grave, Standard, "anybody may change something",
		"POST, PUT, PATCH and DELETE change what the service keeps, and this endpoint asks for no claims. Where that is meant, as "+
			"in a sign-up, ignore the rule and say why it cannot be abused.").ofEndpoint(publicMutation),
	entry("STL1102", "CLAIM_STYLE", Security, warn, Standard, "scope is not noun:verb",
		"Scopes are granted by people who see nothing but their names: billing:read says what of, and what for.").ofEndpoint(claimStyle),
	entry("STL1103", "CLAIM_WITHOUT_VALUE", Security, warn, Standard, "any scope will do",
		"A claim without a value asks for its presence only. Who holds any scope, of whatever service, passes.").ofEndpoint(anyScope),
	entry("STL1104", "PUBLIC_REASON", Security, warn, Standard, "reason to be public says nothing",
		"The reason is for those who review access later. Say what is seen or done here, and why nobody is hurt by it.").
		ofEndpoint(publicReason),
	entry("STL1105", "SENSITIVE_IN_URL", Security, grave, Minimal, "secret in the URL",
		"Paths and queries are kept by browsers, proxies and access logs, and sent on in Referer. A secret travels in a header "+
			"or in the body.").ofParam(sensitive),
	entry("STL1106", "RESERVED_HEADER", Security, grave, Minimal, "header that the gateway takes away",
		"Fields that say who calls, or from where, are the gateway's: it removes them from every request, so this one never "+
			"arrives, and a service that relied on it would trust anybody in a network without a gateway. Use the identity "+
			"of stella.RequestFromContext.").ofParam(reservedHeader),
	entry(ignoreExpired, "IGNORE_EXPIRED", Security, grave, Minimal, "ignore has ended",
		"The day of until= has passed. The ignore silences nothing any more."),
}

func mutates(method string) bool {
	return slices.Contains([]string{"POST", "PUT", "PATCH", "DELETE"}, method)
}

func publicMutation(r *reporter, e *endpoint) {
	if mutates(e.Method) && e.spec.Public != "" {
		f := r.at(e.Places.Public, "%s is public, and may change something", e.name())
		f.Hint = "ask for a claim: //stella:claim TYPE VALUE"
	}
}

// scopeTypes are the claims whose values are scopes.
var scopeTypes = []string{"scope", "scp", "permission", "permissions"}

func (e *endpoint) claim(i int) scan.Span {
	if i < len(e.Places.Claims) {
		return e.Places.Claims[i]
	}
	return e.span() // stella.yaml has it
}

func claimStyle(r *reporter, e *endpoint) {
	for i, c := range e.spec.Claims {
		parts := strings.Split(c.Value, ":")
		if c.Value == "" || !slices.Contains(scopeTypes, c.Type) {
			continue
		}
		if len(parts) < 2 || slices.ContainsFunc(parts, func(s string) bool { return !isKebab(s) }) {
			r.at(e.claim(i), "%s %s is not of the form noun:verb", c.Type, c.Value).Hint = "such as " + e.service.Name + ":read"
		}
	}
}

func anyScope(r *reporter, e *endpoint) {
	for i, c := range e.spec.Claims {
		if c.Value == "" && slices.Contains(scopeTypes, c.Type) {
			r.at(e.claim(i), "claim %s without a value: who holds any will do", c.Type).Hint =
				"add the value: //stella:claim " + c.Type + " " + e.service.Name + ":read"
		}
	}
}

// shortReason is the length of a reason, in bytes, below which it cannot be one.
const shortReason = 12

func publicReason(r *reporter, e *endpoint) {
	reason := e.spec.Public
	if reason == "" {
		return
	}
	empty := among(words(reason), "fixme", "tbd", "todo", "xxx")
	if len(reason) < shortReason || empty {
		r.at(e.Places.Public, "%q does not say why %s may be public", reason, e.name())
	}
}

// Words that name secrets; apart from those of pages, tokens are secrets.
var (
	secrets = []string{"credential", "credentials", "passphrase", "passwd", "password", "pwd", "secret", "token"}
	pages   = []string{"continuation", "cursor", "next", "page", "sync"}
)

func sensitive(r *reporter, p *param) {
	if p.spec.In != spec.InPath && p.spec.In != spec.InQuery {
		return
	}
	list := words(p.spec.Name)
	if among(list, pages...) {
		return
	}
	secret := among(list, secrets...)
	if joined := strings.Join(list, ""); secret || strings.Contains(joined, "apikey") || strings.Contains(joined, "accesskey") {
		r.at(p.at, "%s parameter %s looks like a secret", p.spec.In, p.spec.Name).Hint = "take it from a header, or from the body"
	}
}

func reservedHeader(r *reporter, p *param) {
	if p.spec.In == spec.InHeader && spec.IsReservedHeader(p.spec.Name) {
		r.at(p.at, "header %s never arrives: the gateway takes it away", p.spec.Name).Hint =
			"who calls is in stella.RequestFromContext(ctx).Identity"
	}
}
