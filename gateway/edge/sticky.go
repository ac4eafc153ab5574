package edge

import (
	"net"
	"strings"

	"github.com/stella-ops/router/gateway/routing"
	"github.com/stella-ops/router/spec"
)

// keyOf is what keeps the request with one version of the service; empty where it lacks that. Who calls is asked for
// before the version is known, by whose claims the caller is judged: a token that is good for nothing is refused then, if
// the version wants one.
func (e *Edge) keyOf(x *Exchange, k routing.Key) string {
	switch k.Kind {
	case routing.KeyHeader:
		if v := x.header()[k.Name]; len(v) > 0 {
			return v[0]
		}
	case routing.KeyCookie:
		return cookie(x.header()[headerCookie], k.Name)
	case routing.KeyAddress:
		if host, _, err := net.SplitHostPort(x.request.Peer); err == nil {
			return host
		}
		return x.request.Peer
	case routing.KeySubject, routing.KeyTenant, routing.KeyClaim:
		who, p := e.whoAsks(x)
		if p != nil || who == nil {
			return ""
		}
		return keyOfIdentity(who, k)
	case routing.KeyNone:
	}
	return ""
}

const headerCookie = "Cookie"

// cookie is the value of the first cookie of a name, as it was sent (RFC 6265, section 4.2.1); empty: there is none.
func cookie(fields []string, name string) string {
	for _, field := range fields {
		for pair := range strings.SplitSeq(field, ";") {
			if n, value, ok := strings.Cut(pair, "="); ok && strings.TrimSpace(n) == name {
				return strings.TrimSpace(value)
			}
		}
	}
	return ""
}

func keyOfIdentity(who *spec.Identity, k routing.Key) string {
	if k.Kind == routing.KeySubject {
		return who.Subject
	}
	if k.Kind == routing.KeyTenant {
		return who.Tenant
	}
	for _, c := range who.Claims {
		if c.Type == k.Name {
			return c.Value
		}
	}
	return ""
}

// undecided is the answer to a request without a version, when none that the service's policy names has the endpoint.
func undecided(endpoint *routing.Endpoint) *problem {
	if endpoint.Awaited() {
		return &problem{
			Kind: kindNoInstance, retryable: true,
			detail: "no instance of " + endpoint.Service + " has come yet in a version that requests without " + headerVersion + " go to",
		}
	}
	return &problem{
		Kind:   kindNotFound,
		detail: "service " + endpoint.Service + " does not offer this path in the version that requests without " + headerVersion + " go to",
	}
}
