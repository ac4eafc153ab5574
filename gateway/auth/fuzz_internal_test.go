package auth

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// FuzzFreshness: whatever an issuer's server says, its keys are fetched once a minute at most and once a day at least.
func FuzzFreshness(f *testing.F) {
	f.Add("public, max-age=600", "10")
	f.Add("max-age=18446744073709551616, no-transform", "-1")
	f.Add("MAX-AGE=\"60\",,=,max-age", "9223372036854775807")
	f.Fuzz(func(t *testing.T, control, age string) {
		d := freshness(http.Header{"Cache-Control": {control, control}, "Age": {age}})
		if d < minFresh || d > maxFresh {
			t.Fatalf("%q %q: %s", control, age, d)
		}
	})
}

// FuzzCertificate: a subject is a name of the certificate's own, and of the kind and domain that the rule allows.
func FuzzCertificate(f *testing.F) {
	f.Add("spiffe://acme.example/a", "a.example", "cn", true)
	f.Add("spiffe://user@acme.example:1/a/../b?q#f", "*", "", false)
	f.Add("spiffe:opaque", "", "a\x00b", true)
	f.Fuzz(func(t *testing.T, uri, dns, cn string, pinned bool) {
		c := &x509.Certificate{DNSNames: []string{dns}, Subject: pkix.Name{CommonName: cn}}
		if u, err := url.Parse(uri); err == nil {
			c.URIs = []*url.URL{u}
		}
		rule := CertRule{CommonName: true}
		if pinned {
			rule.TrustDomains = []string{"acme.example"}
		}
		got, err := IdentityOfCertificate(c, rule)
		if err != nil {
			return
		}
		inDomain := got.Subject == "spiffe://acme.example" || strings.HasPrefix(got.Subject, "spiffe://acme.example/")
		switch s := got.Subject; {
		case s == "", pinned && !inDomain, s != dns && s != cn && s != c.URIs[0].String(), strings.ContainsAny(s, "\x00\n"):
			t.Fatalf("%q %q %q: %q", uri, dns, cn, s)
		}
	})
}

// FuzzCovers: a scope covers what it is a prefix of, up to a colon, and nothing else.
func FuzzCovers(f *testing.F) {
	f.Add("orders:*", "orders:read")
	f.Add("*", "a")
	f.Fuzz(func(t *testing.T, held, wanted string) {
		prefix, star := strings.CutSuffix(held, ":*")
		below, ok := strings.CutPrefix(wanted, prefix+":")
		if want := star && prefix != "" && ok && below != ""; covers(held, wanted) != want {
			t.Fatalf("%q over %q: %v", held, wanted, !want)
		}
	})
}
