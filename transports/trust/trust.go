// Package trust is what the encrypted transports share: certificates named by a URL's parameters, read again when their
// files change, and what a refusal means in words.
//
// A URL that is dialled may have
//
//	ca=FILE              who signs the gateway's certificate; the system's authorities otherwise
//	cert=FILE&key=FILE   the service's certificate, whose names must have the service's
//	pin=sha256:HEX       the gateway's public key (SHA-256 of its SubjectPublicKeyInfo), instead of an authority
//	name=HOST            the name that the gateway's certificate must have, if it is not the URL's host
//	min=1.2              also TLS 1.2, where the transport can
//
// and one that is listened on
//
//	cert=FILE&key=FILE   the gateway's certificate; on loopback addresses one for development otherwise
//	clients=FILE         who signs services' certificates: each service must have one then
//	min=1.2
//
// What a file says and when to read it again ([Watched]), and files of tokens ([Words]), are the same for the gateway's
// other secrets.
package trust

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// ALPN is the protocol that both ends name in the handshake, so that neither mistakes the other for a web server.
const ALPN = "stella/1"

// Parameters are those that a URL may have.
var Parameters = []string{"ca", "cert", "key", "clients", "pin", "name", "min"} //nolint:gochecknoglobals // a constant

const pinPrefix = "sha256:"

// Check says what is wrong with a URL's parameters, without a look at files.
func Check(u *url.URL) error {
	q := u.Query()
	switch {
	case q.Has("cert") != q.Has("key"):
		return fmt.Errorf("%s: %s: expected cert and key, or neither", u.Scheme, u.Redacted())
	case q.Has("min") && q.Get("min") != "1.2" && q.Get("min") != "1.3":
		return fmt.Errorf("%s: %s: expected min=1.2 or min=1.3, got %q", u.Scheme, u.Redacted(), q.Get("min"))
	case q.Has("pin"):
		if _, err := parsePin(q.Get("pin")); err != nil {
			return fmt.Errorf("%s: %s: %w", u.Scheme, u.Redacted(), err)
		}
	}
	return nil
}

// Pin is what pin= names a certificate's key by.
func Pin(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return pinPrefix + hex.EncodeToString(sum[:])
}

func parsePin(text string) (string, error) {
	digits, ok := strings.CutPrefix(text, pinPrefix)
	if sum, err := hex.DecodeString(digits); !ok || err != nil || len(sum) != sha256.Size {
		return "", fmt.Errorf("expected pin=%s and %d hexadecimal digits, got %q", pinPrefix, hex.EncodedLen(sha256.Size), text)
	}
	return strings.ToLower(text), nil
}

// refuse says that a URL has parameters that have no meaning where it is used.
func refuse(u *url.URL, where string, keys ...string) error {
	for _, key := range keys {
		if u.Query().Has(key) {
			return fmt.Errorf("%s: %s: parameter %s means nothing in a URL that is %s", u.Scheme, u.Redacted(), key, where)
		}
	}
	return nil
}

func minVersion(u *url.URL) uint16 {
	if u.Query().Get("min") == "1.2" {
		return tls.VersionTLS12
	}
	return tls.VersionTLS13
}

