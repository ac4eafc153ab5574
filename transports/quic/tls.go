package quic

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
)

// The query parameters, each the name of a file in PEM.
const (
	paramCA      = "ca"
	paramCert    = "cert"
	paramKey     = "key"
	paramClients = "clients"
)

// parameters checks the URL's query without a look at the files.
func parameters(u *url.URL) (url.Values, error) {
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("quic: %s: query: %w", u.Redacted(), err)
	}
	for name, values := range q {
		if !slices.Contains([]string{paramCA, paramCert, paramKey, paramClients}, name) {
			return nil, fmt.Errorf("quic: %s: unknown parameter %q", u.Redacted(), name)
		}
		if len(values) != 1 || values[0] == "" {
			return nil, fmt.Errorf("quic: %s: expected parameter %s once, with a file", u.Redacted(), name)
		}
	}
	if q.Has(paramCert) != q.Has(paramKey) {
		return nil, fmt.Errorf("quic: %s: expected cert and key together", u.Redacted())
	}
	return q, nil
}

// demandsClients reports whether a listener on the URL has every peer prove who it is.
func demandsClients(u *url.URL) bool { return u.Query().Has(paramClients) }

// clientTLS is the TLS configuration of a service that dials the URL.
func clientTLS(u *url.URL) (*tls.Config, error) {
	q, err := parameters(u)
	if err != nil {
		return nil, err
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{protocol}, ServerName: u.Hostname()}
	if q.Has(paramCA) {
		if cfg.RootCAs, err = pool(q.Get(paramCA)); err != nil {
			return nil, err
		}
	}
	return cfg, identify(cfg, q)
}

var errNobody = errors.New("a listener has to say who it is: expected cert and key")

// serverTLS is the TLS configuration of a gateway that listens on the URL. Sessions are not resumed: every connection
// proves anew who it is.
func serverTLS(u *url.URL) (*tls.Config, error) {
	q, err := parameters(u)
	if err != nil {
		return nil, err
	}
	if !q.Has(paramCert) {
		return nil, fmt.Errorf("quic: %s: %w", u.Redacted(), errNobody)
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{protocol}, SessionTicketsDisabled: true}
	if q.Has(paramClients) {
		if cfg.ClientCAs, err = pool(q.Get(paramClients)); err != nil {
			return nil, err
		}
		cfg.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return cfg, identify(cfg, q)
}

// identify loads the certificate that the query names, if it does.
func identify(cfg *tls.Config, q url.Values) error {
	if !q.Has(paramCert) {
		return nil
	}
	cert, err := tls.LoadX509KeyPair(q.Get(paramCert), q.Get(paramKey))
	if err != nil {
		return fmt.Errorf("quic: certificate: %w", err)
	}
	cfg.Certificates = []tls.Certificate{cert}
	return nil
}

func pool(file string) (*x509.CertPool, error) {
	b, err := os.ReadFile(file) //nolint:gosec // whoever configures the URL names the file
	if err != nil {
		return nil, fmt.Errorf("quic: authorities: %w", err)
	}
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("quic: authorities: no certificate in %s", file)
	}
	return p, nil
}
