package spec

import (
	"slices"
	"strings"
)

// reservedHeaders are the request header fields that say who calls, where from, or what is really asked for, in the words
// of one proxy or another. Only the gateway may say that, and it says it in REQUEST's identity block and typed metadata.
// Names are canonical. A star at the end stands for anything. Those of the proxy include hop-by-hop ones.
var reservedHeaders = []string{
	"Cf-Access-*", "Cf-Connecting-*", "Client-Cert*", "Client-Ip", "Fastly-Client-*", "Forwarded", "Iv-*", "Oidc-*", "Proxy*",
	"Remote-*", "Ssl-Client-*", "Stella-*", "True-Client-Ip", "X-Amzn-Mtls-*", "X-Amzn-Oidc-*", "X-Anonymous-Consumer",
	"X-Arr-Clientcert", "X-Auth*", "X-Client-Cert*", "X-Client-Ip", "X-Cluster-Client-Ip", "X-Consumer*", "X-Credential-*",
	"X-Envoy-*", "X-Forwarded*", "X-Goog-Authenticated-*", "X-Goog-Iap-*", "X-Host", "X-Http-Method*", "X-Jwt-*",
	"X-Method-Override", "X-Ms-Client-Principal*", "X-Original-*", "X-Originating-*", "X-Pomerium-*", "X-Real-Ip", "X-Remote-*",
	"X-Rewrite-*", "X-Scope-Orgid", "X-Ssl*", "X-Stella-*", "X-Tenant*", "X-User*", "X-Vouch-*", "X-Webauth-*",
}

// ReservedHeaders lists the request header fields that [IsReservedHeader] knows, in order. A star at the end of a name
// stands for anything, nothing included.
func ReservedHeaders() []string { return slices.Clone(reservedHeaders) }

// reserved are the same by the letter that tells most: the first, or for those of X- the one behind it, from 32 on.
var reserved = func() (t [64][]string) {
	for _, name := range reservedHeaders {
		i := letter(name)
		t[i] = append(t[i], name)
	}
	return t
}()

// letter is the place of a name in the table. Any other bytes than capitals share places with them, which is no harm.
func letter(name string) int {
	if len(name) > 2 && name[0] == 'X' && name[1] == '-' {
		return 32 + int(name[2]&31)
	}
	return int(name[0] & 31)
}

// IsReservedHeader reports whether a gateway takes a request's header field away, whoever sends it: no handler ever sees
// one. The name is canonical, as net/http has it. See [ReservedHeaders].
func IsReservedHeader(name string) bool {
	if name == "" {
		return false
	}
	for _, r := range reserved[letter(name)] {
		if prefix, all := strings.CutSuffix(r, "*"); r == name || all && strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// forbiddenTrailers are the fields that must not follow a body: they have to be known before it is read, since they frame it,
// route it, ask for conditions, authenticate, control the answer or say how to process it (RFC 9110, section 6.5.1; the kinds
// are those that RFC 7230, section 4.1.2, lists). Names are canonical. A star at the end stands for anything.
var forbiddenTrailers = []string{
	"Age", "Authorization", "Cache-Control", "Connection", "Content-Encoding", "Content-Length", "Content-Range", "Content-Type",
	"Cookie", "Date", "Expect", "Expires", "Host", "If-*", "Keep-Alive", "Location", "Max-Forwards", "Pragma", "Proxy-*", "Range",
	"Realm", "Retry-After", "Set-Cookie", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Vary", "Warning", "Www-Authenticate",
}

// ForbiddenTrailers lists the fields that [IsForbiddenTrailer] knows, in order. A star at the end of a name stands for
// anything, nothing included.
func ForbiddenTrailers() []string { return slices.Clone(forbiddenTrailers) }

// IsForbiddenTrailer reports whether a field must not follow a body, of a request or of an answer. The name is canonical, as
// net/http has it. See [ForbiddenTrailers].
func IsForbiddenTrailer(name string) bool {
	return slices.ContainsFunc(forbiddenTrailers, func(f string) bool {
		prefix, all := strings.CutSuffix(f, "*")
		return f == name || all && strings.HasPrefix(name, prefix)
	})
}
