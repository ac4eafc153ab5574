package auth

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stella-ops/router/spec"
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
	f.Add("urn:a", "spiffe://acme.example/a", "spiffe://acme.example/b", false)
	f.Add("urn:a", "*.example", "a.example", false)
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
		case strings.ContainsAny(s, ":/") && (len(c.URIs) == 0 || s != c.URIs[0].String()):
			t.Fatalf("%q %q %q: %q poses as a SPIFFE ID", uri, dns, cn, s)
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

// FuzzDecrees: whatever a document says, it is taken whole or not at all, and what is taken can be in force.
func FuzzDecrees(f *testing.F) {
	for _, text := range []string{
		`{"services":{"billing":{"POST /invoices/{id}":{"claims":[{"type":"scope","value":"a"},{"type":"team"}]}}}}`, `{"services":{}}`,
		`{"services":{"a":{"GET /x":{"public":"y"}}}}`, `{"services":{"a":{"GET /x":{"public":"y"},"GET /x":{"public":"y"}}}}`,
		`{"services":{"a":{"GET /x":{"claims":[{"type":"t","type":"u"}]}}}}`, `{`, `[]`, `null`, `{"services":{}} x`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		rules, err := parseDecrees(text)
		if err != nil {
			return
		}
		if !json.Valid(text) {
			t.Fatalf("taken, and no JSON: %q", text)
		}
		known := map[string]bool{}
		for _, r := range rules {
			identity, err := spec.ParseIdentity(r.Endpoint)
			if err != nil || spec.CheckService(r.Service) != nil || known[r.Service+" "+identity] || (r.Public == "") == (len(r.Claims) == 0) {
				t.Fatalf("%+v, %v", r, err)
			}
			known[r.Service+" "+identity] = true
			for _, c := range r.Claims {
				if err := c.Check(); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