// Client returns the settings for dialling a URL. Its files are read now, so that whoever dials again sees what they have
// become.
func Client(u *url.URL) (*tls.Config, error) {
	if err := errors.Join(Check(u), refuse(u, "dialled", "clients")); err != nil {
		return nil, err
	}
	q := u.Query()
	cfg := &tls.Config{MinVersion: minVersion(u), NextProtos: []string{ALPN}, DynamicRecordSizingDisabled: true, ServerName: u.Hostname()}
	if q.Has("name") {
		cfg.ServerName = q.Get("name")
	}
	if q.Has("cert") {
		cert, err := tls.LoadX509KeyPair(q.Get("cert"), q.Get("key"))
		if err != nil {
			return nil, fmt.Errorf("%s: certificate: %w", u.Scheme, err)
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	roots, err := authorities(u)
	if err != nil {
		return nil, err
	}
	cfg.RootCAs = roots
	if q.Has("pin") {
		pin, err := parsePin(q.Get("pin"))
		if err != nil {
			return nil, err
		}
		cfg.InsecureSkipVerify = !q.Has("ca") // the pin says more than an authority could
		cfg.VerifyConnection = func(s tls.ConnectionState) error {
			if shown := Pin(s.PeerCertificates[0]); shown != pin {
				return fmt.Errorf("the gateway's key is %s, which is not the one that pin= names", shown)
			}
			return nil
		}
	}
	return cfg, nil
}

// authorities are whose signature on the gateway's certificate counts.
func authorities(u *url.URL) (*x509.CertPool, error) {
	if file := u.Query().Get("ca"); file != "" {
		return readPool(u.Scheme, file)
	}
	if !loopback(u.Hostname()) {
		return nil, nil //nolint:nilnil // the system's
	}
	dev, err := readDevelopmentCA()
	if err != nil || dev == nil {
		return nil, err
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	roots.AddCert(dev)
	return roots, nil
}

func readPool(scheme, file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the file is configuration
	if err != nil {
		return nil, fmt.Errorf("%s: authorities: %w", scheme, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: authorities: %s has no certificate in PEM", scheme, file)
	}
	return pool, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Proves reports whether a listener on the URL has every peer show a certificate.
func Proves(u *url.URL) bool { return u.Query().Has("clients") }

// Server returns the settings for listening on a URL. Its files are looked at with every connection; what has become
// unreadable is reported to broken, and what was read before stays good. Broken may be nil.
func Server(u *url.URL, broken func(error)) (*tls.Config, error) {
	if err := errors.Join(Check(u), refuse(u, "listened on", "ca", "pin", "name")); err != nil {
		return nil, err
	}
	if broken == nil {
		broken = func(error) {}
	}
	q := u.Query()
	// No session is resumed: every connection proves anew who it is.
	cfg := &tls.Config{
		MinVersion: minVersion(u), NextProtos: []string{ALPN}, DynamicRecordSizingDisabled: true, SessionTicketsDisabled: true,
	}
	if err := serverCertificate(cfg, u, broken); err != nil {
		return nil, err
	}
	if q.Has("clients") {
		cfg.ClientAuth = tls.RequireAndVerifyClientCert
		if err := clientCAs(cfg, u.Scheme, q.Get("clients"), broken); err != nil {
			return nil, err
		}
	}
	return cfg, nil
}

// Files are what a server that speaks another protocol, such as HTTP, shows and asks for.
type Files struct {
	Cert, Key string
	ClientCAs string             // roots of clients' certificates; empty: none is asked for
	Clients   tls.ClientAuthType // what is asked for, where there are roots
	Protocols []string           // for ALPN
}

// ServerOf returns the settings of a server that is no transport's. Files are looked at as [Server] does.
func ServerOf(f Files, broken func(error)) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: f.Protocols}
	if err := certificate(cfg, "tls", f.Cert, f.Key, broken); err != nil {
		return nil, err
	}
	if f.ClientCAs != "" {
		cfg.ClientAuth = f.Clients
		if err := clientCAs(cfg, "tls", f.ClientCAs, broken); err != nil {
			return nil, err
		}
	}
	return cfg, nil
}

// clientCAs has clients' certificates held against the roots in a file.
func clientCAs(cfg *tls.Config, scheme, file string, broken func(error)) error {
	pool := &Watched[*x509.CertPool]{Files: []string{file}, Broken: broken, Read: func() (*x509.CertPool, error) {
		return readPool(scheme, file)
	}}
	if _, err := pool.Get(); err != nil {
		return err
	}
	plain := cfg.Clone()
	cfg.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		now := plain.Clone()
		var err error
		now.ClientCAs, err = pool.Get()
		return now, err
	}
	return nil
}

func serverCertificate(cfg *tls.Config, u *url.URL, broken func(error)) error {
	q := u.Query()
	if !q.Has("cert") {
		if !loopback(u.Hostname()) {
			return fmt.Errorf("%s: %s: expected cert=FILE and key=FILE: only loopback addresses have certificates of their own", u.Scheme, u.Redacted())
		}
		cert, err := development(u.Hostname())
		if err != nil {
			return fmt.Errorf("%s: a certificate for development: %w", u.Scheme, err)
		}
		cfg.Certificates = []tls.Certificate{*cert}
		return nil
	}
	return certificate(cfg, u.Scheme, q.Get("cert"), q.Get("key"), broken)
}

// certificate has the certificate of two files shown.
func certificate(cfg *tls.Config, scheme, certFile, keyFile string, broken func(error)) error {
	pair := &Watched[*tls.Certificate]{Files: []string{certFile, keyFile}, Broken: broken, Read: func() (*tls.Certificate, error) {
		cert, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return nil, fmt.Errorf("%s: certificate: %w", scheme, err)
		}
		return &cert, nil
	}}
	if _, err := pair.Get(); err != nil {
		return err
	}
	cfg.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair.Get() }
	return nil
}

