package auth

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/stella-ops/router/spec"
)

// ErrCertificate is what [IdentityOfCertificate] wraps: the certificate names nobody.
var ErrCertificate = errors.New("auth: certificate refused")

// CertRule is how a client's certificate becomes an identity.
type CertRule struct {
	// TrustDomains lists the SPIFFE trust domains whose identities are taken. Empty: those of every domain that the roots
	// vouch for.
	TrustDomains []string
	// CommonName allows the subject's common name where the certificate has neither a SPIFFE ID nor a DNS name. CAs do
	// not check it as they do the others: one that could be read as either of them counts for nothing.
	CommonName bool
	// Grants are claims that the operator gives to subjects, beside those that their certificates make.
	Grants []Grant
}

// Grant is what a subject of certificates holds.
type Grant struct {
	Subject string // byte for byte
	Claims  []spec.Claim
}

// Check names everything that is wrong with a rule.
func (r *CertRule) Check() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("auth: certificates: "+format, args...))
	}
	for _, domain := range r.TrustDomains {
		if domain == "" || strings.ContainsFunc(domain, notOfDomain) {
			fault("trust domain %.80q, expected small letters, digits, '.', '-' and '_', such as prod.example", domain)
		}
	}
	if len(r.TrustDomains) > 0 && r.CommonName {
		fault("a common name is of no trust domain: one of the two has to go")
	}
	for i := range r.Grants {
		g := &r.Grants[i]
		if !printable(g.Subject) || len(g.Claims) == 0 {
			fault("grant %d: expected a subject, such as spiffe://prod.example/billing or billing.example, and at least one claim", i+1)
		}
		if strings.ContainsAny(g.Subject, notOfName) && !strings.HasPrefix(g.Subject, spiffe+"://") {
			fault("grant %d: nobody is %.80q: expected a SPIFFE ID, a DNS name or a common name", i+1, g.Subject)
		}
		for _, c := range g.Claims {
			if strings.HasPrefix(c.Type, certClaim) {
				fault("grant %d: claim %.80q: what begins with %s is what a certificate says", i+1, c.Type, certClaim)
			}
			if c.Type == scpClaim {
				fault("grant %d: claim %.80q: its words are claims of type %s: expected that", i+1, c.Type, scopeClaim)
			}
			if c.Type == "" || c.Value == "" {
				fault("grant %d: claim %.80q: expected a type and a value", i+1, c.Type)
			}
		}
		if slices.ContainsFunc(r.Grants[:i], func(o Grant) bool { return o.Subject == g.Subject }) {
			fault("%.80q is granted twice: expected one entry, with all its claims", g.Subject)
		}
	}
	return errors.Join(faults...)
}

// notOfDomain reports whether a trust domain cannot have the character (SPIFFE-ID, section 2.1).
func notOfDomain(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("-._", r)
}

// The claims that a certificate makes. Names among cert.san are prefixed with what they are: URI:, DNS:, IP:, email:.
const (
	certClaim   = "cert."
	claimSAN    = "cert.san"
	claimCN     = "cert.cn"
	claimOrg    = "cert.o"
	claimUnit   = "cert.ou"
	claimIssuer = "cert.issuer"
	claimSHA256 = "cert.sha256"
)

const spiffe = "spiffe"

// IdentityOfCertificate returns the identity that a client's certificate proves. TLS has to have verified it already,
// for client authentication and up to a root that is trusted for that: nothing of it is verified here. The subject is
// its SPIFFE ID, else its first DNS name without a wildcard, else, where the rule allows it, its common name. None passes
// for another: what stands as a DNS name has to be one, and a common name must be neither of the others. There is no tenant.
// Errors wrap [ErrCertificate].
func IdentityOfCertificate(c *x509.Certificate, rule CertRule) (*spec.Identity, error) {
	subject, err := rule.subject(c)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	claims := certClaims(c)
	for i := range rule.Grants {
		if rule.Grants[i].Subject == subject {
			claims = append(claims, rule.Grants[i].Claims...)
		}
	}
	if len(claims) > spec.MaxFields {
		return nil, fmt.Errorf("%w: it makes %d claims, the limit is %d", ErrCertificate, len(claims), spec.MaxFields)
	}
	return &spec.Identity{Subject: subject, Claims: claims}, nil
}

