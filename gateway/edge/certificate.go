package edge

import (
	"crypto/x509"
	"hash/maphash"
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
