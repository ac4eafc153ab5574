package spec

import "strings"

// reservedHeaders are the beginnings of names of request header fields that say who calls, or from where: only the gateway
// may say that, and it says it in REQUEST's identity block. Those of the proxy include hop-by-hop ones.
var reservedHeaders = []string{
	"Proxy", "Stella-", "X-Auth", "X-Client-Cert", "X-Consumer", "X-Forwarded", "X-Original-", "X-Rewrite-", "X-Ssl-",
	"X-Stella-", "X-Tenant", "X-User",
}

// IsReservedHeader reports whether a gateway takes a request's header field away, whoever sends it: no handler ever sees
// one. The name is canonical, as net/http has it.
func IsReservedHeader(name string) bool {
	switch name {
	case "":
		return false
	case "Cf-Connecting-Ip", "Client-Ip", "Forwarded", "True-Client-Ip", "X-Http-Method-Override", "X-Real-Ip":
		return true
	}
	switch name[0] {
	case 'P', 'S', 'X':
		for _, p := range reservedHeaders {
			if strings.HasPrefix(name, p) {
				return true
			}
		}
	}
	return false
}