func (r *CertRule) subject(c *x509.Certificate) (string, error) {
	if slices.ContainsFunc(c.URIs, func(u *url.URL) bool { return u.Scheme == spiffe }) {
		if len(c.URIs) > 1 { // X.509-SVID, section 2
			return "", fmt.Errorf("it has %d URIs, one of them a SPIFFE ID: expected that one alone", len(c.URIs))
		}
		return r.spiffe(c.URIs[0])
	}
	if len(r.TrustDomains) > 0 {
		return "", errors.New("it has no SPIFFE ID, and trust domains are configured")
	}
	for _, name := range c.DNSNames {
		if isHost(name) {
			return name, nil
		}
	}
	if cn := c.Subject.CommonName; r.CommonName && printable(cn) {
		if strings.ContainsAny(cn, notOfName) || strings.Contains(cn, ".") && isHost(cn) {
			return "", fmt.Errorf("its common name %.80q could pass for a SPIFFE ID or a DNS name, which the CA has not checked", cn)
		}
		return cn, nil
	}
	return "", errors.New("it has neither a SPIFFE ID nor a DNS name that could be the caller's")
}

// notOfName are what every SPIFFE ID has, and no other subject.
const notOfName = ":/"

// isHost reports whether a name is one of a single host (RFC 1123, section 2.1, and underscores, which are met). x509 takes any
// ASCII for a DNS name.
func isHost(name string) bool {
	return name != "" && !strings.ContainsFunc(name, notOfPath)
}

// spiffe checks a SPIFFE ID (SPIFFE-ID, section 2).
func (r *CertRule) spiffe(u *url.URL) (string, error) {
	if u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Port() != "" || u.Opaque != "" {
		return "", errors.New("its SPIFFE ID is not spiffe://TRUST-DOMAIN/PATH")
	}
	if path := strings.TrimPrefix(u.EscapedPath(), "/"); path != "" {
		for segment := range strings.SplitSeq(path, "/") {
			if segment == "" || segment == "." || segment == ".." || strings.ContainsFunc(segment, notOfPath) {
				return "", errors.New("its SPIFFE ID's path has a segment of other characters than letters, digits, ., - and _, or an empty one")
			}
		}
	}
	if len(r.TrustDomains) > 0 && !slices.Contains(r.TrustDomains, u.Host) {
		return "", fmt.Errorf("its SPIFFE ID is of the trust domain %q, which is not configured", u.Host)
	}
	return u.String(), nil
}

// notOfPath reports whether neither a segment of a SPIFFE ID nor a host can have the character.
func notOfPath(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._", r)
}

func printable(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func certClaims(c *x509.Certificate) []spec.Claim {
	sum := sha256.Sum256(c.Raw)
	claims := []spec.Claim{{Type: claimSHA256, Value: hex.EncodeToString(sum[:])}}
	add := func(kind, prefix, value string) {
		if printable(value) {
			claims = append(claims, spec.Claim{Type: kind, Value: prefix + value})
		}
	}
	for _, u := range c.URIs {
		add(claimSAN, "URI:", u.String())
	}
	for _, name := range c.DNSNames {
		add(claimSAN, "DNS:", name)
	}
	for _, ip := range c.IPAddresses {
		add(claimSAN, "IP:", ip.String())
	}
	for _, a := range c.EmailAddresses {
		add(claimSAN, "email:", a)
	}
	add(claimCN, "", c.Subject.CommonName)
	for _, o := range c.Subject.Organization {
		add(claimOrg, "", o)
	}
	for _, o := range c.Subject.OrganizationalUnit {
		add(claimUnit, "", o)
	}
	add(claimIssuer, "", c.Issuer.String())
	return claims
}