// Names are what a peer's verified certificate says it is called: its DNS names and addresses.
func Names(s *tls.ConnectionState) []string {
	if len(s.PeerCertificates) == 0 {
		return nil
	}
	cert := s.PeerCertificates[0]
	names := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 { // it has proven to be known, and nothing more
		names = append(names, cert.Subject.String())
	}
	return names
}

// Handshake makes the handshake of conn within ctx, and says in words why it failed.
func Handshake(ctx context.Context, conn *tls.Conn, cfg *tls.Config) error {
	if err := conn.HandshakeContext(ctx); err != nil {
		return Explain(err, Remote(err), cfg, conn.ConnectionState().ServerName)
	}
	if got := conn.ConnectionState().NegotiatedProtocol; got != ALPN {
		return fmt.Errorf("the peer speaks TLS, and not %s: is it another server's port?", ALPN)
	}
	return nil
}

// Remote reports whether an error of package crypto/tls is an alert of the peer's.
func Remote(err error) bool {
	var alert *net.OpError
	return errors.As(err, &alert) && alert.Op == "remote error"
}

// Explain says what an error of TLS is about. remote tells that the peer has refused, cfg are this end's settings, and asked is
// the name that was asked for.
func Explain(err error, remote bool, cfg *tls.Config, asked string) error {
	if errors.Is(err, context.DeadlineExceeded) { // of the handshake; a read's is another error
		return fmt.Errorf("the peer did not finish the handshake in time: %w", err)
	}
	if !remote {
		return explainOwn(err)
	}
	what := "gateway"
	var hint string
	switch {
	case cfg.ServerName == "": // this is the gateway
		what, hint = "service", "this gateway's certificate is "+describe(cfg, asked)
	case len(cfg.Certificates) == 0:
		hint = "it asks for a certificate: give cert=FILE and key=FILE"
	default:
		hint = "the certificate shown is " + describe(cfg, "")
	}
	return fmt.Errorf("the %s refuses: %w; %s", what, err, hint)
}

// explainOwn says why this end refuses.
func explainOwn(err error) error {
	var (
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		host    x509.HostnameError
	)
	switch {
	case errors.As(err, &host):
		return fmt.Errorf("the peer's certificate is for another name: %w; name=HOST says which one to expect", err)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("the peer's certificate has expired, or is not valid yet: %w", err)
	case errors.As(err, &unknown):
		return fmt.Errorf("the peer's certificate is signed by nobody that this end trusts: %w", err)
	case strings.Contains(err.Error(), "didn't provide a certificate"):
		return fmt.Errorf("the service has shown no certificate: %w", err)
	}
	return err
}

// describe says of this end's certificate what could be wrong with it.
func describe(cfg *tls.Config, asked string) string {
	var cert *tls.Certificate
	switch {
	case cfg.GetCertificate != nil:
		cert, _ = cfg.GetCertificate(&tls.ClientHelloInfo{ServerName: asked}) // what it was; nil if it has gone
	case len(cfg.Certificates) > 0:
		cert = &cfg.Certificates[0]
	}
	if cert == nil || cert.Leaf == nil {
		return "unreadable"
	}
	leaf := cert.Leaf
	var said []string
	if now := time.Now(); now.After(leaf.NotAfter) || now.Before(leaf.NotBefore) {
		said = append(said, fmt.Sprintf("expired or not valid yet (valid from %s to %s)", leaf.NotBefore.Format(time.RFC3339), leaf.NotAfter.Format(time.RFC3339)))
	}
	if asked != "" && leaf.VerifyHostname(asked) != nil {
		said = append(said, fmt.Sprintf("not for the name %q that was asked for", asked))
	}
	names := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return strings.Join(append(said, fmt.Sprintf("for %s, signed by %q", strings.Join(names, ", "), leaf.Issuer.String())), ", ")
}
