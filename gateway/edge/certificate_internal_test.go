package edge

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"strconv"
	"testing"
	"time"

	"github.com/stella-ops/router/gateway/auth"
)

// TestCertificateExpiresInAConnection: the handshake was long ago, and what it has verified ends while the connection lives.
func TestCertificateExpiresInAConnection(t *testing.T) {
	end := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	cert := &x509.Certificate{Subject: pkix.Name{CommonName: "me"}, NotAfter: end}
	c := newCertificates(auth.CertRule{CommonName: true})
	for range 2 { // the second time from memory
		who, p := c.identity(cert, end)
		if p != nil || who.Subject != "me" {
			t.Fatalf("at its end: %v, %v", who, p)
		}
	}
	if who, p := c.identity(cert, end.Add(time.Second)); p == nil || p.Kind != kindUnauthenticated || who != nil {
		t.Fatalf("after its end: %v, %v: expected 401", who, p)
	}
}

// TestCertificateIsRememberedByItself: however many certificates share a place, none is taken for another.
func TestCertificateIsRememberedByItself(t *testing.T) {
	c := newCertificates(auth.CertRule{CommonName: true})
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	certs := make([]*x509.Certificate, 3*shownRoom)
	for i := range certs {
		certs[i] = &x509.Certificate{Subject: pkix.Name{CommonName: "cn" + strconv.Itoa(i)}, NotAfter: now.Add(time.Hour)}
	}
	for range 2 {
		for _, cert := range certs {
			if who, p := c.identity(cert, now); p != nil || who.Subject != cert.Subject.CommonName {
				t.Fatalf("%s: %v, %v", cert.Subject.CommonName, who, p)
			}
		}
	}
	allocs := testing.AllocsPerRun(100, func() { _, _ = c.identity(certs[len(certs)-1], now) })
	if allocs != 0 {
		t.Fatalf("%v allocations, expected none for one that is remembered", allocs)
	}
}
