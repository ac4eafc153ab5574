package edge

import (
	"crypto/x509"
	"hash/maphash"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stella-ops/router/gateway/auth"
	"github.com/stella-ops/router/spec"
)

// shownRoom is how many certificates are remembered with the identities that they prove: a power of two.
const shownRoom = 1024

// certificates says whom clients' certificates prove to call. Certificates come with connections, and requests many to a
// connection: what they prove is remembered. It is a table of fixed size, without a lock.
type certificates struct {
	rule  auth.CertRule
	seed  maphash.Seed
	known [shownRoom]atomic.Pointer[shown]
}

// shown is a certificate, and what it proves. It is not changed.
type shown struct {
	certificate *x509.Certificate
	identity    *spec.Identity
	err         error
}

func newCertificates(rule auth.CertRule) *certificates {
	return &certificates{rule: rule, seed: maphash.MakeSeed()}
}

// identity is whom a certificate proves to call. TLS has verified it when the connection began, which may have been long
// ago: that it has not expired since is looked at again.
func (c *certificates) identity(cert *x509.Certificate, now time.Time) (*spec.Identity, *problem) {
	if now.After(cert.NotAfter) {
		return nil, &problem{
			Kind: kindUnauthenticated, detail: "the client's certificate has expired since it connected", challenge: challengeNone,
		}
	}
	slot := &c.known[maphash.Comparable(c.seed, cert)%shownRoom]
	s := slot.Load()
	if s == nil || s.certificate != cert {
		s = &shown{certificate: cert}
		s.identity, s.err = auth.IdentityOfCertificate(cert, c.rule)
		slot.Store(s)
	}
	if s.err != nil {
		return nil, &problem{Kind: kindUnauthenticated, detail: s.err.Error(), challenge: challengeNone}
	}
	return s.identity, nil
}

// certified reports whether the client has shown a certificate that may prove who calls.
func (x *Exchange) certified() bool { return x.policy.certificates != nil && x.certificate() != nil }

// ownPage reports whether a client's certificate may speak for the request. Browsers send certificates of their own accord, with
// forms and WebSockets of any site's pages, too: a request that says which page has made it has to be of one of this host, or of a
// site whose pages may have credentials sent along. Browsers send Origin (RFC 6454; Fetch standard, section 3.2) with whatever
// is not GET or HEAD, with WebSockets and with what pages read across sites; other programs rarely do.
func (x *Exchange) ownPage() bool {
	given, ok := x.header()[headerOrigin]
	if !ok {
		return true
	}
	if len(given) != 1 {
		return false
	}
	if x.cors != nil && x.cors.credentials && x.origin != "" { // it is what was given; see share
		return true
	}
	const scheme, port = "https://", ":443" // certificates come by TLS alone; origins are without the scheme's own port
	host, ok := strings.CutPrefix(given[0], scheme)
	return ok && host != "" && strings.EqualFold(host, strings.TrimSuffix(x.request.Authority, port))
}
